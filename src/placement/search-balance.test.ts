/** Balancing with a search: plans that can be carried out, no worse than greedy's, and mostly better. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import { unbalancedRequests } from '../../bench/placement/unbalanced.ts';
import { type BalanceOptions, balance, default_balance, nodesOfGroup, type Step } from './balance.ts';
import type { PlacementCluster } from './cluster.ts';
import { kindAllowed } from './move-kinds.ts';
import { nodesAfter, tryMove } from './moves.ts';
import { allBreaches } from './rule-breaches.ts';
import { totalPenalty } from './rules.ts';
import { clusterScore, rulePenalty } from './score.ts';
import { type SearchedPlan, type SearchTime, searchBalance } from './search-balance.ts';
import { buildTable, copyTable, FITS, FREE_DISK, INSTANCE_MEMORY, STRIDE, type Table } from './table.ts';
import { cluster_requests, frozen } from './test-requests.ts';
import { newBreaches, rulesNow, rulesOrNull, tag_requests, withRuleTags } from './test-rule-tags.ts';
import { smallCluster } from './test-small-cluster.ts';

/** A clock that is one further whenever it is looked at: the same number of moves is drawn everywhere. */
function looks(budget: number, seed = 1): SearchTime {
  let now = 0;
  return { now_ms: () => ++now, budget_ms: budget, seed };
}

function search(
  table: Table,
  changes: Partial<BalanceOptions> = {},
  time: SearchTime = looks(40),
): SearchedPlan {
  return searchBalance(table, nodesOfGroup(table, 0), { ...default_balance, ...changes }, time);
}

/** A cluster as it would be reported after a plan. */
function carriedOut(cluster: PlacementCluster, before: Table, after: Table): PlacementCluster {
  const taken = (node: number): number =>
    after.state[node * STRIDE + INSTANCE_MEMORY]! - before.state[node * STRIDE + INSTANCE_MEMORY]!;
  return {
    ...cluster,
    nodes: cluster.nodes.map((node, at) => ({
      ...node,
      free_memory_mib: node.free_memory_mib - taken(at),
      free_disk_mib: after.state[at * STRIDE + FREE_DISK]!,
    })),
    instances: cluster.instances.map((instance, at) => ({
      ...instance,
      primary: after.primary[at]!,
      secondary: after.secondary[at]!,
    })),
  };
}

function moveAndCheck(table: Table, step: Step, options: BalanceOptions): void {
  const { instance, kind, target, old_primary, old_secondary, primary, secondary } = step;
  assert.deepEqual([old_primary, old_secondary], [table.primary[instance], table.secondary[instance]]);
  assert.deepEqual({ primary, secondary }, nodesAfter(kind, target, old_primary, old_secondary));
  assert.ok(kindAllowed(table, instance, kind, options));
  assert.ok(target < 0 || table.offline[target] === 0, 'nothing goes to an offline node');
  assert.equal(tryMove(table, instance, kind, target, options.ignore_soft_errors), FITS);
}

const changes_arbitrary: fc.Arbitrary<Partial<BalanceOptions>> = fc.record({
  disk_moves: fc.constantFrom(true, true, true, false),
  instance_moves: fc.constantFrom(true, true, true, false),
  restricted_migration: fc.constantFrom(false, false, true),
  ignore_soft_errors: fc.constantFrom(false, false, true),
  max_moves: fc.constantFrom(-1, -1, 3),
  fixed: fc.constantFrom(new Set<number>(), new Set([0, 1, 2])),
});

