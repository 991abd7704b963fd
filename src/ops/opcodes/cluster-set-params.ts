/** Changes parameters of the cluster. Parameter sets are merged; the value `default` takes one setting back. */

import type { Command } from '../../config/commands.ts';
import type { Cluster, HaParams, Params } from '../../config/model.ts';
import type { RunContext } from '../op-context.ts';
import {
  flag,
  integer,
  isObject,
  listOf,
  name,
  nullable,
  oneOf,
  only,
  optional,
  type Param,
  params,
  paramsByName,
  parser,
  shorten,
  text,
  wrongInput,
} from '../params.ts';
import { newViolators, violators } from '../policy-check.ts';
import { summary } from '../summary.ts';
import type { Opcode } from '../types.ts';
import { balancingChange, changedBalancing } from './balancing-change.ts';
import { changedClusterIPolicy, ipolicyChange } from './ipolicy-change.ts';
import { cluster_params, cluster_shared, clusterOf } from './lookup.ts';
import { checkBeParams, checkHvParams, checkNdParams, checkNicParams, mergeParams } from './param-check.ts';

type ByName = { readonly [key: string]: Params };

const osHvp: Param<{ readonly [os: string]: ByName }> = {
  expected: 'an object of OS names, each with an object of hypervisors, each with its parameters',
  required: true,
  read: (value) =>
    isObject(value) && Object.values(value).every((each) => paramsByName.read(each) !== undefined)
      ? (value as { readonly [os: string]: ByName })
      : undefined,
};

/** A network device as the kernel names it. */
const netdev: Param<string> = {
  expected: 'the name of a network device: at most 15 characters of A-Z, a-z, 0-9 and _.:-',
  required: true,
  read: (value) => (typeof value === 'string' && /^[A-Za-z0-9_.:-]{1,15}$/.test(value) ? value : undefined),
};

const parse = parser({
  force: { ...optional(flag, false), unused: true },
  enabled_hypervisors: nullable(listOf(oneOf('kvm', 'fake'), 16)),
  enabled_disk_templates: nullable(listOf(oneOf('diskless', 'file', 'sharedfile'), 16)),
  hvparams: nullable(paramsByName),
  os_hvp: nullable(osHvp),
  beparams: nullable(params),
  nicparams: nullable(params),
  ndparams: nullable(params),
  osparams: nullable(paramsByName),
  diskparams: nullable(paramsByName),
  candidate_pool_size: nullable(integer(1, 1_000)),
  max_running_jobs: nullable(integer(1, 1_000)),
  mac_prefix: nullable(name),
  master_ip: nullable(text),
  master_netdev: nullable(netdev),
  master_netmask: nullable(integer(0, 128)),
  use_external_mip_script: nullable(flag),
  file_storage_dir: nullable(text),
  shared_file_storage_dir: nullable(text),
  ha: nullable(params),
  admission: nullable(oneOf('off', 'warn', 'refuse')),
  balancing: nullable(balancingChange),
  ipolicy: nullable(ipolicyChange),
  hv_state: only(null, {}),
  disk_state: only(null, {}),
  vg_name: only(null),
  osparams_private_cluster: only(null, {}),
  max_tracked_jobs: only(null),
  uid_pool: only(null),
  add_uids: only(null, []),
  remove_uids: only(null, []),
  maintain_node_health: only(null, false),
  prealloc_wipe_disks: only(null, false),
  drbd_helper: only(null),
  default_iallocator: only(null),
  default_iallocator_params: only(null, {}),
  reserved_lvs: only(null, []),
  hidden_os: only(null, []),
  blacklisted_os: only(null, []),
  modify_etc_hosts: only(null, false),
  gluster_storage_dir: only(null),
  install_image: only(null, ''),
  instance_communication_network: only(null, ''),
  zeroing_image: only(null, ''),
  compression_tools: only(null),
  enabled_user_shutdown: only(null, false),
  enabled_data_collectors: only(null, {}),
  data_collector_interval: only(null, {}),
}); // prettier-ignore

type ClusterParams = ReturnType<typeof parse>;
type Changes = Extract<Command, { type: 'cluster-set' }>['changes'];

const ha_numbers: readonly (keyof HaParams)[] = [
  'renew_ms',
  'lease_ms',
  'guard_slack_ms',
  'kill_ms',
  'margin_ms',
  'drift',
];
const autorepair: readonly HaParams['autorepair'][] = [
  'off',
  'fix-storage',
  'migrate',
  'failover',
  'reinstall',
];

