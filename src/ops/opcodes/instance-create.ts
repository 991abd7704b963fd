/**
 * Creates an instance: checks everything first, enters it into the configuration (down), makes its disks, installs its
 * OS, starts it. Whatever fails, all of it is undone: no disk, guest or name is left behind.
 */

import type { Disk, Instance, Params } from '../../config/model.ts';
import { fillBeParams, fillHvParams, fillNicParams } from '../../config/params.ts';
import { checkHostName, checkTag } from '../../config/validate.ts';
import type { RunContext } from '../op-context.ts';
import {
  flag,
  integer,
  listOf,
  name,
  nullable,
  oneOf,
  only,
  optional,
  params,
  parser,
  text,
  wrongInput,
} from '../params.ts';
import { obeyPolicy, policySubject, violationsIn } from '../policy-check.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import {
  type DiskRequest,
  dicts,
  max_disks,
  max_nics,
  type NicRequest,
  planDisks,
  planNics,
  readDisk,
  readNic,
} from './instance-spec.ts';
import { setAdminState } from './instance-steps.ts';
import { cluster_shared, clusterOf, findInstance, findNode, groupOfNode, nodeLock } from './lookup.ts';
import { checkBeParams, checkHvParams } from './param-check.ts';
import { pickNamed, pickNode } from './pick-node.ts';

const templates = ['diskless', 'file', 'sharedfile'] as const;

const parse = parser({
  instance_name: name,
  mode: oneOf('create'),
  disks: dicts(max_disks),
  nics: dicts(max_nics),
  disk_template: nullable(oneOf(...templates)),
  hypervisor: nullable(name),
  hvparams: optional(params, {}),
  beparams: optional(params, {}),
  osparams: optional(params, {}),
  os_type: nullable(name),
  no_install: nullable(flag),
  pnode: nullable(name),
  pnode_uuid: nullable(name),
  group_name: nullable(name),
  start: optional(flag, true),
  tags: optional(listOf(text, 4_096), []),
  force_variant: { ...optional(flag, false), unused: true },
  wait_for_sync: { ...optional(flag, true), unused: true },
  ignore_ipolicy: optional(flag, false),
  conflicts_check: { ...optional(flag, true), unused: true },
  opportunistic_locking: { ...optional(flag, false), unused: true },
  source_shutdown_timeout: { ...optional(integer(0, 86_400), 120), unused: true },
  name_check: only(false),
  ip_check: only(false),
  file_driver: only(null, 'loop'),
  file_storage_dir: only(null),
  iallocator: only(null),
  identify_defaults: only(false),
  osparams_private: only(null, {}),
  osparams_secret: only(null, {}),
  snode: only(null),
  snode_uuid: only(null),
  source_handshake: only(null),
  source_instance_name: only(null),
  source_x509_ca: only(null),
  src_node: only(null),
  src_node_uuid: only(null),
  src_path: only(null),
  compress: only('none'),
  forthcoming: only(false),
  commit: only(false),
  instance_communication: only(false),
  helper_startup_timeout: only(null),
  helper_shutdown_timeout: only(null),
}); // prettier-ignore

interface CreateParams {
  readonly name: string;
  readonly disks: readonly DiskRequest[];
  readonly nics: readonly NicRequest[];
  readonly disk_template: string | null;
  readonly hypervisor: string | null;
  readonly hvparams: Params;
  readonly beparams: Params;
  readonly osparams: Params;
  readonly os_type: string | null;
  readonly install: boolean;
  /** The OS must exist even where there is no disk to install it on. */
  readonly check_os: boolean;
  readonly pnode: string | null;
  readonly group_name: string | null;
  readonly start: boolean;
  readonly tags: readonly string[];
  readonly ignore_ipolicy: boolean;
}

type NewInstance = Omit<Instance, 'serial_no' | 'ctime' | 'mtime' | 'owner' | 'guarded' | 'owner_log'>;

interface Plan {
  readonly instance: NewInstance;
  readonly disks: readonly Omit<Disk, 'serial_no' | 'ctime' | 'mtime'>[];
  readonly node_name: string;
  readonly boot: number;
  readonly memory_mib: number;
  /** What placement has to say of it; '' or, in an older log, absent: nothing. */
  readonly warning?: string;
  /** Filled, as the node is to check them. */
  readonly hvparams: Params;
  readonly nics: readonly { readonly mode: string; readonly link: string }[];
  /** What of the policy it breaks and was to be ignored. */
  readonly ignored: string | null;
}

