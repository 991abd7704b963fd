/** A table of nodes: what counts where, each limit, and that everything can be undone to the last bit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import { default_policy } from './default-policy.ts';
import { type MoveKind, tryMove } from './moves.ts';
import { randomFrom } from './random.ts';
import {
  addPrimary,
  addSecondary,
  buildTable,
  CPU_LOAD,
  cloneTable,
  commonLocations,
  DISK_LOAD,
  demandOf,
  FAILS_N1,
  FITS,
  FORTH_FREE_DISK,
  FORTH_FREE_MEMORY,
  FORTH_USED_CPUS,
  FREE_DISK,
  failureOf,
  forget,
  INSTANCE_MEMORY,
  INSTANCE_SPINDLES,
  LOCATION_SCORE,
  mark,
  mayMigrate,
  missedLocations,
  PRIMARIES,
  primaryFailure,
  RESERVED_MEMORY,
  removePrimary,
  removeSecondary,
  SECONDARIES,
  STRIDE,
  secondaryFailure,
  TAG_CONFLICTS,
  type Table,
  type TableOptions,
  USED_CPUS,
  unallocatedMemory,
  undoTo,
} from './table.ts';
import { cluster_requests, frozen } from './test-requests.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

const two_nodes: SmallCluster['nodes'] = [['a'], ['b']];

function tableOf(cluster: SmallCluster, options?: TableOptions): Table {
  return buildTable(smallCluster(cluster), options);
}

function figure(table: Table, node: number, which: number): number {
  return table.state[node * STRIDE + which]!;
}

/** Everything of a table that may change. */
function snapshot(table: Table): readonly (readonly number[])[] {
  return [
    table.state,
    table.peers,
    table.tag_counts,
    table.real_tag_counts,
    table.primary,
    table.secondary,
  ].map((figures) => [...figures]);
}

