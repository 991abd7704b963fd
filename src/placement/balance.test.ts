/** Balancing: that the quick search finds what trying everything finds, and that plans keep the rules. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import {
  type BalanceOptions,
  balance,
  default_balance,
  instancesOn,
  nodesOfGroup,
  type Step,
} from './balance.ts';
import type { PlacementCluster } from './cluster.ts';
import { type FoundMove, findMove, type MoveRules, openSearch } from './move-search.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  type MoveKind,
  nodesAfter,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import { clusterScore } from './score.ts';
import { leastScoreOf } from './search-bounds.ts';
import {
  buildTable,
  FITS,
  FREE_DISK,
  forget,
  mark,
  STRIDE,
  type Table,
  type TableOptions,
  unallocatedMemory,
  undoTo,
} from './table.ts';
import { cluster_requests, frozen } from './test-requests.ts';
import { rulesOrNull, tag_requests, withRuleTags } from './test-rule-tags.ts';
import { type SmallCluster, smallCluster } from './test-small-cluster.ts';

/** All moves of an instance that the rules know, in the order in which they are tried. */
function kindsOf(
  table: Table,
  instance: number,
  online: readonly number[],
  rules: MoveRules,
): (readonly [MoveKind, number])[] {
  const primary = table.primary[instance]!;
  const secondary = table.secondary[instance]!;
  const targets = online.filter((node) => node !== primary && node !== secondary);
  if (!table.demands[instance]!.mirrored) {
    return rules.instance_moves ? targets.map((target) => [FAILOVER_TO_ANY, target] as const) : [];
  }
  const over = rules.instance_moves && online.includes(secondary);
  const drained = table.offline[primary] === 1;
  const kinds: MoveKind[] = [REPLACE_SECONDARY];
  if (rules.instance_moves && (!rules.restricted_migration || drained)) {
    kinds.push(REPLACE_AND_FAILOVER);
    if (over && !rules.restricted_migration) kinds.push(REPLACE_PRIMARY);
    if (over) kinds.push(FAILOVER_AND_REPLACE);
  }
  return [
    ...(over ? [[FAILOVER, -1] as const] : []),
    ...(rules.disk_moves ? targets.flatMap((target) => kinds.map((kind) => [kind, target] as const)) : []),
  ];
}

/** The best move found by making each one and scoring the whole cluster. */
function findByTrying(
  table: Table,
  nodes: readonly number[],
  instances: readonly number[],
  rules: MoveRules,
): { readonly best: FoundMove | null; readonly least: ReadonlyMap<number, number> } {
  const online = nodes.filter((node) => table.offline[node] === 0);
  let best: FoundMove | null = null;
  let score = clusterScore(table, nodes);
  const least = new Map<number, number>();
  for (const instance of instances) {
    for (const [kind, target] of kindsOf(table, instance, online, rules)) {
      const start = mark(table);
      if (tryMove(table, instance, kind, target, rules.ignore_soft_errors) !== FITS) continue;
      const found = clusterScore(table, nodes);
      undoTo(table, start);
      least.set(instance, Math.min(found, least.get(instance) ?? Number.POSITIVE_INFINITY));
      if (!(found < score)) continue;
      score = found;
      best = { instance, kind, target, score };
    }
  }
  return { best, least };
}

const rules_arbitrary: fc.Arbitrary<MoveRules> = fc.record({
  disk_moves: fc.constantFrom(true, true, false),
  instance_moves: fc.constantFrom(true, true, false),
  restricted_migration: fc.constantFrom(false, false, true),
  ignore_soft_errors: fc.constantFrom(false, false, true),
});

const limits: fc.Arbitrary<TableOptions> = fc.record({
  max_cpu: fc.constantFrom(null, null, 0.5),
  min_disk: fc.constantFrom(0, 0, 0.5),
  offline: fc.constantFrom(new Set<number>(), new Set([1])),
});

/** Storage is exclusive on some nodes, and nobody knows the spindles of some instances. */
function withExclusiveStorage(cluster: PlacementCluster): PlacementCluster {
  return {
    ...cluster,
    nodes: cluster.nodes.map((node, at) =>
      at % 3 === 2 ? node : { ...node, exclusive_storage: true, spindles: 40, free_spindles: 20 },
    ),
    instances: cluster.instances.map((instance, at) => ({
      ...instance,
      disks: [{ size_mib: instance.disk_mib, spindles: at % 4 === 3 ? null : (at % 3) + 1 }],
    })),
  };
}

