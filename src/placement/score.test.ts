/** The score: each metric by hand on a small cluster, and that both ways to it agree. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import { instancesOn, nodesOfGroup } from './balance.ts';
import { FAILOVER, FAILOVER_TO_ANY, type MoveKind, REPLACE_SECONDARY, tryMove } from './moves.ts';
import { randomFrom } from './random.ts';
import {
  clusterScore,
  currentScore,
  enter,
  leastScore,
  leave,
  metrics,
  metricValues,
  openScore,
} from './score.ts';
import { buildTable, FITS, mark, type Table, undoTo } from './table.ts';
import { cluster_requests } from './test-requests.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

function valuesOf(cluster: SmallCluster): ReadonlyMap<string, number> {
  const built = smallCluster(cluster);
  const values = metricValues(
    buildTable(built),
    built.nodes.map((_, at) => at),
  );
  return new Map(metrics.map(({ name }, at) => [name, values[at]!]));
}

const nodes: SmallCluster['nodes'] = [['a'], ['b']];

describe('metricValues', () => {
  it('is the population standard deviation of shares', () => {
    const values = valuesOf({
      nodes,
      instances: [['i', 'a b', { memory_mib: 4096, disk_mib: 524_288, vcpus: 4 }]],
    });
    // One node has a quarter of its memory in use, the other none: half of the difference.
    assert.equal(values.get('free_mem_cv'), 0.125);
    assert.equal(values.get('free_disk_cv'), 0);
    assert.equal(values.get('reserved_mem_cv'), 0.125);
    assert.equal(values.get('reserved_mem_rtotal'), 0.25);
    assert.equal(values.get('vcpu_ratio_cv'), 0.125);
    assert.equal(values.get('cpu_load_cv'), 0.5);
    assert.equal(values.get('disk_load_cv'), 0);
  });

  it('weighs CPUs by their speed', () => {
    const values = valuesOf({
      nodes: [['a', { cpu_speed: 2 }], ['b']],
      instances: [
        ['i', 'a', { vcpus: 8 }],
        ['j', 'b', { vcpus: 4 }],
      ],
    });
    assert.equal(values.get('vcpu_ratio_cv'), 0);
  });

  it('counts the instances of nodes that fail N+1', () => {
    const values = valuesOf({
      nodes: [['a'], ['b', { total_memory_mib: 3000 }]],
      instances: [
        ['i', 'a b', { memory_mib: 2048 }],
        ['j', 'b', { memory_mib: 1024 }],
      ],
    });
    assert.equal(values.get('n1_cnt'), 2);
  });

  it('counts instances on offline nodes, which count in nothing else', () => {
    const values = valuesOf({
      nodes: [...nodes, ['c', { offline: true }]],
      instances: [
        ['i', 'c a'],
        ['j', 'a c'],
        ['k', 'c'],
      ],
    });
    assert.equal(values.get('offline_all_cnt'), 3);
    assert.equal(values.get('offline_pri_cnt'), 2);
    assert.equal(values.get('cpu_load_cv'), 0.5);
  });

  it('counts tags', () => {
    const values = valuesOf({
      nodes: [
        ['a', { tags: ['rack:1'] }],
        ['b', { tags: ['rack:1'] }],
      ],
      instances: [
        ['i', 'a b', { tags: ['s:1', 'rack:2'] }],
        ['j', 'b a', { tags: ['s:1'] }],
        ['k', 'b', { tags: ['s:1', 's:2'] }],
      ],
      tags: ['htools:iextags:s', 'htools:nlocation:rack', 'htools:desiredlocation:rack'],
    });
    assert.equal(values.get('pri_tags_score'), 1, 'j and k share s:1');
    assert.equal(values.get('location_score'), 3, 'both pairs share a rack, and i wants another one');
    assert.equal(values.get('location_exclusion_score'), 2, 'three with s:1 in one rack');
  });

  it('counts reservations only in metrics of their own', () => {
    const values = valuesOf({ nodes, instances: [['i', 'a b', { forthcoming: true }]] });
    assert.equal(values.get('free_mem_cv'), 0);
    assert.equal(values.get('free_mem_cv_forth'), 1024 / 16_384 / 2);
    assert.equal(values.get('vcpu_ratio_cv'), 0);
    assert.equal(values.get('vcpu_ratio_cv_forth'), 1 / 16 / 2);
  });

  it('counts spindles in place of disk where storage is exclusive, and nodes without disk as empty', () => {
    const exclusive = { exclusive_storage: true, spindles: 4 };
    const values = valuesOf({
      nodes: [
        ['a', { ...exclusive, free_spindles: 1 }],
        ['b', { ...exclusive, free_spindles: 3 }],
      ],
    });
    assert.equal(values.get('free_disk_cv'), 0.25);
    const none = valuesOf({ nodes: [['a', { total_disk_mib: 0, free_disk_mib: 0 }], ['b']] });
    assert.equal(none.get('free_disk_cv'), 0);
  });

  it('is nothing where no node is online', () => {
    const table = buildTable(smallCluster({ nodes: [['a', { offline: true }]], instances: [['i', 'a']] }));
    assert.equal(metricValues(table, [0]).length, 0);
    assert.equal(clusterScore(table, [0]), 0);
    assert.equal(currentScore(openScore(table, [0])), 0);
  });

  it('has the weights of the original', () => {
    assert.deepEqual(
      metrics.map(({ weight }) => weight),
      [0.5, 0.5, 1, 1, 4, 16, 0.5, 1, 1, 1, 1, 2, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 0.25],
    );
  });
});

describe('leastScore', () => {
  it('is what N+1 reserves in any case', () => {
    const table = buildTable(
      smallCluster({
        nodes: [['a', { total_memory_mib: 4096 }], ['b', { total_memory_mib: 8192 }], ['c']],
        instances: [
          ['i', 'a b', { memory_mib: 1000 }],
          ['j', 'b c', { memory_mib: 500 }],
        ],
      }),
    );
    const all = 4096 + 8192 + 16_384;
    assert.equal(leastScore(table, [0, 1, 2]), 0.25 * (1500 / (all - 16_384) - 1500 / all));
    assert.equal(leastScore(table, [0]), 0);
  });
});

/** A move that may be made, drawn by chance. */
interface Draw {
  readonly instance: number;
  readonly kind: MoveKind;
  readonly target: number;
  readonly touched: readonly number[];
}

