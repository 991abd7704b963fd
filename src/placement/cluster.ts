/**
 * A cluster as placement sees it: plain data, whatever it was read from (a live state, Ganeti's text format, a RAPI, an
 * IAllocator request). All sizes in MiB. Nothing here refers to a running cluster; nothing of it is ever changed.
 *
 * Nodes, groups and instances are known by their place in these arrays, so that the engine can work on typed arrays.
 */

/** Ganeti's disk templates, by name. */
export type DiskTemplate =
  | 'diskless'
  | 'file'
  | 'sharedfile'
  | 'plain'
  | 'blockdev'
  | 'drbd'
  | 'rbd'
  | 'ext'
  | 'gluster'
  | 'mirror';

/** How an instance of a template can leave its node. */
export type MirrorKind =
  /** Its disks are on one node only, or it has none: it cannot be moved by roles alone. */
  | 'none'
  /** A copy on a secondary node. */
  | 'internal'
  /** Reachable from every node of the group. */
  | 'external';

export interface Spec {
  readonly memory_mib: number;
  readonly cpus: number;
  readonly disk_mib: number;
  readonly disk_count: number;
  readonly nic_count: number;
  readonly spindle_use: number;
}

export interface MinMaxSpec {
  readonly min: Spec;
  readonly max: Spec;
}

/** Ganeti's instance policy. */
export interface InstancePolicy {
  readonly std: Spec;
  /** At least one pair; an instance has to fit one of them. */
  readonly minmax: readonly MinMaxSpec[];
  readonly disk_templates: readonly DiskTemplate[];
  readonly vcpu_ratio: number;
  readonly spindle_ratio: number;
  /** Memory that guests may be given for each MiB a node has; 1: none is promised twice. Skein's own. */
  readonly memory_ratio: number;
}

export type AllocPolicy = 'preferred' | 'last_resort' | 'unallocable';

export interface PlacementGroup {
  readonly name: string;
  readonly uuid: string;
  readonly alloc_policy: AllocPolicy;
  readonly tags: readonly string[];
  /** uuids of the networks that its nodes reach. */
  readonly networks: readonly string[];
  readonly policy: InstancePolicy;
}

export interface PlacementNode {
  readonly name: string;
  /** Its name where the source knows none. */
  readonly uuid: string;
  /** Index in {@link PlacementCluster.groups}. */
  readonly group: number;
  readonly total_memory_mib: number;
  /** What the node itself takes. */
  readonly node_memory_mib: number;
  readonly free_memory_mib: number;
  readonly total_disk_mib: number;
  readonly free_disk_mib: number;
  readonly total_cpus: number;
  readonly node_cpus: number;
  readonly cpu_speed: number;
  readonly offline: boolean;
  readonly drained: boolean;
  readonly vm_capable: boolean;
  readonly master: boolean;
  readonly exclusive_storage: boolean;
  /** All of them, and the free ones; they count where storage is exclusive. */
  readonly spindles: number;
  readonly free_spindles: number;
  readonly tags: readonly string[];
  /** The CPU load that was measured of the whole node; absent: the sum of its instances'. */
  readonly cpu_load?: number;
  /** Where it is, beside what its tags say: `rack:r7`, `room:a`; a level and a domain. Skein's own; empty: not known. */
  readonly failure_domains: readonly string[];
}

export interface PlacementDisk {
  readonly size_mib: number;
  /** null: not given. */
  readonly spindles: number | null;
}

/** Ganeti's names. */
export type RunStatus =
  | 'running'
  | 'ADMIN_down'
  | 'ADMIN_offline'
  | 'ERROR_up'
  | 'ERROR_down'
  | 'ERROR_nodedown'
  | 'ERROR_nodeoffline'
  | 'ERROR_wrongnode'
  | 'USER_down';

/** Whether there is a guest that a move would have to stop, or to migrate. */
export function isRunning(status: RunStatus): boolean {
  return status === 'running' || status === 'ERROR_up';
}

/** What an instance uses of its nodes, for each; 1 where nothing was measured. */
export interface Utilisation {
  readonly cpu: number;
  readonly memory: number;
  readonly disk: number;
  readonly net: number;
}

export interface PlacementInstance {
  readonly name: string;
  readonly uuid: string;
  readonly memory_mib: number;
  /** Of all its disks together. */
  readonly disk_mib: number;
  /** Each one, where the source says; otherwise one that is the sum. */
  readonly disks: readonly PlacementDisk[];
  readonly vcpus: number;
  readonly status: RunStatus;
  readonly auto_balance: boolean;
  /** Index in {@link PlacementCluster.nodes}. */
  readonly primary: number;
  /** -1: none. */
  readonly secondary: number;
  readonly template: DiskTemplate;
  readonly tags: readonly string[];
  readonly spindle_use: number;
  /** A reservation for one that does not exist yet. */
  readonly forthcoming: boolean;
  readonly nic_count: number;
  /** uuids of the networks that its NICs are in. */
  readonly networks: readonly string[];
  readonly utilisation: Utilisation;
  /** Its disks are on its node although its template does not say so (files, in Skein); absent: as the template says. */
  readonly local_disk?: boolean;
}

export interface PlacementCluster {
  readonly groups: readonly PlacementGroup[];
  readonly nodes: readonly PlacementNode[];
  readonly instances: readonly PlacementInstance[];
  readonly tags: readonly string[];
  readonly policy: InstancePolicy;
}

/** Why an instance cannot be put on a node; Ganeti's names are in `failureName`. */
export type PlacementFailure =
  | 'memory'
  | 'disk'
  | 'cpu'
  | 'n1'
  | 'tags'
  | 'migration'
  | 'disk-count'
  | 'spindles'
  /** One of Skein's own. */
  | 'rules'
  | 'internal';

/** As the htools print them. */
export const failureName: { readonly [failure in PlacementFailure]: string } = {
  memory: 'FailMem',
  disk: 'FailDisk',
  cpu: 'FailCPU',
  n1: 'FailN1',
  tags: 'FailTags',
  migration: 'FailMig',
  'disk-count': 'FailDiskCount',
  spindles: 'FailSpindles',
  rules: 'FailRule',
  internal: 'FailInternal',
};

export const mirrorKind: { readonly [template in DiskTemplate]: MirrorKind } = {
  diskless: 'external',
  file: 'none',
  sharedfile: 'external',
  plain: 'none',
  blockdev: 'external',
  drbd: 'internal',
  rbd: 'external',
  ext: 'external',
  gluster: 'external',
  mirror: 'internal',
};