export const instanceCreate: Opcode<CreateParams> = {
  id: 'OP_INSTANCE_CREATE',
  version: 1,
  parse(input) {
    const { instance_name, pnode, pnode_uuid, disks, nics, no_install, mode: _mode, ...rest } = parse(input);
    const wrong =
      checkHostName(instance_name) ??
      rest.tags.map((tag) => checkTag(tag)).find((verdict) => verdict !== null) ??
      null;
    if (wrong !== null) throw wrongInput(`OP_INSTANCE_CREATE: ${wrong}`);
    const diskless = rest.disk_template === 'diskless';
    if (diskless && disks.length > 0)
      throw wrongInput(
        `OP_INSTANCE_CREATE: ${disks.length} disks are given: expected none with the disk template diskless`,
      );
    const install = !(no_install ?? false) && !diskless;
    if (install && rest.os_type === null)
      throw wrongInput(
        'OP_INSTANCE_CREATE: parameter os_type is missing: expected the name of an OS definition, or no_install',
      );
    return {
      ...rest,
      name: instance_name,
      pnode: pnode_uuid ?? pnode,
      install,
      check_os: !(no_install ?? false) && rest.os_type !== null,
      disks: disks.map(readDisk),
      nics: nics.map(readNic),
      beparams: checkBeParams(rest.beparams),
    };
  },
  summary: (given) => summary('OP_INSTANCE_CREATE', given.name),
  locks(given, state) {
    const chosen = given.pnode === null ? null : findNode(state, given.pnode);
    const nodes = chosen ? [chosen] : state.list('nodes').filter((node) => node.vm_capable);
    return [
      cluster_shared,
      { name: `instance/${given.name}`, exclusive: true },
      ...nodes.map((node) => nodeLock(node.uuid, false)),
    ];
  },
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', () => makePlan(ctx, given));
    const { instance, disks } = plan;
    const node = instance.primary_node;
    if (plan.warning) await ctx.log(plan.warning, 'warning');
    if (plan.ignored) await ctx.log(plan.ignored, 'warning');
    await checkNode(ctx, plan, given);

    const time = ctx.wall();
    await ctx.commit(
      'add',
      [{ type: 'instance-add', time, instance, disks, boot: plan.boot }],
      [{ type: 'instance-remove', time, uuid: instance.uuid, if_epoch: 1 }],
    ); // prettier-ignore
    for (const [index, disk] of disks.entries()) {
      const { uuid, size, mode, logical_id } = disk;
      const spec = { uuid, instance_name: instance.name, index, size, mode, logical_id };
      await ctx.step(
        `create-disk-${index}`,
        node,
        'disk.create',
        { disk: uuid },
        {
          undo: { verb: 'disk.remove', args: { template: instance.disk_template, disk: spec } },
        },
      ); // prettier-ignore
    }
    if (given.install) {
      const osparams = Object.fromEntries(
        Object.entries(instance.osparams).map(([key, value]) => [key, String(value)]),
      );
      await ctx.step('install', node, 'os.create', { instance: instance.uuid, reinstall: false, osparams });
    }
    if (given.start) {
      await ctx.commit('admin-up', [setAdminState(ctx, instance.uuid, 'up', 'admin')]);
      await ctx.step(
        'start',
        node,
        'instance.start',
        { instance: instance.uuid, epoch: 1, hvparams: {}, paused: false },
        {
          undo: {
            verb: 'instance.cleanup',
            args: { instance: instance.uuid, name: instance.name, hypervisor: instance.hypervisor },
          },
        },
      ); // prettier-ignore
    }
    return [plan.node_name];
  },
};