function draw(table: Table, nodes: readonly number[], random: () => number): Draw | null {
  const instances = instancesOn(table, nodes);
  const instance = instances[Math.floor(random() * instances.length)];
  const target = nodes[Math.floor(random() * nodes.length)]!;
  if (instance === undefined) return null;
  const primary = table.primary[instance]!;
  const secondary = table.secondary[instance]!;
  const mirrored = table.demands[instance]!.mirrored;
  if (target === primary || target === secondary) return null;
  if (secondary >= 0 && !nodes.includes(secondary)) return null;
  const kind = mirrored ? (random() < 0.3 ? FAILOVER : REPLACE_SECONDARY) : FAILOVER_TO_ANY;
  const start = mark(table);
  const fits = tryMove(table, instance, kind, kind === FAILOVER ? -1 : target, true) === FITS;
  undoTo(table, start);
  if (!fits) return null;
  const touched = [primary, secondary, target].filter((node) => node >= 0);
  return { instance, kind, target: kind === FAILOVER ? -1 : target, touched };
}

describe('RunningScore', () => {
  it('agrees with the long way after any moves, told only of the nodes that change', () => {
    let moves = 0;
    fc.assert(
      fc.property(cluster_requests, (request) => {
        const table = buildTable(generateCluster(request));
        const group = nodesOfGroup(table, 0);
        const random = randomFrom(7);
        const score = openScore(table, group);
        for (let at = 0; at < 20; at++) {
          const drawn = draw(table, group, random);
          if (drawn === null) continue;
          for (const node of drawn.touched) leave(score, table, node);
          tryMove(table, drawn.instance, drawn.kind, drawn.target, true);
          for (const node of drawn.touched) enter(score, table, node);
          moves += 1;
          const long = clusterScore(table, group);
          const short = currentScore(score);
          assert.ok(Math.abs(short - long) < 1e-7 * (1 + Math.abs(long)), `${short} for ${long}`);
        }
      }),
      { numRuns: 60 },
    );
    assert.ok(moves > 200, `${moves} moves`);
  });
});
