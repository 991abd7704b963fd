import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AllocatorOptions, runAllocator } from './allocator.ts';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import type { AllocatorRequest, WantedInstance } from './iallocator-format.ts';
import { buildTable } from './table.ts';
import { cluster, group, instance, node, wide_policy } from './test-allocation.ts';

const wanted = (
  changes: Partial<PlacementInstance> = {},
  group_name: string | null = null,
): WantedInstance => {
  const one = instance('new', changes);
  return { instance: one, node_count: one.template === 'drbd' ? 2 : 1, group: group_name };
};
const ask = (of: PlacementCluster, request: AllocatorRequest, options: AllocatorOptions = {}) =>
  runAllocator({ cluster: of, request }, options).answer;
const allocate = (of: PlacementCluster, one: WantedInstance, options: AllocatorOptions = {}) =>
  ask(of, { type: 'allocate', wanted: one, restrict_to: null }, options);

const four = [node('a'), node('b'), node('c'), node('d')];
const on_a = (name: string, changes: Partial<PlacementInstance> = {}) =>
  instance(name, { primary: 0, template: 'ext', memory_mib: 4_096, ...changes });

describe('allocating one instance', () => {
  it('chooses the least loaded pair, of equals the last', () => {
    const { success, info, result } = allocate(
      cluster(four, [on_a('x'), on_a('y', { primary: 3 })]),
      wanted(),
    );
    assert.equal(success, true);
    assert.deepEqual(result, ['c', 'b']);
    assert.match(
      info,
      /^Request successful: Selected group: default, Group default \(preferred\): score: \d+\.\d{8}, successes 12, failures 0 \(\) for node\(s\) c\/b$/,
    );
  });

  it('counts why nodes will not do', () => {
    const nodes = [
      node('a', { total_cpus: 0.1 }),
      node('b', { free_disk_mib: 100 }),
      node('c', { offline: true }),
    ];
    assert.deepEqual(allocate(cluster(nodes), wanted({ template: 'plain' })), {
      success: false,
      info: 'Request failed: Group default (preferred): No valid allocation solutions, failure reasons: FailDisk: 1, FailCPU: 1',
      result: [],
    });
    const big = allocate(cluster(four), wanted({ memory_mib: 20_000 }));
    assert.match(big.info, /failure reasons: FailMem: 12$/);
  });

  it('keeps the cluster so that any node may die, unless told not to', () => {
    const of = cluster([node('a'), node('b')], [on_a('x', { memory_mib: 9_000 })]);
    const one = wanted({ template: 'ext', memory_mib: 8_000 });
    assert.match(allocate(of, one).info, /failure reasons: FailMem: 1, FailN1: 1$/);
    assert.deepEqual(allocate(of, one, { capacity_checks: false }).result, ['b']);
  });

  it('goes only to the nodes it is restricted to; the command line decides', () => {
    const request = { type: 'allocate', wanted: wanted(), restrict_to: ['a', 'b'] } as const;
    assert.deepEqual(ask(cluster(four), request).result, ['b', 'a']);
    assert.deepEqual(ask(cluster(four), request, { restrict_to: ['a', 'd'] }).result, ['d', 'a']);
    assert.match(
      ask(cluster(four), request, { restrict_to: ['z'] }).info,
      /Group default: error Not enough online nodes$/,
    );
  });

  it('respects exclusion tags, unless soft limits do not count', () => {
    const tags = ['htools:iextags:service'];
    const of = cluster(
      [node('a'), node('b')],
      [0, 1].map((primary) => on_a(`x${primary}`, { primary, tags: ['service:web'] })),
      { tags },
    );
    const one = wanted({ template: 'ext', tags: ['service:web'] });
    assert.match(allocate(of, one).info, /FailTags: 2$/);
    assert.equal(allocate(of, one, { ignore_soft_errors: true }).success, true);
  });

  it('says what it cannot do', () => {
    assert.match(
      allocate(cluster(four), { ...wanted(), node_count: 3 }).info,
      /error Unsupported number of nodes, only one or two {2}supported$/,
    );
    assert.equal(
      allocate(cluster(four), wanted({}, 'none')).info,
      'Request failed: Wrong number of elems found with name none',
    );
  });
});

