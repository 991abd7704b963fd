/** Which nodes go down together, in which order, and where their instances are meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import type { DiskTemplate, PlacementCluster } from './cluster.ts';
import { type RebootOptions, type RebootResult, rebootGroups } from './reboot-groups.ts';
import { allBreaches, breaksMore } from './rule-breaches.ts';
import { compileRules, copyRules, placed } from './rules.ts';
import { buildTable } from './table.ts';
import { assertSound, everything } from './test-reboot-check.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

type RebootGroups = Extract<RebootResult, { readonly groups: unknown }>;
const failureOf = (found: RebootResult): string | null => ('failure' in found ? found.failure : null);

function result(cluster: PlacementCluster, changes: Partial<RebootOptions> = {}): RebootResult {
  const options = { ...everything, ...changes };
  const found = rebootGroups(buildTable(cluster), options);
  if ('groups' in found) assertSound(cluster, options, found.groups);
  return found;
}

function planOf(cluster: PlacementCluster, changes: Partial<RebootOptions> = {}): RebootGroups {
  const found = result(cluster, changes);
  if ('failure' in found) throw new Error(found.failure);
  return found;
}

/** `a,b c`: a and b, then c. */
function groupsOf(shape: SmallCluster, changes: Partial<RebootOptions> = {}): string {
  const cluster = smallCluster(shape);
  return planOf(cluster, changes)
    .groups.map(({ nodes }) => nodes.map((node) => cluster.nodes[node]!.name).join())
    .join(' ');
}

/** `i>n` for each move, with its secondary after a slash. */
function movesOf(shape: SmallCluster, changes: Partial<RebootOptions> = {}): readonly string[] {
  const cluster = smallCluster(shape);
  const named = (node: number): string => cluster.nodes[node]!.name;
  return planOf(cluster, changes).groups.map(({ moves }) =>
    moves
      .map(
        ({ instance, primary, secondary }) =>
          `${cluster.instances[instance]!.name}>${named(primary)}${secondary < 0 ? '' : `/${named(secondary)}`}`,
      )
      .join(' '),
  );
}

const four: SmallCluster['nodes'] = [['a'], ['b'], ['c'], ['d']];

