/** Small clusters for tests: only what a test is about has to be said. */
import type { PlacementCluster, PlacementGroup, PlacementInstance, PlacementNode } from './cluster.ts';
import { default_policy } from './default-policy.ts';

export interface SmallCluster {
  /** Name, and what is not as in {@link small_node}. */
  readonly nodes: readonly (readonly [string, Partial<PlacementNode>?])[];
  /** Name, its node or its two nodes (`a b`), and what else is not as in {@link small_instance}. */
  readonly instances?: readonly (readonly [string, string, Partial<PlacementInstance>?])[];
  readonly tags?: readonly string[];
  readonly groups?: readonly Partial<PlacementGroup>[];
}

const small_group: PlacementGroup = {
  name: 'default',
  uuid: 'uuid-default',
  alloc_policy: 'preferred',
  tags: [],
  networks: [],
  policy: default_policy,
};

const small_node: Omit<PlacementNode, 'name' | 'uuid'> = {
  group: 0,
  total_memory_mib: 16_384,
  node_memory_mib: 0,
  free_memory_mib: 16_384,
  total_disk_mib: 1_048_576,
  free_disk_mib: 1_048_576,
  total_cpus: 16,
  node_cpus: 0,
  cpu_speed: 1,
  offline: false,
  drained: false,
  vm_capable: true,
  master: false,
  exclusive_storage: false,
  spindles: 1,
  free_spindles: 1,
  tags: [],
  failure_domains: [],
};

const small_instance: Omit<PlacementInstance, 'name' | 'uuid' | 'primary' | 'secondary' | 'template'> = {
  memory_mib: 1_024,
  disk_mib: 1_024,
  disks: [{ size_mib: 1_024, spindles: null }],
  vcpus: 1,
  status: 'running',
  auto_balance: true,
  tags: [],
  spindle_use: 1,
  forthcoming: false,
  nic_count: 1,
  networks: [],
  utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
};

/** Free memory and disk are what the instances leave, unless a node says otherwise. Two nodes: drbd, one: rbd. */
export function smallCluster({
  nodes,
  instances = [],
  tags = [],
  groups = [{}],
}: SmallCluster): PlacementCluster {
  const at = new Map(nodes.map(([name], index) => [name, index]));
  const placed = instances.map(([name, where, changes]): PlacementInstance => {
    const [primary = '', secondary] = where.split(' ');
    return {
      ...small_instance,
      name,
      uuid: `uuid-${name}`,
      primary: at.get(primary) ?? -1,
      secondary: at.get(secondary ?? '') ?? -1,
      template: secondary === undefined ? 'rbd' : 'drbd',
      ...changes,
    };
  });
  return {
    groups: groups.map((changes) => ({ ...small_group, ...changes })),
    nodes: nodes.map(([name, changes], index) => {
      const node = { ...small_node, name, uuid: `uuid-${name}`, ...changes };
      const used = (has: (one: PlacementInstance) => boolean, size: 'memory_mib' | 'disk_mib'): number =>
        placed.filter(has).reduce((sum, one) => sum + one[size], 0);
      const runs = (one: PlacementInstance): boolean =>
        one.primary === index && one.status === 'running' && !one.forthcoming;
      const stores = (one: PlacementInstance): boolean =>
        !one.forthcoming &&
        (one.template === 'drbd' || one.template === 'plain') &&
        (one.primary === index || one.secondary === index);
      return {
        ...node,
        free_memory_mib: node.total_memory_mib - node.node_memory_mib - used(runs, 'memory_mib'),
        free_disk_mib: node.total_disk_mib - used(stores, 'disk_mib'),
        ...changes,
      };
    }),
    instances: placed,
    tags,
    policy: default_policy,
  };
}