/** Everyone uses something else. */
function withLoads(cluster: PlacementCluster): PlacementCluster {
  return {
    ...cluster,
    instances: cluster.instances.map((instance, at) => ({
      ...instance,
      utilisation: { cpu: (at % 7) / 3, memory: 0.1 * (at % 3), disk: at % 5, net: 1 },
    })),
  };
}

function movable(table: Table, nodes: readonly number[]): readonly number[] {
  const { instances } = table.cluster;
  return instancesOn(table, nodes).filter((at) => {
    const secondary = table.secondary[at]!;
    return instances[at]!.template !== 'plain' && (secondary < 0 || nodes.includes(secondary));
  });
}

describe('findMove', () => {
  it('finds the move that trying everything finds, and rules out no instance wrongly', () => {
    let found = 0;
    fc.assert(
      fc.property(
        cluster_requests,
        rules_arbitrary,
        limits,
        fc.constantFrom('plain', 'exclusive', 'loads', 'rules'),
        tag_requests,
        (request, rules, options, variant, tags) => {
          const generated = generateCluster(request);
          const cluster =
            variant === 'exclusive'
              ? withExclusiveStorage(generated)
              : variant === 'loads'
                ? withLoads(generated)
                : variant === 'rules'
                  ? withRuleTags(generated, tags)
                  : generated;
          const table = buildTable(cluster, { ...options, rules: rulesOrNull(cluster) });
          const nodes = nodesOfGroup(table, 0);
          if (nodes.every((node) => table.offline[node] === 1)) return;
          const instances = movable(table, nodes);
          const search = openSearch(table, nodes, instances, rules);
          for (let round = 0; round < 4; round++) {
            const score = clusterScore(table, nodes);
            const { best, least } = findByTrying(table, nodes, instances, rules);
            const move = findMove(search, instances, score);
            assert.deepEqual(move, best);
            for (const [instance, reached] of least) {
              for (const closely of [false, true]) {
                const bound = leastScoreOf(search, instance, closely);
                assert.ok(
                  !(bound > reached + 1e-9 * (1 + Math.abs(reached))),
                  `${bound} is no bound of ${reached}`,
                );
              }
            }
            if (move === null) return;
            found += 1;
            tryMove(table, move.instance, move.kind, move.target, rules.ignore_soft_errors);
            forget(table);
          }
        },
      ),
      { numRuns: 330 },
    );
    assert.ok(found > 300, `${found} moves were found`);
  });

  it('is the same with many sizes, of which bounds are worked out for several at once', () => {
    const table = buildTable(
      generateCluster({ nodes: 12, instances: 260, odd_sizes: true, mixed_nodes: true, fill: 0.5 }),
    );
    const nodes = nodesOfGroup(table, 0);
    const instances = movable(table, nodes);
    const search = openSearch(table, nodes, instances, default_balance);
    assert.ok(search.bounds.buckets.length < new Set(search.bounds.class_of).size);
    const score = clusterScore(table, nodes);
    assert.deepEqual(
      findMove(search, instances, score),
      findByTrying(table, nodes, instances, default_balance).best,
    );
  });
});

function planOf(cluster: PlacementCluster, changes: Partial<BalanceOptions> = {}): readonly Step[] {
  const table = buildTable(cluster);
  return [...balance(table, nodesOfGroup(table, 0), { ...default_balance, ...changes })];
}