describe('reboot groups', () => {
  const cases: readonly (readonly [string, SmallCluster, Partial<RebootOptions>, string])[] = [
    ['all at once where nothing runs', { nodes: four }, {}, 'a,b,c,d'],
    ['never the two copies of an instance', { nodes: four, instances: [['i', 'a c']] }, {}, 'a,b,d c'],
    [
      'never two whose instances would meet',
      {
        nodes: four,
        instances: [
          ['i', 'a d'],
          ['j', 'b d'],
        ],
      },
      {},
      'b,c a d',
    ],
    [
      'they do not meet if they are shut down',
      {
        nodes: four,
        instances: [
          ['i', 'a d'],
          ['j', 'b d'],
        ],
      },
      { offline_maintenance: true },
      'c,d a,b',
    ],
    [
      'a reservation keeps its copies apart, but moves to nobody',
      {
        nodes: four,
        instances: [
          ['i', 'a d', { forthcoming: true }],
          ['j', 'b d', { forthcoming: true }],
        ],
      },
      {},
      'c,d a,b',
    ],
    [
      'the master last, though its group is the largest',
      { nodes: [['a', { master: true }], ['b'], ['c']], instances: [['i', 'a b']] },
      {},
      'b c,a',
    ],
    ['only what is online', { nodes: [['a'], ['b', { offline: true }], ['c']] }, {}, 'a,c'],
    [
      'meeting on a node that is offline counts',
      {
        nodes: [['a'], ['b'], ['c', { offline: true }]],
        instances: [
          ['i', 'a c'],
          ['j', 'b c'],
        ],
      },
      {},
      'b a',
    ],
    [
      'only nodes with one of the tags',
      { nodes: [['a', { tags: ['x'] }], ['b'], ['c', { tags: ['z', 'y'] }]] },
      { node_tags: ['x', 'y'] },
      'a,c',
    ],
    [
      'only one group of nodes',
      { nodes: [['a'], ['b', { group: 1 }], ['c']], groups: [{ name: 'g' }, { name: 'h' }] },
      { group: 0 },
      'a,c',
    ],
    [
      'without those that host what has no secondary',
      {
        nodes: four,
        instances: [
          ['i', 'b'],
          ['k', 'c', { forthcoming: true }],
        ],
      },
      { non_redundant: 'skip' },
      'a,c,d',
    ],
    [
      'not all at once if something has to go elsewhere',
      {
        nodes: four,
        instances: [
          ['i', 'a'],
          ['j', 'b'],
          ['k', 'c'],
          ['l', 'd'],
        ],
      },
      {},
      'a,b,c d',
    ],
    [
      'as little at once as there is room',
      { nodes: four, instances: four.map(([name]) => [`i${name}`, name, { memory_mib: 6_000 }] as const) },
      {},
      'a,b c,d',
    ],
    [
      'all at once if that does not matter',
      {
        nodes: four,
        instances: [
          ['i', 'a'],
          ['j', 'b'],
        ],
      },
      { non_redundant: 'ignore' },
      'a,b,c,d',
    ],
    [
      'within the group of nodes only',
      {
        nodes: [['a'], ['b'], ['c', { group: 1 }], ['d', { group: 1 }]],
        instances: [
          ['i', 'a'],
          ['j', 'b'],
        ],
        groups: [{ name: 'g' }, { name: 'h' }],
      },
      {},
      'a,c,d b',
    ],
  ];
  for (const [what, shape, options, expected] of cases)
    it(what, () => assert.equal(groupsOf(shape, options), expected));

  it('instances without a secondary go to the first with room, the last of a node first', () => {
    const shape: SmallCluster = {
      nodes: [['a', { tags: ['x'] }], ['b', { total_disk_mib: 3_000 }], ['c'], ['d', { offline: true }]],
      instances: [
        ['i', 'a', { template: 'plain', disk_mib: 2_000 }],
        ['j', 'a', { template: 'plain', disk_mib: 2_000 }],
        ['k', 'a'],
      ],
    };
    assert.deepEqual(movesOf(shape, { node_tags: ['x'] }), ['i>c j>b k>b']);
    // With b and c to be rebooted as well, b can go at the same time: what it took goes on to c.
    assert.deepEqual(movesOf(shape), ['i>c j>c k>c', '']);
  });

  it('full evacuation: roles change, then the other copy moves', () => {
    const shape: SmallCluster = {
      nodes: four,
      instances: [
        ['i', 'a b'],
        ['j', 'b a'],
      ],
    };
    assert.equal(groupsOf(shape, { full_evacuation: true }), 'b,c a,d');
    assert.deepEqual(movesOf(shape, { full_evacuation: true }), ['i>a/d j>a/d', 'i>b/c j>b/c']);
  });

  it('where room for secondaries splits a group, what was on the others may have made it', () => {
    const shape: SmallCluster = {
      nodes: [['a'], ['b'], ['c'], ['d', { free_disk_mib: 1_500 }]],
      instances: [
        ['s1', 'c a'],
        ['s2', 'c b'],
        ['i', 'a'],
        ['j', 'b'],
      ],
    };
    assert.equal(groupsOf(shape, { full_evacuation: true }), 'c,d a b');
    assert.equal(movesOf(shape, { full_evacuation: true })[1], 's1>c/b i>c j>c');
  });

  const failures: readonly (readonly [string, SmallCluster, Partial<RebootOptions>, string])[] = [
    ['no nodes', { nodes: four }, { node_tags: ['x'] }, 'no-nodes'],
    ['nowhere to go', { nodes: [['a']], instances: [['i', 'a']] }, {}, 'non-redundant'],
    [
      'no memory on the secondary',
      {
        nodes: [['a'], ['b', { total_memory_mib: 512 }], ['c']],
        instances: [['i', 'a b']],
      },
      { full_evacuation: true },
      'migrate',
    ],
    [
      'no disk for what is there already, as for hroller',
      { nodes: [['a', { free_disk_mib: 0 }], ['b'], ['c']], instances: [['i', 'a b']] },
      { full_evacuation: true },
      'migrate',
    ],
    [
      'no third node',
      { nodes: [['a'], ['b']], instances: [['i', 'a b']] },
      { full_evacuation: true },
      'secondaries',
    ],
  ];
  for (const [what, shape, options, failure] of failures) {
    it(`fails: ${what}`, () => {
      assert.equal(failureOf(result(smallCluster(shape), options)), failure);
    });
  }

  it('fills groups that were split for want of room, until there are fewer', () => {
    const cluster = generateCluster({ nodes: 6, instances: 16, templates: ['plain'], fill: 0.75, seed: 61 });
    assert.equal(planOf(cluster).groups.length, 3, 'hroller: 5');
  });

  it('keeps Skein’s own rules when it looks for room', () => {
    const apart = { tags: ['skein:anti-affinity:must:web'] };
    const rulesOf = (shape: SmallCluster): Partial<RebootOptions> => {
      const compiled = compileRules(smallCluster(shape));
      return { rules: 'rules' in compiled ? compiled.rules : null };
    };
    const spread: SmallCluster = {
      nodes: four,
      instances: [
        ['i', 'a', apart],
        ['j', 'b', apart],
        ['k', 'c', apart],
      ],
    };
    assert.equal(groupsOf(spread), 'a,b,c d');
    assert.equal(groupsOf(spread, rulesOf(spread)), 'a b c d', 'only d can take one, and only one');
    const together = { tags: ['skein:affinity:must:app'], memory_mib: 5_000 };
    const bound: SmallCluster = {
      nodes: [['a', { tags: ['x'] }], ['b', { total_memory_mib: 8_000 }], ['c']],
      instances: [
        ['i', 'a', together],
        ['j', 'a', together],
      ],
    };
    assert.deepEqual(movesOf(bound, { node_tags: ['x'] }), ['i>c j>b']);
    const kept = movesOf(bound, { node_tags: ['x'], ...rulesOf(bound) });
    assert.deepEqual(kept, ['i>c j>c'], 'they leave together, past a node with room for one');
    const broken: SmallCluster = {
      nodes: [['a'], ['b']],
      instances: [
        ['i', 'a', apart],
        ['j', 'b', apart],
        ['k', 'b', apart],
      ],
    };
    assert.equal(failureOf(result(smallCluster(broken), rulesOf(broken))), 'non-redundant');
    const crowded: SmallCluster = {
      nodes: [['a'], ['b']],
      instances: [
        ['i', 'a', apart],
        ['j', 'a', apart],
      ],
    };
    assert.equal(groupsOf(crowded, rulesOf(crowded)), 'a b', 'broken already, and not broken more');
  });
});

