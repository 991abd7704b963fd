/** Small clusters for tests: what is not said is the same everywhere. */
import type {
  InstancePolicy,
  PlacementCluster,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
} from './cluster.ts';
import { default_policy } from './default-policy.ts';

export const wide_policy: InstancePolicy = {
  ...default_policy,
  minmax: [
    {
      min: { memory_mib: 64, cpus: 1, disk_mib: 64, disk_count: 0, nic_count: 0, spindle_use: 0 },
      max: {
        memory_mib: 65_536,
        cpus: 64,
        disk_mib: 1_048_576,
        disk_count: 16,
        nic_count: 8,
        spindle_use: 64,
      },
    },
  ],
};

export function group(name: string, changes: Partial<PlacementGroup> = {}): PlacementGroup {
  return {
    name,
    uuid: `uuid-${name}`,
    alloc_policy: 'preferred',
    tags: [],
    networks: [],
    policy: wide_policy,
    ...changes,
  };
}

/** With 16 GiB of memory and 100 GiB of disk, all free. */
export function node(name: string, changes: Partial<PlacementNode> = {}): PlacementNode {
  return {
    name,
    uuid: name,
    group: 0,
    total_memory_mib: 16_384,
    node_memory_mib: 0,
    free_memory_mib: 16_384,
    total_disk_mib: 102_400,
    free_disk_mib: 102_400,
    total_cpus: 16,
    node_cpus: 0,
    cpu_speed: 1,
    offline: false,
    drained: false,
    vm_capable: true,
    master: false,
    exclusive_storage: false,
    spindles: 10,
    free_spindles: 10,
    tags: [],
    failure_domains: [],
    ...changes,
  };
}

/** With 1 GiB of memory and a disk of 10 GiB, running, on no node. */
export function instance(name: string, changes: Partial<PlacementInstance> = {}): PlacementInstance {
  const disk_mib = changes.disk_mib ?? 10_240;
  return {
    name,
    uuid: name,
    memory_mib: 1_024,
    disk_mib,
    disks: [{ size_mib: disk_mib, spindles: 1 }],
    vcpus: 1,
    status: 'running',
    auto_balance: true,
    primary: -1,
    secondary: -1,
    template: 'drbd',
    tags: [],
    spindle_use: 1,
    forthcoming: false,
    nic_count: 1,
    networks: [],
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
    ...changes,
  };
}

/** What the instances take is taken off the nodes' free memory and disk. */
export function cluster(
  nodes: readonly PlacementNode[],
  instances: readonly PlacementInstance[] = [],
  changes: Partial<PlacementCluster> = {},
): PlacementCluster {
  return {
    groups: [group('default')],
    nodes: nodes.map((one, at) => {
      const primaries = instances.filter(({ primary }) => primary === at);
      const here = instances.filter(({ primary, secondary }) => primary === at || secondary === at);
      const local = here.filter(({ template }) => template === 'drbd' || template === 'plain');
      return {
        ...one,
        free_memory_mib: one.free_memory_mib - sum(primaries.map(({ memory_mib }) => memory_mib)),
        free_disk_mib: one.free_disk_mib - sum(local.map(({ disk_mib }) => disk_mib)),
      };
    }),
    instances,
    tags: [],
    policy: wide_policy,
    ...changes,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
