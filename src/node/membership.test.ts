import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adjustVoters, type MembershipView, replace_after_ms, voterTarget } from './membership.ts';

function view(
  voters: number[],
  learners: number[],
  nodes: number[],
  more: Partial<MembershipView> = {},
): MembershipView {
  return {
    self: voters[0]!,
    configuration: { voters, learners, voters_outgoing: [], learners_next: [], auto_leave: false },
    nodes: nodes.map((member) => ({ member, eligible: true, offline: false })),
    progress: new Map(nodes.map((id) => [id, { active: true, lag: 0 }])),
    candidate_pool_size: 5,
    silent_ms: new Map(),
    ...more,
  };
}

test('voterTarget is odd, and bounded by pool, nodes and seven', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 9].map((n) => voterTarget(n, 10)),
    [1, 1, 1, 3, 3, 5, 5, 7],
  );
  assert.equal(voterTarget(9, 4), 3);
});

test('a new node becomes a learner first', () => {
  assert.deepEqual(adjustVoters(view([1], [], [1, 2])), [{ type: 'add-learner', id: 2 }]);
});

test('two nodes: one votes', () => {
  assert.equal(adjustVoters(view([1], [2], [1, 2])), null);
});

test('the third node makes three voters in one joint step, once both learners are caught up', () => {
  const three = view([1], [2, 3], [1, 2, 3]);
  assert.deepEqual(adjustVoters(three), [
    { type: 'add-voter', id: 2 },
    { type: 'add-voter', id: 3 },
  ]);
  const behind = new Map(three.progress).set(3, { active: true, lag: 1000 });
  assert.equal(adjustVoters({ ...three, progress: behind }), null);
});

test('a node that went from the configuration leaves the group; then the rest is made odd', () => {
  assert.deepEqual(adjustVoters(view([1, 2, 3], [], [1, 2])), [{ type: 'remove', id: 3 }]);
  assert.deepEqual(adjustVoters(view([1, 2], [], [1, 2])), [{ type: 'add-learner', id: 2 }]);
});

test('a loss alone changes nothing; with a learner at hand the silent voter is swapped in one step', () => {
  const silent_ms = new Map([[3, replace_after_ms + 1]]);
  assert.equal(adjustVoters(view([1, 2, 3], [], [1, 2, 3], { silent_ms })), null);
  assert.deepEqual(adjustVoters(view([1, 2, 3], [4], [1, 2, 3, 4], { silent_ms })), [
    { type: 'add-voter', id: 4 },
    { type: 'add-learner', id: 3 },
  ]);
});

test('nobody who may not vote is promoted, and nothing moves during a joint configuration', () => {
  const nodes = [1, 2, 3].map((member) => ({ member, eligible: member !== 3, offline: false }));
  assert.equal(adjustVoters(view([1], [2, 3], [1, 2, 3], { nodes })), null);
  const joint = view([1, 2], [], [1, 2, 3]);
  assert.equal(
    adjustVoters({ ...joint, configuration: { ...joint.configuration, voters_outgoing: [1] } }),
    null,
  );
});