describe('balance', () => {
  it('lowers the score with every step, by as much as it has to', () => {
    fc.assert(
      fc.property(cluster_requests, (request) => {
        const table = buildTable(generateCluster(request));
        const nodes = nodesOfGroup(table, 0);
        let score = clusterScore(table, nodes);
        for (const step of balance(table, nodes, { ...default_balance, max_moves: 15 })) {
          assert.ok(step.score < score);
          assert.ok(score > 0.1 || score - step.score >= 0.01);
          score = step.score;
        }
        assert.equal(score, clusterScore(table, nodes));
      }),
      { numRuns: 60 },
    );
  });

  it('makes plans that keep the hard limits at every step, and never writes to the cluster', () => {
    fc.assert(
      fc.property(cluster_requests, fc.boolean(), (request, ignore_soft_errors) => {
        const cluster = frozen(generateCluster(request));
        const table = buildTable(cluster);
        for (const step of planOf(cluster, { max_moves: 15, ignore_soft_errors })) {
          const { instance, kind, target, primary, secondary } = step;
          assert.deepEqual(
            { primary, secondary },
            nodesAfter(kind, target, table.primary[instance]!, table.secondary[instance]!),
          );
          assert.equal(tryMove(table, instance, kind, target, ignore_soft_errors), FITS);
          const wanted = cluster.instances[instance]!;
          assert.equal(cluster.nodes[primary]!.group, cluster.nodes[step.old_primary]!.group);
          if (wanted.forthcoming) continue;
          if (primary !== step.old_primary) assert.ok(unallocatedMemory(table, primary) > 0);
          if (target >= 0 && wanted.template === 'drbd')
            assert.ok(table.state[target * STRIDE + FREE_DISK]! > 0);
          assert.ok(target < 0 || table.offline[target] === 0, 'nothing goes to an offline node');
        }
      }),
      { numRuns: 60 },
    );
  });

  it('goes on from the middle of its own plan as it would have', () => {
    const cluster = generateCluster({ nodes: 8, instances: 60, seed: 3 });
    const whole = planOf(cluster);
    assert.ok(whole.length > 6);
    const table = buildTable(cluster);
    for (const step of whole.slice(0, 5)) tryMove(table, step.instance, step.kind, step.target, false);
    const middle: PlacementCluster = {
      ...cluster,
      nodes: cluster.nodes.map((node, at) => ({
        ...node,
        free_memory_mib: unallocatedMemory(table, at),
        free_disk_mib: table.state[at * STRIDE + FREE_DISK]!,
      })),
      instances: cluster.instances.map((instance, at) => ({
        ...instance,
        primary: table.primary[at]!,
        secondary: table.secondary[at]!,
      })),
    };
    const rest = planOf(middle);
    assert.deepEqual(
      rest.map(({ instance, kind, target }) => [instance, kind, target]),
      whole.slice(5).map(({ instance, kind, target }) => [instance, kind, target]),
    );
  });

  const small: SmallCluster = {
    nodes: [['a'], ['b'], ['c', { offline: true }]],
    instances: [
      ['i', 'a b'],
      ['j', 'a b'],
      ['k', 'a b'],
      ['l', 'a c'],
    ],
  };
  const moved = (changes: Partial<BalanceOptions>, cluster = smallCluster(small)): string =>
    planOf(cluster, changes)
      .map(({ instance, kind }) => `${cluster.instances[instance]!.name}${kind}`)
      .join(' ');

  it('moves only what it may', () => {
    assert.match(moved({}), /^l4 /, 'first what is on an offline node');
    assert.equal(moved({ max_moves: 1 }), 'l4');
    assert.equal(moved({ max_moves: 0 }), '');
    assert.equal(moved({ evacuate: true }), 'l4');
    assert.doesNotMatch(moved({ fixed: new Set([3]) }), /l/);
    assert.doesNotMatch(moved({ disk_moves: false }), /[2345]/);
    assert.doesNotMatch(moved({ instance_moves: false }), /[01245]/);
    assert.equal(moved({ min_score: 1000 }), '');
  });

  it('leaves alone what is not to be balanced, what cannot move, and what two groups share', () => {
    const lone = (changes: object): string =>
      moved(
        {},
        smallCluster({
          nodes: [['a'], ['b']],
          instances: [0, 1, 2].map((at) => [`i${at}`, 'a', changes] as const),
        }),
      );
    assert.notEqual(lone({}), '');
    assert.equal(lone({ auto_balance: false }), '');
    for (const template of ['plain', 'file', 'diskless']) assert.equal(lone({ template }), '');
    const groups = [{}, { name: 'other', uuid: 'other' }];
    const split = smallCluster({
      groups,
      nodes: [['a'], ['b'], ['z', { group: 1 }]],
      instances: [0, 1, 2].map((at) => [`i${at}`, 'a z'] as const),
    });
    assert.equal(moved({}, split), '');
  });

  it('stops where a step gains too little, unless the score is high', () => {
    const steps = planOf(generateCluster({ nodes: 8, instances: 60, seed: 3 }), {
      min_gain: 0,
      min_gain_limit: 0,
    });
    const demanding = planOf(generateCluster({ nodes: 8, instances: 60, seed: 3 }), {
      min_gain: 0.3,
      min_gain_limit: 1e9,
    });
    assert.ok(demanding.length < steps.length);
    assert.equal(planOf(smallCluster(small), { min_gain: 1e9, min_gain_limit: 1e9 }).length, 0);
  });
});