describe('buildTable', () => {
  it('counts each instance on its nodes', () => {
    const table = tableOf({
      nodes: two_nodes,
      instances: [
        ['one', 'a b', { memory_mib: 1000, disk_mib: 500, vcpus: 2 }],
        ['two', 'a', { memory_mib: 300, vcpus: 1 }],
      ],
    });
    const names = [
      INSTANCE_MEMORY,
      USED_CPUS,
      PRIMARIES,
      SECONDARIES,
      CPU_LOAD,
      DISK_LOAD,
      INSTANCE_SPINDLES,
    ];
    assert.deepEqual(
      names.map((which) => figure(table, 0, which)),
      [1300, 3, 2, 0, 2, 2, 1],
    );
    assert.deepEqual(
      names.map((which) => figure(table, 1, which)),
      [0, 0, 0, 1, 0, 1, 1],
    );
    assert.equal(figure(table, 1, RESERVED_MEMORY), 1000);
    assert.equal(unallocatedMemory(table, 0), 16_384 - 1300);
    assert.equal(table.state[FREE_DISK], 1_048_576 - 500);
  });

  it('does not give away memory that is missing', () => {
    const table = tableOf({ nodes: [['a', { free_memory_mib: 10_000, node_memory_mib: 384 }]] });
    assert.equal(table.missing_memory[0], 6_000);
    assert.equal(unallocatedMemory(table, 0), 10_000);
    const promised = tableOf({ nodes: [['a', { free_memory_mib: 16_384 }]], instances: [['i', 'a']] });
    assert.equal(promised.missing_memory[0], -1024, 'the instance does not use what it was promised');
    assert.equal(unallocatedMemory(promised, 0), 15_360);
  });

  const statuses = [
    ['running', true, true, true],
    ['ERROR_up', true, true, true],
    ['ERROR_nodedown', true, true, true],
    ['ERROR_nodeoffline', true, true, true],
    ['ERROR_wrongnode', true, true, true],
    ['ADMIN_down', false, true, true],
    ['ERROR_down', false, true, true],
    ['USER_down', false, true, true],
    ['ADMIN_offline', false, false, false],
  ] as const;
  for (const [status, memory, cpus, reserve] of statuses) {
    it(`knows what an instance takes that is ${status}`, () => {
      const nodes: SmallCluster['nodes'] = [['a', { free_memory_mib: 15_000 }], ['b']];
      const table = tableOf({ nodes, instances: [['i', 'a b', { status }]] });
      assert.equal(figure(table, 0, INSTANCE_MEMORY), memory ? 1024 : 0);
      assert.equal(figure(table, 0, USED_CPUS), cpus ? 1 : 0);
      assert.equal(figure(table, 1, RESERVED_MEMORY), reserve ? 1024 : 0);
      assert.equal(figure(table, 0, FORTH_FREE_MEMORY), memory ? 15_000 : 15_000 - 1024);
    });
  }

  it('keeps nothing for an instance that is not to be balanced, nor for a reservation', () => {
    for (const changes of [{ auto_balance: false }, { forthcoming: true }]) {
      const table = tableOf({ nodes: two_nodes, instances: [['i', 'a b', changes]] });
      assert.equal(figure(table, 1, RESERVED_MEMORY), 0);
    }
  });

  it('counts a reservation apart', () => {
    const table = tableOf({ nodes: two_nodes, instances: [['i', 'a b', { forthcoming: true }]] });
    const real = [INSTANCE_MEMORY, PRIMARIES, SECONDARIES, USED_CPUS, CPU_LOAD, INSTANCE_SPINDLES];
    assert.deepEqual(
      real.map((which) => figure(table, 0, which)),
      [0, 0, 0, 0, 0, 0],
    );
    assert.equal(figure(table, 0, FORTH_FREE_MEMORY), 15_360);
    assert.equal(figure(table, 0, FORTH_FREE_DISK), 1_048_576 - 1024);
    assert.equal(figure(table, 1, FORTH_FREE_DISK), 1_048_576 - 1024);
    assert.equal(figure(table, 0, FORTH_USED_CPUS), 1);
  });

  it('fails N+1 where less is free than the largest neighbour would need', () => {
    const failing = (free_memory_mib: number): number =>
      figure(
        tableOf({
          nodes: [['a'], ['b', { free_memory_mib }]],
          instances: [
            ['i', 'a b'],
            ['j', 'a b'],
          ],
        }),
        1,
        FAILS_N1,
      );
    assert.equal(failing(2047), 1);
    assert.equal(failing(2048), 0);
  });

  it('reads limits from the group’s policy, or from the options', () => {
    const groups = [{ policy: { ...default_policy, vcpu_ratio: 2, spindle_ratio: 3 } }];
    const nodes: SmallCluster['nodes'] = [['a', { spindles: 5 }]];
    const table = tableOf({ nodes, groups });
    assert.deepEqual([table.vcpu_ratio[0], table.high_spindles[0], table.low_disk[0]], [2, 15, 0]);
    const other = tableOf({ nodes, groups }, { max_cpu: 1.5, min_disk: 0.25 });
    assert.deepEqual([other.vcpu_ratio[0], other.low_disk[0]], [1.5, 262_144]);
  });

  it('takes drained and incapable nodes for offline, and those it is told to', () => {
    const table = tableOf(
      {
        nodes: [
          ['a'],
          ['b', { drained: true }],
          ['c', { vm_capable: false }],
          ['d', { offline: true }],
          ['e'],
        ],
      },
      { offline: new Set([4]) },
    );
    assert.deepEqual([...table.offline], [0, 1, 1, 1, 1]);
  });

  it('never writes to the cluster', () => {
    fc.assert(
      fc.property(cluster_requests, (request) => {
        const cluster = frozen(generateCluster(request));
        const table = buildTable(cluster);
        moveAbout(table, request.seed ?? 0, 30);
      }),
      { numRuns: 30 },
    );
  });
});

/** Moves drawn by chance; those that are not possible change nothing. */
function moveAbout(table: Table, seed: number, moves: number): number {
  const random = randomFrom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  let made = 0;
  for (let at = 0; at < moves; at++) {
    const instance = below(table.demands.length);
    const mirrored = table.demands[instance]!.mirrored;
    const target = below(table.node_count);
    const kind = (mirrored ? [0, 2, 3, 4, 5][below(5)]! : 1) as MoveKind;
    if (target === table.primary[instance] || target === table.secondary[instance]) continue;
    if (tryMove(table, instance, kind, kind === 0 ? -1 : target, random() < 0.3) === FITS) made += 1;
  }
  return made;
}