export const clusterSetParams: Opcode<ClusterParams> = {
  id: 'OP_CLUSTER_SET_PARAMS',
  version: 1,
  parse(input) {
    const given = parse(input);
    if (Object.values(given).every((value) => value === null))
      throw wrongInput('OP_CLUSTER_SET_PARAMS: nothing to change: expected at least one parameter');
    for (const key of ['enabled_hypervisors', 'enabled_disk_templates'] as const) {
      if (given[key]?.length === 0)
        throw wrongInput(`OP_CLUSTER_SET_PARAMS: parameter ${key} is []: expected at least one`);
    }
    checkHa(given.ha ?? {});
    return {
      ...given,
      hvparams:
        given.hvparams && mapValues(given.hvparams, (set, hypervisor) => checkHvParams(hypervisor, set)),
      os_hvp:
        given.os_hvp &&
        mapValues(given.os_hvp, (sets) =>
          mapValues(sets, (set, hypervisor) => checkHvParams(hypervisor, set)),
        ),
      beparams: given.beparams && checkBeParams(given.beparams),
      nicparams: given.nicparams && checkNicParams(given.nicparams),
      ndparams: given.ndparams && checkNdParams(given.ndparams),
    };
  },
  summary: () => summary('OP_CLUSTER_SET_PARAMS', null),
  locks: () => [cluster_shared, cluster_params],
  async run(ctx: RunContext, given) {
    const changes = await ctx.learn('changes', () => changesOf(clusterOf(ctx.state), given));
    const cluster = clusterOf(ctx.state);
    const after = { ...cluster, ...changes, ha: cluster.ha };
    const warning = newViolators(violators(ctx.state, cluster), violators(ctx.state, after));
    // Before the change: afterwards another leader could not tell any more who kept to the policy of then.
    if (warning !== null) await ctx.log(warning, 'warning');
    await ctx.commit('set', [{ type: 'cluster-set', time: ctx.wall(), changes }]);
    return null;
  },
};

function changesOf(cluster: Cluster, given: ClusterParams): Changes {
  const { hvparams, os_hvp, beparams, nicparams, ndparams, osparams, diskparams, ha, balancing, ...rest } =
    given;
  const { ipolicy, ...plain } = rest;
  const changes: Record<string, unknown> = Object.fromEntries(
    Object.entries(plain).filter(([, value]) => value !== null),
  );
  const merge = (key: 'beparams' | 'nicparams' | 'ndparams', set: Params | null): void => {
    if (set) changes[key] = mergeParams(cluster[key], set);
  };
  merge('beparams', beparams);
  merge('nicparams', nicparams);
  merge('ndparams', ndparams);
  if (hvparams) changes.hvparams = mergeByName(cluster.hvparams, hvparams);
  if (osparams) changes.osparams = mergeByName(cluster.osparams, osparams);
  if (diskparams) changes.diskparams = mergeByName(cluster.diskparams, diskparams);
  if (os_hvp) {
    changes.os_hvp = {
      ...cluster.os_hvp,
      ...mapValues(os_hvp, (sets, os) => mergeByName(cluster.os_hvp[os] ?? {}, sets)),
    };
  }
  if (ha) changes.ha = ha;
  if (balancing) changes.balancing = changedBalancing(cluster.balancing ?? null, balancing);
  if (ipolicy) changes.ipolicy = changedClusterIPolicy(cluster.ipolicy ?? {}, ipolicy);
  checkNetmask({ ...cluster, ...changes });
  return changes as Changes;
}

/** The prefix length must fit the address's family; without a master IP it says nothing. */
function checkNetmask({ master_ip, master_netmask }: Pick<Cluster, 'master_ip' | 'master_netmask'>): void {
  const most = master_ip.includes(':') ? 128 : 32;
  if (master_ip === '' || (master_netmask >= 1 && master_netmask <= most)) return;
  throw wrongInput(
    `parameter master_netmask is ${master_netmask}: expected a prefix length from 1 to ${most} for the master IP ${master_ip}`,
  );
}

function mergeByName(before: ByName, changes: ByName): ByName {
  return { ...before, ...mapValues(changes, (set, key) => mergeParams(before[key] ?? {}, set)) };
}

function mapValues<T, U>(
  object: { readonly [key: string]: T },
  map: (value: T, key: string) => U,
): { readonly [key: string]: U } {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

/** Names and types; what fits together is for the state to say, which has the other half of the set. */
function checkHa(ha: Params): void {
  for (const [key, value] of Object.entries(ha)) {
    if (key === 'autorepair') {
      if (!autorepair.some((each) => each === value))
        throw wrongInput(
          `ha parameter autorepair is ${shorten(value)}: expected one of ${autorepair.join(', ')}`,
        );
    } else if (!ha_numbers.some((each) => each === key)) {
      throw wrongInput(
        `unknown ha parameter ${JSON.stringify(key)}: expected one of ${[...ha_numbers, 'autorepair'].join(', ')}`,
      );
    } else if (typeof value !== 'number' || value < 0 || (key !== 'drift' && !Number.isSafeInteger(value))) {
      throw wrongInput(
        `ha parameter ${key} is ${shorten(value)}: expected ${key === 'drift' ? 'a fraction such as 0.01' : 'a whole number of milliseconds'}`,
      );
    }
  }
}
