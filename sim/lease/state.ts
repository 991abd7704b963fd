/**
 * The replicated state of the lease model, and its translation into the real configuration objects that the decider
 * looks at. For tests.
 */
import type { Cluster, HaParams, Instance, Node, NodeHealth, Owner } from '../../src/config/model.ts';

export interface ModelState {
  readonly owners: ReadonlyMap<string, Owner>;
  readonly boots: ReadonlyMap<string, number>;
  readonly health: ReadonlyMap<string, NodeHealth>;
}

export type ModelEntry =
  | {
      readonly type: 'owner';
      readonly instance: string;
      readonly if_epoch: number;
      readonly node: string;
      readonly boot: number;
    }
  | { readonly type: 'boot'; readonly node: string; readonly boot: number }
  | { readonly type: 'health'; readonly node: string; readonly health: NodeHealth; readonly if_boot: number };

export const model_ha: HaParams = {
  renew_ms: 250,
  lease_ms: 2000,
  guard_slack_ms: 500,
  kill_ms: 1000,
  margin_ms: 500,
  drift: 0.01,
  autorepair: 'failover',
};

/** Conditional, as the real commands are: a refused entry changes nothing. */
export function applyEntry(state: ModelState, entry: ModelEntry): ModelState {
  switch (entry.type) {
    case 'owner': {
      const { instance, if_epoch, node, boot } = entry;
      if (state.owners.get(instance)?.epoch !== if_epoch || state.boots.get(node) !== boot) return state;
      return { ...state, owners: new Map(state.owners).set(instance, { node, boot, epoch: if_epoch + 1 }) };
    }
    case 'boot':
      if (entry.boot <= (state.boots.get(entry.node) ?? 0)) return state;
      return { ...state, boots: new Map(state.boots).set(entry.node, entry.boot) };
    case 'health':
      if (state.boots.get(entry.node) !== entry.if_boot) return state;
      return { ...state, health: new Map(state.health).set(entry.node, entry.health) };
  }
}

const item = { serial_no: 1, ctime: 0, mtime: 0, tags: [] };

export function toNodes(state: ModelState): readonly Node[] {
  return [...state.boots].map(([uuid, boot], i) => ({
    ...item,
    uuid,
    name: uuid,
    member: i + 1,
    peer_id: uuid,
    addresses: [],
    primary_ip: '',
    secondary_ip: '',
    group: 'g',
    offline: false,
    drained: false,
    master_candidate: true,
    master_capable: true,
    vm_capable: true,
    ndparams: {},
    boot,
    health: state.health.get(uuid) ?? 'member',
    health_since: 0,
    health_reason: '',
  }));
}

export function toInstances(state: ModelState): readonly Instance[] {
  return [...state.owners].map(([uuid, owner]) => ({
    ...item,
    uuid,
    name: uuid,
    primary_node: owner.node,
    os: '',
    hypervisor: 'fake',
    hvparams: {},
    beparams: {},
    osparams: {},
    admin_state: 'up',
    admin_state_source: 'admin',
    disk_template: 'diskless',
    disks: [],
    nics: [],
    owner,
    guarded: true,
    owner_log: [],
  }));
}

const cluster: Cluster = {
  ...item,
  uuid: 'c',
  cluster_name: 'c',
  master_ip: '',
  master_netdev: '',
  master_netmask: 32,
  use_external_mip_script: false,
  primary_ip_family: 2,
  mac_prefix: 'aa:00:00',
  enabled_hypervisors: ['fake'],
  enabled_disk_templates: ['diskless'],
  hvparams: {},
  os_hvp: {},
  beparams: {},
  nicparams: {},
  ndparams: {},
  diskparams: {},
  osparams: {},
  candidate_pool_size: 7,
  max_running_jobs: 20,
  file_storage_dir: '',
  shared_file_storage_dir: '',
  ha: model_ha,
  generation: 1,
  feature_level: 1,
};

export const toCluster = (): Cluster => cluster;
