/**
 * The first command of a cluster, from what the operator asked for. Pure but for the ids and the time handed in.
 */
import { isIP } from 'node:net';
import type { Command } from '../config/commands.ts';
import { default_ha, scaled_ha } from '../config/defaults.ts';
import type { HaParams } from '../config/model.ts';
import { ApiFailure } from './api-server.ts';
import type { ClusterInitParams } from './api-types.ts';

export interface InitFacts {
  readonly time: number;
  readonly cluster_uuid: string;
  readonly group_uuid: string;
  readonly node_uuid: string;
  readonly peer_id: string;
  readonly addresses: readonly string[];
  readonly boot: number;
}

const known_hypervisors = ['kvm', 'fake'];
const known_templates = ['diskless', 'file', 'sharedfile'];

function refuse(message: string): never {
  throw new ApiFailure('invalid', message, 'skein cluster init --help');
}

function known(what: string, values: readonly string[], allowed: readonly string[]): void {
  if (values.length === 0) refuse(`${what} is empty; expected some of: ${allowed.join(', ')}`);
  for (const value of values)
    if (!allowed.includes(value)) refuse(`${what}: "${value}" is not one of: ${allowed.join(', ')}`);
}

function absolute(what: string, path: string): void {
  if (!path.startsWith('/') || path.split('/').includes('..'))
    refuse(`${what} "${path}": expected an absolute path`);
}

/** `lease: scaled` selects the short set for tests; single values may be given by name. */
export function haParams(wanted: Readonly<Record<string, string | number>>): HaParams {
  const { lease, ...values } = wanted;
  if (lease !== undefined && lease !== 'scaled' && lease !== 'default')
    refuse(`ha lease "${lease}": expected default or scaled`);
  const base = lease === 'scaled' ? scaled_ha : default_ha;
  const merged: Record<string, string | number> = { ...base };
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(base, key))
      refuse(`ha parameter "${key}" is not known; known: ${Object.keys(base).join(', ')}`);
    if (typeof value !== typeof base[key as keyof HaParams])
      refuse(`ha parameter ${key}: ${JSON.stringify(value)} has the wrong type`);
    if (typeof value === 'number' && !(value > 0))
      refuse(`ha parameter ${key}: ${value}, expected more than 0`);
    merged[key] = value;
  }
  return merged as unknown as HaParams;
}

/** @throws ApiFailure `invalid` naming the parameter, its value and what was expected. */
export function initCommand(params: ClusterInitParams, facts: InitFacts): Command {
  if (isIP(params.primary_ip) === 0) refuse(`primary_ip "${params.primary_ip}": expected an IP address`);
  if (params.master_ip !== '') {
    const family = isIP(params.master_ip);
    if (family === 0) refuse(`master_ip "${params.master_ip}": expected an IP address`);
    const most = family === 4 ? 32 : 128;
    if (
      !Number.isInteger(params.master_netmask) ||
      params.master_netmask < 1 ||
      params.master_netmask > most
    ) {
      refuse(`master_netmask ${params.master_netmask}: expected a prefix length from 1 to ${most}`);
    }
    if (!/^[A-Za-z0-9_.:-]{1,15}$/.test(params.master_netdev)) {
      refuse(`master_netdev "${params.master_netdev}": expected the name of a network device`);
    }
  }
  known('enabled_hypervisors', params.enabled_hypervisors, known_hypervisors);
  known('enabled_disk_templates', params.enabled_disk_templates, known_templates);
  absolute('file_storage_dir', params.file_storage_dir);
  absolute('shared_file_storage_dir', params.shared_file_storage_dir);
  const item = { serial_no: 1, ctime: facts.time, mtime: facts.time, tags: [] };
  return {
    type: 'cluster-init',
    time: facts.time,
    cluster: {
      ...item,
      uuid: facts.cluster_uuid,
      cluster_name: params.cluster_name,
      master_ip: params.master_ip,
      master_netdev: params.master_netdev,
      master_netmask: params.master_netmask,
      use_external_mip_script: false,
      primary_ip_family: isIP(params.primary_ip) === 6 ? 10 : 2,
      mac_prefix: 'aa:00:00',
      enabled_hypervisors: params.enabled_hypervisors,
      enabled_disk_templates: params.enabled_disk_templates,
      hvparams: params.hvparams,
      os_hvp: {},
      beparams: {},
      nicparams: params.nicparams,
      ndparams: {},
      diskparams: {},
      ...(params.ipolicy === undefined ? {} : { ipolicy: params.ipolicy }),
      osparams: {},
      candidate_pool_size: params.candidate_pool_size,
      max_running_jobs: 20,
      file_storage_dir: params.file_storage_dir,
      shared_file_storage_dir: params.shared_file_storage_dir,
      ha: haParams(params.ha),
      generation: 1,
      feature_level: 1,
    },
    group: {
      ...item,
      uuid: facts.group_uuid,
      name: 'default',
      alloc_policy: 'preferred',
      ndparams: {},
      diskparams: {},
    },
    node: {
      ...item,
      uuid: facts.node_uuid,
      name: params.node_name,
      member: 1,
      peer_id: facts.peer_id,
      addresses: facts.addresses,
      primary_ip: params.primary_ip,
      secondary_ip: params.primary_ip,
      group: facts.group_uuid,
      offline: false,
      drained: false,
      master_candidate: true,
      master_capable: true,
      vm_capable: true,
      ndparams: {},
      boot: facts.boot,
      health: 'member',
      health_since: facts.time,
      health_reason: 'founded the cluster',
    },
  };
}
