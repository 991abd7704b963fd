/**
 * Interaction behaviours of the widely used Go implementation, theme changes of members. Theirs take effect when applied,
 * ours when appended (thesis, section 4.1), and the caller never chooses between simple and joint. Script -> test here.
 *
 * | script | here |
 * |---|---|
 * | confchange_v1_add_single | one voter more: from nothing, by snapshot and log, and it counts from the append on |
 * | confchange_v2_add_single_auto | (the same) … in one config entry, never joint |
 * | confchange_v2_add_single_explicit | does not apply: nobody can ask for a joint configuration that waits to be left (no configuration of ours is joint for longer than it must be) |
 * | confchange_v2_add_double_auto | two voters more, then less: two config entries each, the second written by the leader itself |
 * | confchange_v2_add_double_implicit | (the same); while joint, nothing else is changed |
 * | confchange_v1_remove_leader | a leader that removes itself counts for nothing in that, and serves until it is done |
 * | confchange_v1_remove_leader_stepdown | … and what was proposed behind its removal is not lost |
 * | confchange_v2_replace_leader | the lead is handed to the newcomer in the middle of the change |
 * | confchange_v2_replace_leader_stepdown | a leader that replaces itself leads to the end of the change, and goes |
 * | confchange_drop_if_unapplied | a second change is refused until the first is applied, and leaves no trace in the log |
 * | confchange_disable_validation | does not apply: the check cannot be switched off (test above) |
 *
 * Unit cases: ../membership.test.ts; single changes: ../leadership.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf, isJoint } from '../configuration.ts';
import { planChange } from '../membership.ts';
import { TestCluster } from '../test-cluster.ts';
import type { MemberChange, MemberId, Message } from '../types.ts';
import { flow, recorded } from './test-scene.ts';

const add = (id: MemberId): MemberChange => ({ type: 'add-voter', id });
const remove = (id: MemberId): MemberChange => ({ type: 'remove', id });

function accepted(cluster: TestCluster, leader: MemberId, changes: readonly MemberChange[]): void {
  const result = cluster.core(leader).proposeChange(changes);
  assert.ok(result.ok, result.ok ? '' : result.detail);
}

function refusal(cluster: TestCluster, leader: MemberId, changes: readonly MemberChange[]): string {
  const result = cluster.core(leader).proposeChange(changes);
  return result.ok ? 'accepted' : result.detail;
}

/** The indexes of the config entries on the disk of `id`. */
function configEntries(cluster: TestCluster, id: MemberId): number[] {
  return cluster
    .member(id)
    .disk.filter((entry) => entry.kind === 'config')
    .map((entry) => entry.index);
}

function led(voters: readonly MemberId[]): TestCluster {
  const cluster = new TestCluster(voters);
  cluster.elect(voters[0]!);
  cluster.ticks(2);
  return cluster;
}

test('one voter more: from nothing, by snapshot and log, and it counts from the append on', () => {
  const cluster = led([1]);
  for (const text of ['a', 'b']) cluster.propose(1, text);
  cluster.settle();
  cluster.compact(1, 0);
  cluster.add(2);
  const said = recorded(
    cluster,
    (m) => m.type === 'snapshot' || (m.type === 'append' && m.entries.length > 0),
  );
  accepted(cluster, 1, [add(2)]);
  const { last_index } = cluster.status(1);
  cluster.pump(1);
  assert.deepEqual([cluster.status(1).commit, last_index], [3, 4], 'its own disk is not a majority any more');
  cluster.ticksUntil(() => cluster.status(2).applied === 4, 'the new voter has it');
  assert.equal(said.filter((of) => of.includes('snapshot')).length, 1);
  assert.deepEqual(said.at(-1), '1>2 t1 after 3/1 [c4/1] commit 3');
  assert.deepEqual(cluster.commands(2), ['a', 'b']);
  assert.deepEqual(cluster.status(2).configuration, configurationOf([1, 2]));
  assert.deepEqual(configEntries(cluster, 1), [4], 'in one config entry, never joint');
  assert.equal(flow(cluster, 1, 2), 'replicate 4');
});

