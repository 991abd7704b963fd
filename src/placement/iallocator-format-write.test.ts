import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import type { PlacementCluster } from './cluster.ts';
import { type AllocatorRequest, parseAllocatorInput } from './iallocator-format.ts';
import { formatAllocatorInput } from './iallocator-format-write.ts';
import { instance } from './test-allocation.ts';

const names = { cluster_name: 'test', enabled_hypervisors: ['xen-pvm'] };
const again = (cluster: PlacementCluster, request: AllocatorRequest) =>
  parseAllocatorInput(formatAllocatorInput(cluster, request, names));

const clusters: readonly ClusterRequest[] = [
  {
    nodes: 6,
    instances: 20,
    groups: 2,
    templates: ['drbd', 'plain', 'ext'],
    exclusion: true,
    locations: true,
  },
  { nodes: 4, instances: 10, mixed_nodes: true, down: 0.3, forthcoming: 0.3, odd_sizes: true },
];

/** What a message does not tell. */
function told(cluster: PlacementCluster): PlacementCluster {
  return {
    ...cluster,
    nodes: cluster.nodes.map((node) => ({ ...node, uuid: node.name, cpu_speed: 1, master: false })),
    instances: cluster.instances.map((one) => ({ ...one, uuid: one.name, auto_balance: true })),
  };
}

describe('IAllocator messages that are written', () => {
  for (const [at, request] of clusters.entries()) {
    it(`read back as the same cluster (${at})`, () => {
      const cluster = generateCluster(request);
      const asked: AllocatorRequest = { type: 'allocate-secondary', instance: 1 };
      assert.deepEqual(again(cluster, asked).cluster, told(cluster));
    });
  }

  it('keep what exclusive storage and networks need, and ask nothing of nodes that are offline', () => {
    const plain = generateCluster({ nodes: 3, instances: 2 });
    const cluster: PlacementCluster = {
      ...plain,
      nodes: plain.nodes.map((node, at) => ({
        ...node,
        ...(at === 0 ? { exclusive_storage: true, spindles: 9, free_spindles: 4 } : {}),
        ...(at === 2 ? { offline: true } : {}),
      })),
      instances: plain.instances.map((one) => ({ ...one, nic_count: 2, networks: ['net'] })),
    };
    const { nodes, instances } = again(cluster, { type: 'allocate-secondary', instance: 0 }).cluster;
    assert.deepEqual([nodes[0]?.spindles, nodes[0]?.free_spindles], [9, 4]);
    assert.deepEqual([nodes[2]?.offline, nodes[2]?.total_memory_mib], [true, 0]);
    assert.deepEqual([instances[0]?.nic_count, instances[0]?.networks], [2, ['net']]);
  });

  it('read back as the same request', () => {
    const cluster = generateCluster({ nodes: 6, instances: 6, groups: 2 });
    const wanted = {
      instance: instance('new', { networks: [], nic_count: 0 }),
      node_count: 2,
      group: 'group-01',
    };
    const requests: readonly AllocatorRequest[] = [
      { type: 'allocate', wanted, restrict_to: ['node-01-001'] },
      { type: 'allocate', wanted: { ...wanted, group: null }, restrict_to: null },
      { type: 'multi-allocate', wanted: [wanted, { ...wanted, group: null }] },
      { type: 'allocate-secondary', instance: 3 },
      { type: 'relocate', instance: 2, node_count: 1, from: [4] },
      { type: 'node-evacuate', instances: [5, 0], mode: 'secondary-only' },
      { type: 'change-group', instances: [1], target_groups: [1] },
    ];
    for (const request of requests) assert.deepEqual(again(cluster, request).request, request);
  });
});