describe('primaryFailure', () => {
  const base = { nodes: two_nodes, instances: [] } satisfies SmallCluster;
  const cases: readonly (readonly [string, SmallCluster, TableOptions, string | null, string | null])[] = [
    ['fits', base, {}, null, null],
    ['needs all memory', { ...base, nodes: [['a', { total_memory_mib: 1024 }]] }, {}, 'memory', 'memory'],
    ['leaves a little memory', { ...base, nodes: [['a', { total_memory_mib: 1025 }]] }, {}, null, null],
    ['needs all disk', { ...base, nodes: [['a', { total_disk_mib: 1024 }]] }, {}, 'disk', 'disk'],
    ['leaves little disk', base, { min_disk: 0.9999 }, 'disk', null],
    ['has too many CPUs', base, { max_cpu: 0.05 }, 'cpu', null],
    [
      'takes memory that is reserved',
      { nodes: [['a', { total_memory_mib: 2048 }], ['b']], instances: [['i', 'b a']] },
      {},
      'memory',
      null,
    ],
    [
      'meets its like',
      {
        nodes: two_nodes,
        instances: [['i', 'a', { tags: ['service:x'] }]],
        tags: ['htools:iextags:service'],
      },
      {},
      'tags',
      null,
    ],
    [
      'meets one that another rule tells apart',
      { nodes: two_nodes, instances: [['i', 'a', { tags: ['x:1'] }]] },
      { exclusion_tags: ['y:'] },
      null,
      null,
    ],
    [
      'leaves no room for a reservation',
      {
        nodes: [['a', { total_memory_mib: 2048 }]],
        instances: [['i', 'a', { forthcoming: true }]],
      },
      {},
      'memory',
      null,
    ],
    ['uses too many spindles', { ...base, nodes: [['a', { spindles: 0 }]] }, {}, 'disk', null],
  ];
  for (const [what, cluster, options, strict, forced] of cases) {
    it(`an instance that ${what}: ${strict ?? 'fits'}; with force: ${forced ?? 'fits'}`, () => {
      const wanted = smallCluster({
        nodes: two_nodes,
        instances: [['new', 'a b', { tags: ['service:x', 'x:1'] }]],
        tags: cluster.tags ?? [],
      }).instances[0]!;
      const cluster_with = smallCluster(cluster);
      const table = buildTable({ ...cluster_with, instances: [...cluster_with.instances] }, options);
      const tags = table.tags.exclusion_names.indexOf('service:x');
      const demand = demandOf(wanted, tags === -1 ? [] : [tags]);
      const name = (force: boolean): string | null => {
        const code = primaryFailure(table, 0, demand, force);
        return code === FITS ? null : failureOf(code);
      };
      assert.equal(name(false), strict);
      assert.equal(name(true), forced);
    });
  }

  it('counts spindles where storage is exclusive', () => {
    const nodes: SmallCluster['nodes'] = [['a', { exclusive_storage: true, spindles: 4, free_spindles: 2 }]];
    const table = tableOf({ nodes });
    const needs = (spindles: number | null): number => {
      const { instances } = smallCluster({
        nodes: two_nodes,
        instances: [['i', 'a b', { disks: [{ size_mib: 1024, spindles }] }]],
      });
      return primaryFailure(table, 0, demandOf(instances[0]!), true);
    };
    assert.deepEqual(
      [needs(2), needs(3), needs(null)].map((code) => code === FITS),
      [true, false, false],
    );
    assert.equal(failureOf(needs(3)), 'spindles');
  });

  it('puts a reservation anywhere with force', () => {
    const table = tableOf({ nodes: [['a', { total_memory_mib: 1 }]] });
    const [wanted] = smallCluster({
      nodes: two_nodes,
      instances: [['i', 'a', { forthcoming: true }]],
    }).instances;
    assert.equal(failureOf(primaryFailure(table, 0, demandOf(wanted!), false)), 'memory');
    assert.equal(primaryFailure(table, 0, demandOf(wanted!), true), FITS);
  });
});

describe('secondaryFailure', () => {
  const [mirrored, shared] = smallCluster({
    nodes: two_nodes,
    instances: [
      ['i', 'a b'],
      ['j', 'a'],
    ],
  }).instances.map((instance) => demandOf(instance));

  it('has only mirrored instances', () => {
    const table = tableOf({ nodes: two_nodes });
    assert.equal(failureOf(secondaryFailure(table, 1, shared!, 0, true)), 'disk');
    assert.equal(secondaryFailure(table, 1, mirrored!, 0, false), FITS);
  });

  it('needs disk, unless that is there already', () => {
    const table = tableOf({ nodes: [['a'], ['b', { total_disk_mib: 1024 }]] });
    assert.equal(failureOf(secondaryFailure(table, 1, mirrored!, 0, true)), 'disk');
    assert.equal(secondaryFailure(table, 1, mirrored!, 0, true, true), FITS);
  });

  it('needs memory to take over, with what it keeps for the same neighbour', () => {
    const table = tableOf({
      nodes: [['a'], ['b', { total_memory_mib: 2048 }], ['c']],
      instances: [['i', 'a b']],
    });
    assert.equal(failureOf(secondaryFailure(table, 1, mirrored!, 0, false)), 'memory');
    assert.equal(secondaryFailure(table, 1, mirrored!, 2, false), FITS, 'another neighbour dies another day');
    assert.equal(secondaryFailure(table, 1, mirrored!, 0, true), FITS);
  });
});