test('no configuration of ours is joint for longer than it must be', () => {
  const three = configurationOf([1, 2, 3]);
  const plans: [MemberChange[], joint: boolean][] = [
    [[add(4)], false],
    [[remove(3)], false],
    [[add(4), { type: 'add-learner', id: 5 }, { type: 'add-learner', id: 6 }], false],
    [[add(4), remove(3)], true],
    [[add(4), add(5)], true],
  ];
  for (const [changes, joint] of plans) {
    const plan = planChange(three, changes);
    assert.ok(plan.ok);
    assert.deepEqual([isJoint(plan.configuration), plan.configuration.auto_leave], [joint, joint]);
  }
});

test('two voters more, then less: two config entries each, the second written by the leader itself', () => {
  const cluster = led([1]);
  for (const id of [2, 3]) cluster.add(id);
  const before = cluster.status(1).last_index;
  accepted(cluster, 1, [add(2), add(3)]);
  assert.ok(isJoint(cluster.status(1).configuration));
  cluster.ticksUntil(
    () => [2, 3].every((id) => cluster.status(id).applied === before + 2),
    'everybody has both',
  );
  assert.deepEqual(configEntries(cluster, 1), [before + 1, before + 2]);
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.status(id).configuration, configurationOf([1, 2, 3]));
  cluster.ticks(2);
  accepted(cluster, 1, [remove(2), remove(3)]);
  cluster.ticksUntil(() => cluster.status(1).applied === before + 4, 'alone again');
  assert.deepEqual(configEntries(cluster, 1), [before + 1, before + 2, before + 3, before + 4]);
  assert.deepEqual(cluster.status(1).configuration, configurationOf([1]));
});

test('while joint, nothing else is changed, not even by a new leader', () => {
  const cluster = led([1, 2, 3]);
  for (const id of [4, 5]) cluster.add(id);
  // The joint entry reaches everybody; that it is there is not told to the leader by the old half.
  cluster.cut = (m) => m.type === 'append-reply' && m.to === 1 && m.from < 4;
  accepted(cluster, 1, [add(4), add(5)]);
  cluster.ticks(3);
  assert.match(refusal(cluster, 1, [remove(2)]), /entry 2 is not applied yet/);
  cluster.cut = (m) => m.from === 1 || m.to === 1 || m.type === 'append-reply';
  cluster.ticksUntil(() => cluster.leader() > 1, 'another leads');
  const next = cluster.leader();
  assert.ok(isJoint(cluster.status(next).configuration));
  assert.match(refusal(cluster, next, [remove(2)]), /entry 2 is not applied yet/);
  cluster.cut = () => false;
  cluster.ticksUntil(() => !isJoint(cluster.status(1).configuration), 'it finishes what the other began');
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2, 3, 4, 5]);
});

test('a second change is refused until the first is applied, and leaves no trace in the log', () => {
  const cluster = led([1, 2, 3]);
  accepted(cluster, 1, [remove(3)]);
  const { last_index, configuration } = cluster.status(1);
  assert.match(refusal(cluster, 1, [add(3)]), /not applied yet/);
  assert.deepEqual(cluster.status(1).last_index, last_index);
  assert.deepEqual(cluster.status(1).configuration, configuration);
  // Committed, and still not applied: a state machine takes its time.
  const core = cluster.core(1);
  let handed = 0;
  for (let i = 0; i < 4; i++) {
    for (let ready = core.ready(); ready !== null; ready = core.ready()) {
      cluster.queue.push(...ready.messages, ...ready.messages_after_sync);
      core.synced(ready.seq);
      handed = ready.committed.at(-1)?.index ?? handed;
    }
    while (cluster.deliver());
    cluster.pump(2);
  }
  assert.equal(handed, last_index);
  assert.equal(cluster.status(1).commit, last_index);
  assert.match(refusal(cluster, 1, [add(3)]), /not applied yet/);
  core.applied(last_index);
  accepted(cluster, 1, [add(3)]);
});