async function makePlan(ctx: RunContext, given: CreateParams): Promise<Plan> {
  const { state } = ctx;
  const cluster = clusterOf(state);
  if (findInstance(state, given.name))
    throw new OpError('OpPrereqError', `there is an instance ${given.name} already`, 'already_exists');
  const disk_template = enabled('disk template', given.disk_template, cluster.enabled_disk_templates);
  const hypervisor = enabled('hypervisor', given.hypervisor, cluster.enabled_hypervisors);
  if (disk_template === 'diskless' && given.disks.length > 0)
    throw wrongInput(`${given.disks.length} disks are given: expected none with the disk template diskless`);
  if (disk_template !== 'diskless' && given.disks.length === 0)
    throw wrongInput(`no disks are given: expected at least one with the disk template ${disk_template}`);
  const hvparams = checkHvParams(hypervisor, given.hvparams);
  const os = given.os_type ?? '';
  const own = { hypervisor, os, hvparams, beparams: given.beparams };
  const be = fillBeParams(cluster, own);
  if (be.minmem > be.maxmem) throw wrongInput(`minmem ${be.minmem} is more than maxmem ${be.maxmem}`);

  const group =
    given.group_name === null
      ? null
      : state.list('groups').find((each) => each.name === given.group_name || each.uuid === given.group_name);
  if (group === undefined)
    throw new OpError(
      'OpPrereqError',
      `there is no node group ${JSON.stringify(given.group_name)}`,
      'unknown_entity',
    );
  const tags = [...new Set(given.tags)].sort();
  const uuid = ctx.draw.uuid();
  const born = { admin_state: 'down', admin_state_source: 'admin' } as const;
  const wanted = {
    instance: { ...own, ...born, uuid, name: given.name, disk_template, tags, nics: given.nics },
    disks: given.disks.map(({ size_mib }) => ({ size: size_mib })),
    starts: given.start,
  };
  const subject = policySubject(be, {
    disks_mib: given.disks.map((disk) => disk.size_mib),
    nic_count: given.nics.length,
    disk_template,
  });
  const { node, warning } =
    given.pnode !== null
      ? await pickNamed(ctx, wanted, given.pnode)
      : await pickNode(ctx, wanted, group?.uuid ?? null, given.ignore_ipolicy ? null : subject);
  const violations = violationsIn(cluster, groupOfNode(state, node.uuid), subject);
  const ignored = obeyPolicy(given.name, violations, given.ignore_ipolicy);

  const disks = planDisks(cluster, disk_template, { uuid, name: given.name }, given.disks, () =>
    ctx.draw.uuid(),
  );
  const taken = new Set(state.list('instances').flatMap((each) => each.nics.map((nic) => nic.mac)));
  const nics = planNics(cluster, given.nics, taken, ctx.draw);
  return {
    instance: {
      ...own,
      uuid,
      name: given.name,
      primary_node: node.uuid,
      osparams: given.osparams,
      disk_template,
      nics,
      ...born,
      disks: disks.map((disk) => disk.uuid),
      tags,
    },
    disks,
    node_name: node.name,
    boot: node.boot,
    memory_mib: be.maxmem,
    warning,
    hvparams: fillHvParams(cluster, own),
    ignored,
    nics: nics.map((nic) => fillNicParams(cluster, nic)).map(({ mode, link }) => ({ mode, link })),
  }; // prettier-ignore
}

async function checkNode(ctx: RunContext, plan: Plan, given: CreateParams): Promise<void> {
  const { instance, node_name, memory_mib } = plan;
  const { problems, free_memory_mib } = await ctx.step('check', instance.primary_node, 'node.check', {
    hypervisor: instance.hypervisor,
    disk_template: instance.disk_template,
    os: given.check_os ? instance.os : '',
    memory_mib: given.start ? memory_mib : 0,
    hvparams: { ...plan.hvparams },
    nics: plan.nics,
  });
  if (problems.length > 0)
    throw new OpError(
      'OpPrereqError',
      `node ${node_name} cannot take instance ${instance.name}: ${problems.join('; ')}`,
      'environment_error',
    );
  if (given.start && free_memory_mib < memory_mib) {
    throw new OpError(
      'OpPrereqError',
      `node ${node_name} has ${free_memory_mib} MiB of memory free; instance ${instance.name} needs ${memory_mib} MiB`,
      'insufficient_resources',
    );
  }
}

/** The one given, if the cluster has it enabled; otherwise the cluster's first. */
function enabled(what: string, given: string | null, known: readonly string[]): string {
  const chosen = given ?? known[0];
  if (chosen !== undefined && known.includes(chosen)) return chosen;
  throw wrongInput(
    `${what} ${JSON.stringify(chosen ?? null)} is not enabled: expected one of ${known.join(', ')}`,
  );
}