describe('choosing a group', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, at) => node(name, { group: Math.floor(at / 2) }));
  const groups = [
    group('spare', { alloc_policy: 'last_resort' }),
    group('main'),
    group('lab', { alloc_policy: 'unallocable' }),
  ];
  const of = (changes: Partial<PlacementCluster> = {}) => cluster(nodes, [], { groups, ...changes });

  it('takes preferred ones first, and unallocable ones only when asked for', () => {
    assert.deepEqual(allocate(of(), wanted()).result, ['d', 'c']);
    assert.deepEqual(allocate(of(), wanted({}, 'lab')).result, ['f', 'e']);
    assert.deepEqual(allocate(of(), wanted({}, 'uuid-spare')).result, ['b', 'a']);
    const full = cluster(
      nodes,
      [2, 3].map((primary) => on_a(`x${primary}`, { primary, memory_mib: 16_000 })),
      { groups },
    );
    assert.deepEqual(allocate(full, wanted(), { capacity_checks: false }).result, ['b', 'a']);
  });

  it('leaves out those without a network or the disk template', () => {
    const connected = [group('one', { networks: ['net'] }), group('two'), group('three')];
    const needs_net = wanted({ networks: ['net'] });
    const { result, info } = allocate(of({ groups: connected }), needs_net);
    assert.deepEqual(result, ['b', 'a']);
    assert.match(
      info,
      /Selected group: one, group two is not connected to a network required by instance new, group three is/,
    );
    assert.equal(
      allocate(of({ groups: connected }), { ...needs_net, group: 'two' }).info,
      'Request failed: The group two is not connected to a network required by instance new',
    );
    const plain_only = { ...wide_policy, disk_templates: ['plain' as const] };
    const picky = [
      group('one', { policy: plain_only }),
      group('two'),
      group('three', { policy: plain_only }),
    ];
    assert.deepEqual(allocate(of({ groups: picky }), wanted()).result, ['d', 'c']);
  });
});

describe('allocating by what is lost', () => {
  const half = { memory_mib: 8_192, cpus: 2, disk_mib: 51_200, disk_count: 1, nic_count: 1, spindle_use: 2 };
  const quarter = { ...half, memory_mib: 4_096, disk_mib: 25_600 };
  const policy = {
    ...wide_policy,
    minmax: [
      { min: quarter, max: quarter },
      { min: half, max: half },
    ],
  };
  const groups = [group('default', { policy })];
  const big = {
    exclusive_storage: true,
    total_memory_mib: 16_385,
    free_memory_mib: 16_385,
    total_disk_mib: 102_401,
    free_disk_mib: 102_401,
  };
  const exclusive = ['a', 'b'].map((name) => node(name, big));
  const one = wanted({
    template: 'plain',
    memory_mib: 4_096,
    vcpus: 2,
    disk_mib: 25_600,
    disks: [{ size_mib: 25_600, spindles: 2 }],
  });

  it('fills up where a large instance does not fit any more', () => {
    const taken = instance('x', { template: 'plain', primary: 0, memory_mib: 4_096, disk_mib: 25_600 });
    const { result, info } = allocate(cluster(exclusive, [taken], { groups }), one);
    assert.deepEqual(result, ['a']);
    assert.match(info, /score: \(\[0,1\],51201\), successes 2, failures 0 \(\) for node\(s\) a$/);
  });

  it('is left alone where some node of an allocable group has no exclusive storage', () => {
    const mixed = cluster([...exclusive, node('c')], [], { groups });
    assert.match(allocate(mixed, one).info, /score: \d+\.\d{8},/);
  });

  it('works for pairs', () => {
    const pair = { ...one, instance: { ...one.instance, template: 'drbd' as const }, node_count: 2 };
    const { result, info } = allocate(cluster(exclusive, [], { groups }), pair);
    assert.deepEqual(result, ['b', 'a']);
    assert.match(info, /score: \(\[\d+,\d+\],153602\), successes 2/);
  });
});

describe('allocating several instances', () => {
  const all = (names: string, group_name: string | null) =>
    [...names].map((name) => wanted({ name, template: 'ext', memory_mib: 10_000 }, group_name));
  const run = (asked: readonly WantedInstance[]) =>
    runAllocator(
      { cluster: cluster(four), request: { type: 'multi-allocate', wanted: asked } },
      { capacity_checks: false },
    );

  it('lets each see the ones before it', () => {
    const outcome = run(all('pqrs', null));
    assert.equal(
      outcome.answer.info,
      'Request successful: 0 instances failed to allocate and 4 were allocated successfully',
    );
    const placed = [
      ['p', ['d']],
      ['q', ['c']],
      ['r', ['b']],
      ['s', ['a']],
    ];
    assert.deepEqual(outcome.answer.result, [placed, []]);
    assert.deepEqual(
      outcome.instances.map(({ name, primary }) => [name, primary]),
      [
        ['p', 3],
        ['q', 2],
        ['r', 1],
        ['s', 0],
      ],
    );
  });

  it('tells of those that do not fit in the group asked for', () => {
    const [placed, refused] = run(all('pqrst', 'default')).answer.result as [unknown[], [string, string][]];
    assert.equal(placed.length, 4);
    assert.deepEqual(refused, [
      ['t', 'Group default (preferred): No valid allocation solutions, failure reasons: FailMem: 4'],
    ]);
  });

  it('fails as a whole where one fits nowhere', () => {
    const { answer, instances, table } = run(all('pqrst', null));
    assert.deepEqual([instances, table.state], [[], buildTable(cluster(four)).state]);
    assert.deepEqual(answer, {
      success: false,
      info: 'Request failed: Group default (preferred): No valid allocation solutions, failure reasons: FailMem: 4',
      result: [],
    });
  });
});

