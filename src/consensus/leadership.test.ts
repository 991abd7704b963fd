/** What a leader does for others: reads, changes of members, handing over (thesis, sections 3.10, 4 and 6.4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { no_quorum_round } from './core.ts';
import { max_waiting_reads, QuorumRounds } from './quorum-rounds.ts';
import { TestCluster } from './test-cluster.ts';
import type { Message } from './types.ts';

const isRound = (m: Message): boolean => m.type === 'heartbeat' || m.type === 'heartbeat-reply';

function detail(result: { ok: boolean; detail?: string }): string {
  return result.ok ? 'accepted' : (result.detail ?? '');
}

test('a read is confirmed by a round that began after it, not by one under way', () => {
  const rounds = new QuorumRounds(1);
  const trio = configurationOf([1, 2, 3]);
  const under_way = rounds.begin(5);
  assert.equal(rounds.request({ context: 7, index: 3 }), true);
  assert.equal(rounds.due, false, 'it shares the next round');
  rounds.answered(2, under_way);
  assert.deepEqual(rounds.settle(trio), []);
  assert.equal(rounds.over_began_at, 5);
  assert.equal(rounds.due, true);
  const next = rounds.begin(6);
  rounds.answered(2, next + 1);
  assert.deepEqual(rounds.settle(trio), [], 'an answer to a round that was never begun');
  rounds.answered(3, next);
  assert.deepEqual(rounds.settle(trio), [{ context: 7, index: 3 }]);
  assert.deepEqual(rounds.abandon(), []);
});

test('reads that wait are bounded', () => {
  const rounds = new QuorumRounds(1);
  for (let context = 0; context < max_waiting_reads; context++) rounds.request({ context, index: 1 });
  assert.equal(rounds.request({ context: -1, index: 1 }), false);
  assert.equal(rounds.abandon().length, max_waiting_reads);
});

test('no read before an entry of the own term is committed', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.cut = (m) => m.type === 'append-reply';
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader');
  assert.equal(cluster.core(cluster.leader()).requestRead(1), false);
  cluster.cut = () => false;
  cluster.ticks(3);
  assert.equal(cluster.core(cluster.leader()).requestRead(1), true);
});

test('a deposed leader that does not know it answers no read', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  cluster.core(2).leaderLost(1, 0);
  cluster.core(3).leaderLost(1, 5);
  cluster.core(2).leaderLost(1, 0);
  cluster.settle();
  cluster.ticksUntil(
    () => cluster.status(2).role === 'leader' || cluster.status(3).role === 'leader',
    'new',
    9,
  );
  assert.equal(cluster.status(1).role, 'leader');
  assert.equal(cluster.core(1).requestRead(42), true);
  cluster.settle();
  assert.deepEqual(cluster.member(1).reads, []);
  cluster.ticks(12);
  assert.deepEqual(cluster.member(1).reads_failed, [42]);
});

test('reads of one turn share a round; a lone voter needs none', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.settle();
  let sent = 0;
  cluster.onSend = (m) => {
    if (m.type === 'heartbeat') sent++;
  };
  for (let context = 0; context < 50; context++) assert.equal(cluster.core(1).requestRead(context), true);
  cluster.settle();
  assert.equal(sent, 2);
  assert.equal(cluster.member(1).reads.length, 50);
  const alone = new TestCluster([1]);
  alone.ticks(1);
  assert.equal(alone.core(1).requestRead(1), true);
  assert.deepEqual(alone.core(1).ready()?.reads, [{ context: 1, index: 1 }]);
});

test('the age of the quorum is that of the beginning of a round', () => {
  const cluster = new TestCluster([1, 2, 3]);
  assert.equal(cluster.core(1).quorumAgeTicks(), 0);
  cluster.cut = isRound;
  cluster.elect(1);
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round);
  cluster.cut = () => false;
  cluster.ticks(2);
  cluster.cut = (m) => m.type === 'heartbeat-reply';
  const age = cluster.core(1).quorumAgeTicks();
  cluster.ticks(3);
  assert.equal(cluster.core(1).quorumAgeTicks(), age + 3);
});

test('no change of members before an own-term entry is committed, nor while one is not applied', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.cut = (m) => m.type === 'append-reply';
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader');
  const core = cluster.core(cluster.leader());
  assert.match(detail(core.proposeChange([{ type: 'remove', id: 3 }])), /no entry of term \d+ is committed/);
  cluster.cut = () => false;
  cluster.ticks(3);
  assert.match(detail(core.proposeChange([])), /at least one change/);
  assert.match(detail(core.proposeChange([{ type: 'remove', id: -2 }])), /member -2: expected a positive/);
  assert.equal(core.proposeChange([{ type: 'add-learner', id: 9 }]).ok, true);
  assert.match(detail(core.proposeChange([{ type: 'add-learner', id: 8 }])), /not applied yet/);
});

test('one voter more is a simple change, and counts from its append on', () => {
  const cluster = new TestCluster([1]);
  cluster.ticks(1);
  cluster.add(2);
  cluster.cut = (m) => m.to === 2;
  assert.equal(cluster.core(1).proposeChange([{ type: 'add-voter', id: 2 }]).ok, true);
  const index = cluster.propose(1, 'a');
  cluster.settle();
  assert.ok(cluster.status(1).commit < index);
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2]);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(2).length === 1, 'the new voter has it');
  assert.deepEqual(cluster.status(2).configuration.voters, [1, 2]);
});

test('several at once go through a joint configuration, which ends by itself; both halves must agree', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  for (const id of [4, 5]) cluster.add(id);
  cluster.cut = (m) => m.from === 2 || m.from === 3;
  const changes = [2, 3].map((id) => ({ type: 'remove', id }) as const);
  const added = [4, 5].map((id) => ({ type: 'add-voter', id }) as const);
  assert.equal(cluster.core(1).proposeChange([...changes, ...added]).ok, true);
  cluster.ticks(8);
  assert.deepEqual(cluster.status(1).configuration.voters_outgoing, [1, 2, 3], 'the old half has not agreed');
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.status(5).configuration.voters_outgoing.length === 0, 'left');
  cluster.ticksUntil(() => cluster.status(4).commit === cluster.status(1).last_index, 'committed');
  assert.deepEqual(cluster.status(4).configuration, configurationOf([1, 4, 5]));
});

test('a new leader leaves the joint configuration that the old one entered', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 1 && m.type === 'append' && m.commit > 1;
  cluster.core(1).proposeChange([
    { type: 'add-learner', id: 2 },
    { type: 'add-learner', id: 3 },
  ]);
  cluster.ticks(3);
  assert.equal(cluster.status(2).configuration.voters_outgoing.length, 3);
  cluster.cut = () => false;
  cluster.core(1).stepDown();
  cluster.ticksUntil(() => {
    const id = cluster.leader();
    return id !== 0 && cluster.status(id).configuration.voters_outgoing.length === 0;
  }, 'left');
  assert.deepEqual(cluster.status(1).configuration, configurationOf([1], [2, 3]));
});

test('a removed leader steps down when its removal is committed, and another takes over at once', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).proposeChange([{ type: 'remove', id: 1 }]);
  cluster.settle();
  assert.equal(cluster.status(1).role, 'follower');
  assert.ok(cluster.leader() > 1, 'without waiting for silence');
  cluster.ticks(100);
  assert.equal(cluster.status(1).role, 'follower', 'it does not campaign');
});

test('whoever alone has its own removal in the log may still lead, to finish it (thesis, figure 4.6)', () => {
  const cluster = new TestCluster([1, 2]);
  cluster.elect(1);
  cluster.ticks(3);
  cluster.cut = (m) => m.type === 'append';
  cluster.core(1).proposeChange([{ type: 'remove', id: 1 }]);
  cluster.settle();
  cluster.crash(1);
  cluster.restart(1);
  assert.deepEqual(cluster.status(1).configuration.voters, [2]);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.status(2).role === 'leader', 'the remaining voter leads');
  assert.deepEqual(cluster.status(2).configuration.voters, [2]);
});

test('an uncommitted change is rolled back with its entry, also across a restart', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  cluster.core(1).proposeChange([{ type: 'remove', id: 3 }]);
  cluster.settle();
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2]);
  cluster.crash(1);
  cluster.restart(1);
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2]);
  cluster.ticksUntil(() => cluster.leader() > 1, 'a new leader');
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.status(1).leader > 1, 'back');
  cluster.ticks(4);
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2, 3]);
});

test('the lead is handed over without waiting; nothing is proposed meanwhile', () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  assert.match(detail(cluster.core(1).transfer(1)), /leads already/);
  assert.match(detail(cluster.core(1).transfer(4)), /not a voter/);
  assert.match(detail(cluster.core(2).transfer(3)), /is follower/);
  assert.equal(cluster.core(1).transfer(3).ok, true);
  const meanwhile = cluster.core(1).propose([new Uint8Array(1)]);
  assert.ok(!meanwhile.ok && meanwhile.reason === 'transferring');
  cluster.settle();
  assert.equal(cluster.leader(), 3);
});

test('an heir that is behind is brought up to date first; one that is gone is given up', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.to === 3;
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.core(1).transfer(3).ok, true);
  cluster.ticks(12);
  assert.equal(cluster.leader(), 1);
  assert.ok(cluster.propose(1, 'b') > 0, 'given up after an election timeout');
  cluster.cut = () => false;
  cluster.core(1).transfer(3);
  cluster.ticksUntil(() => cluster.leader() === 3, 'handed over');
  assert.deepEqual(cluster.commands(3), ['a', 'b']);
});

test('a leader that gives up names an heir; a closed connection elects one within ticks', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).stepDown();
  cluster.settle();
  assert.ok(cluster.leader() > 1);
  const old = cluster.leader();
  cluster.crash(old);
  const others = [1, 2, 3].filter((id) => id !== old);
  others.forEach((id, rank) => {
    cluster.core(id).leaderLost(old, rank * 2);
  });
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader', 12);
});

test('a connection that comes up is probed at once', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).peer(2, false);
  cluster.cut = (m) => m.to === 2;
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.progress(1).find((of) => of.id === 2)?.state, 'probe');
  cluster.cut = () => false;
  cluster.core(1).peer(2, true);
  cluster.settle();
  assert.deepEqual(cluster.commands(2), ['a']);
});