describe('tags of nodes', () => {
  const table = tableOf({
    nodes: [
      ['a', { tags: ['rack:1', 'hv:new', 'other'] }],
      ['b', { tags: ['rack:1', 'rack:2', 'hv:old'] }],
      ['c', { tags: ['hv:new'] }],
    ],
    instances: [['i', 'a b', { tags: ['rack:2', 'rack:9'] }]],
    tags: [
      'htools:nlocation:rack',
      'htools:desiredlocation:rack',
      'htools:migration:hv',
      'htools:allowmigration:hv:old::hv:new',
      'htools:allowmigration:nonsense',
    ],
  });

  it('counts locations that two nodes share', () => {
    assert.deepEqual(
      [commonLocations(table, 0, 1), commonLocations(table, 0, 2), commonLocations(table, 0, -1)],
      [1, 0, 0],
    );
  });

  it('counts desired locations that a node has not got, also those that no node has', () => {
    assert.deepEqual(
      [0, 1, 2].map((node) => missedLocations(table, node, table.demands[0]!)),
      [2, 1, 2],
    );
    assert.equal(figure(table, 0, LOCATION_SCORE), 3);
  });

  it('lets migrate where the target accepts all of the source’s tags', () => {
    const from = (source: number): boolean[] => [0, 1, 2].map((target) => mayMigrate(table, source, target));
    assert.deepEqual(
      [from(0), from(1), from(2)],
      [
        [true, false, true],
        [true, true, true],
        [true, false, true],
      ],
    );
  });

  it('counts conflicts beyond one of each', () => {
    const tags = ['htools:iextags:service'];
    const instances = (['x', 'x', 'x', 'y'] as const).map(
      (tag, at) => [`i${at}`, 'a', { tags: [`service:${tag}`] }] as const,
    );
    assert.equal(figure(tableOf({ nodes: two_nodes, instances, tags }), 0, TAG_CONFLICTS), 2);
  });
});

describe('undoTo', () => {
  it('takes back single changes', () => {
    const table = tableOf({
      nodes: two_nodes,
      instances: [['i', 'a b', { tags: ['s:1'] }]],
      tags: ['htools:iextags:s'],
    });
    const before = snapshot(table);
    const start = mark(table);
    const demand = table.demands[0]!;
    removePrimary(table, 0, demand, 0);
    removeSecondary(table, 1, demand, 0);
    addPrimary(table, 1, demand, 0);
    const half = mark(table);
    const half_done = snapshot(table);
    addSecondary(table, 0, demand, 1);
    undoTo(table, half);
    assert.deepEqual(snapshot(table), half_done);
    undoTo(table, start);
    assert.deepEqual(snapshot(table), before);
  });

  it('takes back any sequence of moves, to the last bit', () => {
    let made = 0;
    fc.assert(
      fc.property(cluster_requests, (request) => {
        const table = buildTable(generateCluster(request));
        made += moveAbout(table, 1, 10);
        forget(table);
        const before = snapshot(table);
        const start = mark(table);
        made += moveAbout(table, 2, 40);
        undoTo(table, start);
        assert.deepEqual(snapshot(table), before);
      }),
      { numRuns: 40 },
    );
    assert.ok(made > 200, `${made} moves were possible`);
  });

  it('leaves figures that a table built anew would have', () => {
    fc.assert(
      fc.property(cluster_requests, (request) => {
        const cluster = generateCluster(request);
        const table = buildTable(cluster);
        moveAbout(table, 3, 40);
        const peers = buildTable({
          ...cluster,
          instances: cluster.instances.map((instance, at) => ({
            ...instance,
            primary: table.primary[at]!,
            secondary: table.secondary[at]!,
          })),
        });
        const compared = [INSTANCE_MEMORY, PRIMARIES, SECONDARIES, RESERVED_MEMORY, USED_CPUS, TAG_CONFLICTS];
        for (let node = 0; node < table.node_count; node++) {
          for (const which of [...compared, LOCATION_SCORE, INSTANCE_SPINDLES]) {
            assert.equal(
              figure(table, node, which),
              figure(peers, node, which),
              `figure ${which} of ${node}`,
            );
          }
        }
        assert.deepEqual(table.peers, peers.peers);
        assert.deepEqual(table.tag_counts, peers.tag_counts);
      }),
      { numRuns: 40 },
    );
  });
});

describe('cloneTable', () => {
  it('gives a table of its own', () => {
    const table = tableOf({ nodes: two_nodes, instances: [['i', 'a b']] });
    const before = snapshot(table);
    const copy = cloneTable(table);
    assert.deepEqual(snapshot(copy), before);
    assert.equal(tryMove(copy, 0, 0, -1, false), FITS);
    assert.notDeepEqual(snapshot(copy), before);
    assert.deepEqual(snapshot(table), before);
  });
});