describe('searchBalance', () => {
  it('makes plans whose every step is allowed where it is made, that end no worse than the greedy one', () => {
    let beyond = 0;
    fc.assert(
      fc.property(cluster_requests, changes_arbitrary, fc.nat(), (request, changes, seed) => {
        const cluster = frozen(generateCluster(request));
        const options = { ...default_balance, ...changes };
        const begun = buildTable(cluster);
        const nodes = nodesOfGroup(begun, 0);
        const initial = clusterScore(begun, nodes);
        const greedy = [...balance(buildTable(cluster), nodes, options)].at(-1)?.score ?? initial;
        const table = buildTable(cluster);
        const plan = search(table, changes, looks(20, seed));
        assert.equal(plan.greedy_score, greedy);
        const replayed = buildTable(cluster);
        for (const step of plan.steps) {
          moveAndCheck(replayed, step, options);
          assert.equal(step.score, clusterScore(replayed, nodes), 'the score is that of the whole cluster');
          assert.ok(!options.fixed.has(step.instance));
          assert.ok(cluster.instances[step.instance]!.auto_balance);
        }
        assert.ok(options.max_moves < 0 || plan.steps.length <= options.max_moves);
        assert.deepEqual(table.primary, replayed.primary);
        assert.deepEqual(table.secondary, replayed.secondary);
        const final = plan.steps.at(-1)?.score ?? initial;
        assert.ok(final <= greedy);
        if (final < greedy) beyond += 1;
        const anew = clusterScore(buildTable(carriedOut(cluster, begun, replayed)), nodes);
        if (plan.steps.length > 0)
          assert.ok(Math.abs(anew - final) < 1e-9 * (1 + final), `${anew}, ${final}`);
      }),
      { numRuns: 150 },
    );
    assert.ok(beyond > 12, `${beyond} plans were better than greedy's`);
  });

  it('keeps the rules by tags at every step, and counts what is broken', () => {
    let steps = 0;
    fc.assert(
      fc.property(cluster_requests, tag_requests, (request, tags) => {
        const cluster = withRuleTags(generateCluster(request), tags);
        const rules = rulesOrNull(cluster);
        if (rules === null) return;
        const table = buildTable(cluster, { rules });
        const nodes = nodesOfGroup(table, 0);
        const before = allBreaches(rules);
        const replayed = buildTable(cluster, { rules });
        for (const step of search(table, {}, looks(20)).steps) {
          moveAndCheck(replayed, step, default_balance);
          assert.deepEqual(newBreaches(before, rulesNow(cluster, replayed)), []);
          assert.equal(step.score, clusterScore(replayed, nodes));
          steps += 1;
        }
        assert.equal(rulePenalty(table), totalPenalty(rulesNow(cluster, table)));
        copyTable(buildTable(cluster, { rules }), table);
        assert.equal(rulePenalty(table), totalPenalty(rules), 'back at the beginning');
      }),
      { numRuns: 60 },
    );
    assert.ok(steps > 100, `${steps} steps were made`);
  });

  it('finds better ones than greedy for most clusters that are out of balance', () => {
    const requests = unbalancedRequests(8, 48);
    const better = requests.filter((request) => {
      const { steps, greedy_score } = search(buildTable(generateCluster(request)), {}, looks(80));
      return steps.at(-1)!.score < greedy_score;
    });
    assert.ok(better.length >= 0.8 * requests.length, `${better.length} of ${requests.length}`);
  });

  it('gives the same plan for the same seed and clock, and another for another seed', () => {
    const cluster = generateCluster({ nodes: 8, instances: 48, seed: 21 });
    const planned = (seed: number) => search(buildTable(cluster), {}, looks(100, seed)).steps;
    assert.deepEqual(planned(1), planned(1));
    assert.notDeepEqual(planned(1), planned(2));
  });

  it('changes two that are of use only together', () => {
    // No single move helps: each takes away from one count what it gives to the other.
    const cluster = smallCluster({
      nodes: [['a'], ['b'], ['c']],
      instances: [
        ['i', 'a', { memory_mib: 3072 }],
        ['j', 'a', { memory_mib: 3072 }],
        ['k', 'b', { memory_mib: 1024 }],
        ['l', 'b', { memory_mib: 1024 }],
        ['m', 'c', { memory_mib: 2048 }],
        ['n', 'c', { memory_mib: 2048 }],
      ],
    });
    const { steps, greedy_steps } = search(buildTable(cluster), {}, looks(100));
    assert.equal(greedy_steps, 0);
    assert.equal(steps.length, 2);
    assert.ok(steps.at(-1)!.score < 1e-9);
  });
});