describe('giving an instance a secondary', () => {
  it('chooses one as if it were new, where its primary is', () => {
    const of = cluster(four, [
      on_a('x', { template: 'plain' }),
      on_a('y', { primary: 3, memory_mib: 12_000 }),
    ]);
    const outcome = runAllocator({ cluster: of, request: { type: 'allocate-secondary', instance: 0 } });
    assert.equal(outcome.answer.result, 'c');
    assert.match(
      outcome.answer.info,
      /^Request successful: score: \d+\.\d{8}, successes 3, failures 0 \(\) for node\(s\) a\/c$/,
    );
    const [x] = outcome.instances;
    assert.deepEqual([x?.template, x?.primary, x?.secondary], ['drbd', 0, 2]);
  });

  it('refuses one that has one', () => {
    const of = cluster(four, [on_a('x', { template: 'drbd', secondary: 1 })]);
    assert.equal(
      ask(of, { type: 'allocate-secondary', instance: 0 }).info,
      'Request failed: Instance already has a secondary',
    );
  });
});

describe('relocating an instance', () => {
  const copied = cluster(four, [on_a('x', { template: 'drbd', secondary: 1 }), on_a('y', { primary: 3 })]);
  const relocate = (of: PlacementCluster, from: readonly number[], node_count = 1) =>
    ask(of, { type: 'relocate', instance: 0, node_count, from });

  it('exchanges the secondary, or the primary where every node reaches the disks', () => {
    assert.deepEqual(relocate(copied, [1]), {
      success: true,
      info: 'Request successful: success',
      result: ['c'],
    });
    assert.deepEqual(relocate(cluster(four, [on_a('x'), on_a('y', { primary: 3 })]), [0]).result, ['c']);
  });

  it('says what it cannot do', () => {
    assert.match(
      relocate(copied, [0]).info,
      /excluded nodes not equal to instance's secondary\(1 versus \[0\]\)$/,
    );
    assert.match(relocate(copied, [1], 2).info, /Exchange 2 nodes mode is not implemented$/);
    assert.match(
      relocate(cluster(four, [on_a('x', { template: 'plain' })]), [0]).info,
      /Can't relocate non-mirrored instances$/,
    );
    const crowded = cluster(
      [node('a'), node('b'), node('c', { free_memory_mib: 100 })],
      [on_a('x', { template: 'drbd', secondary: 1 })],
    );
    assert.match(relocate(crowded, [1]).info, /Can't find any good node: {2}Node c failed: FailMem;$/);
  });
});

describe('changing the group of instances', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e'].map((name, at) => node(name, { group: at < 2 ? 0 : 1 }));
  const groups = [group('old'), group('new')];

  it('takes them to the group that would be chosen for a new one', () => {
    const of = cluster(nodes, [on_a('x', { template: 'drbd', secondary: 1 }), on_a('y')], { groups });
    const { result, info } = ask(of, { type: 'change-group', instances: [0, 1], target_groups: [] });
    assert.equal(info, 'Request successful: 0 instances failed to move and 2 were moved successfully');
    const [moved, refused, jobs] = result as [[string, string, string[]][], unknown[], { OP_ID: string }[][]];
    assert.deepEqual(moved, [
      ['x', 'new', ['e', 'd']],
      ['y', 'new', ['c']],
    ]);
    assert.deepEqual(refused, []);
    assert.deepEqual(
      jobs.map((job) => job.map(({ OP_ID }) => OP_ID)),
      [
        ['OP_INSTANCE_REPLACE_DISKS', 'OP_INSTANCE_MIGRATE', 'OP_INSTANCE_REPLACE_DISKS'],
        ['OP_INSTANCE_MIGRATE'],
      ],
    );
  });

  it('tells which cannot go', () => {
    const of = cluster(nodes, [on_a('x', { template: 'plain' })], { groups });
    assert.deepEqual(ask(of, { type: 'change-group', instances: [0], target_groups: [1] }).result, [
      [],
      [['x', 'Instances of type plain cannot be relocated']],
      [],
    ]);
    const nowhere = ask(of, { type: 'change-group', instances: [0], target_groups: [0] }).result as [
      [],
      [string, string][],
      [],
    ];
    assert.equal(
      nowhere[1][0]![1],
      'no groups for evacuation: allowed groups was Just [], all groups: [old,new]',
    );
  });
});
