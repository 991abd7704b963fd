/** Balancing a cluster that lives: what is worth a move, and that the plan does what it says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { nodesOfGroup } from './balance.ts';
import { type BalancePlanRequest, balanceLines, balancePlan } from './balance-plan.ts';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { clusterScore } from './score.ts';
import { buildTable } from './table.ts';
import { cluster, instance, node } from './test-allocation.ts';

const on = (name: string, at: number, changes: Partial<PlacementInstance> = {}): PlacementInstance =>
  instance(name, { template: 'sharedfile', primary: at, ...changes });

const ask = (changes: Partial<BalancePlanRequest> = {}): BalancePlanRequest => ({
  group: null,
  max_moves: 50,
  min_gain: 0.01,
  gain_per_gib: 0,
  gain_per_down_s: 0,
  allow_restart: true,
  ...changes,
});

const lopsided = (changes: Partial<PlacementInstance> = {}): PlacementCluster => {
  const free_memory_mib = node('a').free_memory_mib;
  const taken = 4 * 1_024;
  const nodes = [
    node('a', { free_memory_mib: free_memory_mib - taken }),
    ...['b', 'c'].map((name) => node(name)),
  ];
  return cluster(
    nodes,
    [0, 1, 2, 3].map((nth) => on(`i${nth}`, 0, { memory_mib: 1_024, ...changes })),
  );
};

describe('balance plan', () => {
  it('leaves alone what runs, where restarts are not allowed', () => {
    const mixed = lopsided();
    const some = {
      ...mixed,
      instances: mixed.instances.map((each, at) =>
        at === 0 ? { ...each, status: 'ADMIN_down' as const } : each,
      ),
    };
    const [group] = balancePlan(some, ask({ allow_restart: false, min_gain: 0 })).groups;
    assert.deepEqual([...new Set(group!.moves.map((move) => move.instance.name))], ['i0']);
    assert.deepEqual(balancePlan(mixed, ask({ allow_restart: false })).groups[0]!.moves, []);
    const stray = lopsided({ status: 'ERROR_up' });
    assert.deepEqual(
      balancePlan(stray, ask({ allow_restart: false })).groups[0]!.moves,
      [],
      'down, and runs',
    );
  });

  it('moves until nothing is worth it, each move better than before', () => {
    const [group] = balancePlan(lopsided(), ask()).groups;
    assert.ok(group!.moves.length >= 2);
    assert.ok(group!.after < group!.before);
    assert.ok(group!.moves.every(({ gain }) => gain >= 0.01));
    assert.equal(group!.moves.at(-1)!.score, group!.after);
  });

  it('makes no move that gains less than it costs', () => {
    const [free] = balancePlan(lopsided(), ask()).groups;
    const price = free!.moves[0]!.gain / free!.moves[0]!.down_s + 1;
    const [dear] = balancePlan(lopsided(), ask({ gain_per_down_s: price })).groups;
    assert.deepEqual([dear!.moves.length, dear!.after], [0, dear!.before]);
    assert.ok(dear!.not_worth > 0);
    assert.match(balanceLines({ groups: [dear!] })[0]!, /nothing to do; \d+ moves gain less than they cost/);
  });

  it('leaves alone what cannot leave its node, and what a rule keeps there', () => {
    assert.deepEqual(balancePlan(lopsided({ template: 'file' }), ask()).groups[0]!.moves, []);
    const kept = { tags: ['skein:node:must:a'] };
    assert.deepEqual(balancePlan(lopsided(kept), ask()).groups[0]!.moves, []);
  });

  it('ends with the score that the cluster has then, and leaves its input as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 }), (homes) => {
        const nodes = ['a', 'b', 'c'].map((name) => node(name));
        const before = cluster(
          nodes,
          homes.map((home, nth) => on(`i${nth}`, home, { memory_mib: 512 })),
        );
        const text = JSON.stringify(before);
        const [group] = balancePlan(before, ask({ min_gain: 0 })).groups;
        assert.equal(JSON.stringify(before), text);
        const table = buildTable(before);
        assert.ok(Math.abs(group!.before - clusterScore(table, nodesOfGroup(table, 0))) < 1e-9);
        const sum = group!.moves.reduce((all, { gain }) => all + gain, 0);
        assert.ok(Math.abs(group!.before - sum - group!.after) < 1e-9);
      }),
    );
  });
});