const shapes = fc.record({
  nodes: fc.integer({ min: 2, max: 14 }),
  instances: fc.integer({ min: 0, max: 60 }),
  seed: fc.nat(1_000_000),
  groups: fc.integer({ min: 1, max: 2 }),
  templates: fc.constantFrom<readonly DiskTemplate[]>(
    ['drbd'],
    ['plain'],
    ['rbd'],
    ['drbd', 'plain', 'rbd', 'drbd'],
    ['diskless', 'drbd'],
  ),
  offline: fc.constantFrom(0, 0, 0.2),
  down: fc.constantFrom(0, 0.3),
  forthcoming: fc.constantFrom(0, 0.1),
  fill: fc.constantFrom(0.2, 0.5, 0.8),
  /** What is left of each node's disk; null: plenty. */
  free_disk_mib: fc.constantFrom(null, null, 60_000, 200_000),
});
type Shape = Parameters<Parameters<typeof shapes.map>[0]>[0];

function drawn({ free_disk_mib, ...shape }: Shape): PlacementCluster {
  const cluster = generateCluster({ ...shape, nodes: Math.max(shape.nodes, 2 * shape.groups) });
  if (free_disk_mib === null) return cluster;
  return { ...cluster, nodes: cluster.nodes.map((node) => ({ ...node, free_disk_mib })) };
}
const any_options = fc.record({
  group: fc.constantFrom(null, null, 0),
  offline_maintenance: fc.boolean(),
  full_evacuation: fc.boolean(),
  non_redundant: fc.constantFrom('move' as const, 'move' as const, 'skip' as const, 'ignore' as const),
});

describe('for any cluster', () => {
  it('groups are sound, the same every time, and nothing is changed by looking for them', () => {
    let found = 0;
    fc.assert(
      fc.property(shapes, any_options, (shape, changes) => {
        const cluster = drawn(shape);
        const before = structuredClone(cluster);
        const table = buildTable(cluster);
        const first = rebootGroups(table, { ...everything, ...changes });
        assert.deepEqual(rebootGroups(table, { ...everything, ...changes }), first);
        assert.deepEqual(cluster, before);
        if ('failure' in first) return;
        found += 1;
        assertSound(cluster, { ...everything, ...changes }, first.groups);
      }),
      { numRuns: 300 },
    );
    assert.ok(found > 100, `only ${found} clusters had any groups`);
  });

  it('nothing is broken while a group is away that was not broken before', () => {
    let moved = 0;
    fc.assert(
      fc.property(shapes, fc.integer({ min: 2, max: 5 }), (shape, labels) => {
        const untagged = drawn(shape);
        const cluster: PlacementCluster = {
          ...untagged,
          instances: untagged.instances.map((one, at) => ({
            ...one,
            tags:
              at % 2 === 0
                ? [`skein:anti-affinity:must:apart-${at % labels}`]
                : [`skein:affinity:should:near-${at % labels}`, `skein:label:apart-${(at * 7) % labels}`],
          })),
        };
        const compiled = compileRules(cluster);
        assert.ok('rules' in compiled);
        const { rules } = compiled;
        const before = copyRules(rules);
        const broken = allBreaches(before);
        const found = rebootGroups(buildTable(cluster), { ...everything, rules });
        assert.deepEqual(rules, before, 'they are as they were');
        if ('failure' in found) return;
        for (const { moves } of found.groups) {
          const meanwhile = copyRules(before);
          for (const { instance, primary, secondary } of moves)
            placed(meanwhile, instance, primary, secondary);
          for (const { instance, primary, secondary } of moves) {
            moved += 1;
            assert.ok(
              !breaksMore(meanwhile, broken, instance, primary, secondary),
              cluster.instances[instance]!.name,
            );
          }
        }
      }),
    );
    assert.ok(moved > 100, `only ${moved} moves`);
  });
});