test('a leader that removes itself counts for nothing in that, and serves until it is done', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => m.from === 3 && m.to === 1 && m.type === 'append-reply';
  accepted(cluster, 1, [remove(1)]);
  const index = cluster.status(1).last_index;
  const behind = cluster.propose(1, 'behind');
  cluster.settle();
  // On the disks of 1 and 2 it would be a majority of three; of {2, 3} it is none.
  assert.deepEqual([cluster.status(1).role, cluster.status(1).commit], ['leader', index - 1]);
  assert.ok(behind > index, 'it goes on taking proposals');
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.status(1).role !== 'leader', 'it goes');
  cluster.ticksUntil(() => cluster.leader() > 1, 'another leads');
});

test('what was proposed behind the removal of the leader is not lost', () => {
  const cluster = led([1, 2, 3]);
  accepted(cluster, 1, [remove(1)]);
  for (const text of ['a', 'b']) cluster.propose(1, text);
  const said = recorded(cluster, (m) => m.type === 'timeout-now');
  cluster.settle();
  assert.deepEqual(said, ['1>2 t1 campaign now'], 'nobody waits for silence');
  assert.equal(cluster.status(1).role, 'follower');
  cluster.ticksUntil(() => cluster.commands(2).length === 2, 'the successor has and commits it');
  assert.deepEqual(cluster.commands(2), ['a', 'b']);
  assert.deepEqual(cluster.status(2).configuration, configurationOf([2, 3]));
});

test('a leader that replaces itself leads to the end of the change, and goes', () => {
  const cluster = led([1, 2, 3]);
  cluster.add(4);
  const before = cluster.status(1).last_index;
  accepted(cluster, 1, [add(4), remove(1)]);
  const said = recorded(cluster, (m: Message) => m.type === 'timeout-now' || (m.type === 'vote' && !m.pre));
  cluster.settle();
  assert.equal(said[0], '1>2 t1 campaign now');
  const next = cluster.leader();
  assert.notEqual(next, 1);
  cluster.ticks(3);
  assert.deepEqual(configEntries(cluster, next), [before + 1, before + 2]);
  for (const id of [2, 3, 4]) assert.deepEqual(cluster.status(id).configuration, configurationOf([2, 3, 4]));
  assert.equal(cluster.status(1).role, 'follower');
  // It may not have heard of the end; it cannot disturb those who have.
  const { term } = cluster.status(next);
  cluster.ticks(100);
  assert.deepEqual([cluster.leader(), cluster.status(next).term], [next, term]);
});

test('the lead is handed to the newcomer in the middle of the change', () => {
  const cluster = led([1, 2, 3]);
  cluster.add(4);
  // 4 catches up; the old half's answers are late, so that the joint configuration stays.
  cluster.cut = (m) => m.type === 'append-reply' && m.to === 1 && m.from !== 4;
  accepted(cluster, 1, [add(4), remove(1)]);
  const joint = cluster.status(1).last_index;
  cluster.ticksUntil(() => flow(cluster, 1, 4) === `replicate ${joint}`, 'the newcomer has everything');
  assert.ok(isJoint(cluster.status(1).configuration));
  assert.equal(cluster.core(1).transfer(4).ok, true);
  cluster.cut = (m) => m.type === 'vote-reply' && m.to === 4 && (m.from === 2 || m.from === 3);
  cluster.settle();
  assert.equal(cluster.status(4).role, 'candidate', '1 and 4 are a majority of neither half');
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.leader() === 4, 'both halves do', 60);
  cluster.ticksUntil(() => !isJoint(cluster.status(4).configuration), 'it ends the change');
  cluster.ticks(3);
  for (const id of [2, 3, 4]) assert.deepEqual(cluster.status(id).configuration, configurationOf([2, 3, 4]));
});
