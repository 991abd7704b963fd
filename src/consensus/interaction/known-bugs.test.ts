/**
 * Bugs that others' implementations of Raft had, as regression tests of the core. Bug -> test here, or where it is.
 *
 * | bug | here |
 * |---|---|
 * | single-server changes of two terms overlap (raft-dev, 2015) | a change begun in an earlier term and one of this term never commit side by side |
 * | an uncommitted configuration survives, or the one before it is lost with the log | … rolled back to the snapshot's (and ../leadership.test.ts, "an uncommitted change is rolled back …") |
 * | a leader with unapplied changes campaigns on the wrong quorum | a configuration counts from its append on, for votes too |
 * | pre-vote resets the vote | a pre-vote in between frees no vote |
 * | pre-vote refreshes the idea that a leader is there | one who asks and cannot win keeps nobody from campaigning |
 * | the leader's own pre-vote is refused: two of three alive, never a leader | a leader that lost touch and stepped down is elected again by one who still follows it |
 * | an answer does not say what it answers | ../election.test.ts, "an answer says whether it answers a pre-vote …" |
 * | a refusal of a higher term is ignored | ../election.test.ts, "a refusal of a pre-vote from a higher term …", "a member that comes back …" |
 * | read index before an entry of the own term | ../leadership.test.ts, "no read before an own-term entry …" |
 * | a read survives the end of the lead and is confirmed by the next one | a read ends with the lead in which it was asked, also when the same member leads again |
 * | a read confirmed by those who do not vote | learners confirm no read; in a joint configuration both halves must |
 * | lease reads without check-quorum | none: no read rests on time here |
 * | a lease is kept across a transfer of the lead | from the moment the heir is told, the age of the quorum promises nothing; … nor when the transfer was given up, until …; an heir that is gone for good … |
 * | partial connectivity: an election loop | ./partial-connectivity.test.ts (links that close: ./replica-known-bugs.test.ts) |
 * | a truncation meets a write under way | ./storage.test.ts, "entries replaced and put back …" |
 * | a group of one answers before its disk | ./elections.test.ts, "a single voter …" |
 * | a process stands still and goes on as if nothing were; a new leader acts before it applied; a leader cannot write | ./replica-known-bugs.test.ts |
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from '../configuration.ts';
import { no_quorum_round } from '../core.ts';
import { TestCluster } from '../test-cluster.ts';
import type { MemberId, Message } from '../types.ts';
import { campaign, recorded } from './test-scene.ts';

function led(voters: readonly MemberId[], learners: readonly MemberId[] = []): TestCluster {
  const cluster = new TestCluster(voters, { learners });
  cluster.elect(voters[0]!);
  cluster.ticks(2);
  return cluster;
}

/** Only messages among `group` arrive. */
function only(group: readonly MemberId[]): (m: Message) => boolean {
  return (m) => !group.includes(m.from) || !group.includes(m.to);
}

test('a change begun in an earlier term and one of this term never commit side by side', () => {
  const cluster = led([1, 2, 3, 4]);
  cluster.add(5);
  // Term 1: 1 adds 5, and reaches nobody but 5.
  cluster.cut = only([1, 5]);
  assert.equal(cluster.core(1).proposeChange([{ type: 'add-voter', id: 5 }]).ok, true);
  cluster.ticks(3);
  assert.deepEqual(cluster.status(5).configuration.voters, [1, 2, 3, 4, 5]);
  // Term 2: 2 is elected by 3 and 4, wants to remove 1, and its first entry has reached nobody.
  cluster.cut = (m) => only([2, 3, 4])(m) || (m.type === 'append' && m.from === 2);
  cluster.core(3).leaderLost(1, 50);
  cluster.core(4).leaderLost(1, 50);
  cluster.core(2).leaderLost(1, 0);
  cluster.settle();
  assert.equal(cluster.status(2).role, 'leader');
  const early = cluster.core(2).proposeChange([{ type: 'remove', id: 1 }]);
  assert.match(early.ok ? 'accepted' : early.detail, /no entry of term 2 is committed yet/);
  // Once it has, it may: with {2, 3} of {2, 3, 4}.
  cluster.cut = only([2, 3, 4]);
  cluster.ticks(2);
  cluster.cut = only([2, 3]);
  assert.equal(cluster.core(2).proposeChange([{ type: 'remove', id: 1 }]).ok, true);
  const kept = cluster.propose(2, 'kept');
  cluster.settle();
  assert.ok(cluster.status(2).commit >= kept);
  // 1, 4 and 5 would be a majority of the five that 1 has in mind. 4 knows better.
  cluster.cut = only([1, 4, 5]);
  cluster.ticks(100);
  assert.ok([1, 4, 5].every((id) => cluster.status(id).role !== 'leader'));
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(4).includes('kept'), 'what was committed is still there');
  assert.deepEqual(cluster.status(4).configuration.voters, [2, 3, 4]);
});

test('an uncommitted configuration is rolled back to that of the snapshot', () => {
  const cluster = led([1, 2, 3, 4]);
  assert.equal(cluster.core(1).proposeChange([{ type: 'remove', id: 4 }]).ok, true);
  cluster.propose(1, 'a');
  cluster.ticks(3);
  cluster.compact(1, 0);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  assert.equal(cluster.core(1).proposeChange([{ type: 'add-voter', id: 5 }]).ok, true);
  cluster.settle();
  cluster.crash(1);
  cluster.restart(1);
  // Its log holds nothing but the change: what was before is known from the snapshot alone.
  assert.deepEqual(
    cluster.member(1).disk.map((entry) => entry.kind),
    ['config'],
  );
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2, 3, 5]);
  cluster.ticksUntil(() => cluster.leader() > 1, 'another leads');
  cluster.cut = () => false;
  const next = cluster.leader();
  cluster.ticksUntil(() => cluster.status(1).applied === cluster.status(next).last_index, '1 has its log');
  assert.deepEqual(cluster.status(1).configuration, configurationOf([1, 2, 3]));
});

test('a configuration counts from its append on, for votes too', () => {
  const cluster = led([1, 2, 3]);
  for (const id of [4, 5]) cluster.add(id);
  cluster.cut = (m) => m.type === 'append-reply';
  const changes = [4, 5].map((id) => ({ type: 'add-voter', id }) as const);
  assert.equal(cluster.core(1).proposeChange(changes).ok, true);
  cluster.settle();
  assert.deepEqual(cluster.status(2).configuration.voters, [1, 2, 3, 4, 5]);
  // Committed it is not; 2 and 3 are a majority of the old half, of the new one they are none.
  cluster.crash(1);
  cluster.cut = only([2, 3]);
  cluster.ticks(100);
  assert.equal(cluster.leader(), 0);
  assert.deepEqual([cluster.status(2).term, cluster.status(3).term], [1, 1]);
  cluster.cut = only([2, 3, 4]);
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a majority of both');
});

test('a pre-vote in between frees no vote', () => {
  const cluster = led([1, 2, 3]);
  const { term } = cluster.status(3);
  const log = { last_index: 9, last_term: term, transfer: false };
  const ask = (from: MemberId, of: number, pre: boolean): string[] => {
    const said = recorded(cluster, (m) => m.from === 3);
    cluster.core(3).step({ type: 'vote', from, to: 3, term: of, pre, ...log });
    cluster.pump(3);
    return said;
  };
  cluster.core(3).leaderLost(1, 50);
  assert.deepEqual(ask(2, 5, false), ['3>2 t5 vote yes']);
  assert.deepEqual(ask(1, 6, true), ['3>1 t6 pre-vote yes']);
  assert.deepEqual(ask(1, 5, false), ['3>1 t5 vote no']);
  assert.equal(cluster.member(3).hard_state.vote, 2);
});

test('one who asks and cannot win keeps nobody from campaigning', () => {
  // All draws are long: 19 ticks of silence.
  const cluster = new TestCluster([1, 2, 3], { options: { random: () => 0.9 } });
  cluster.elect(1);
  cluster.ticks(2);
  cluster.cut = (m) => m.to === 2;
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.crash(1);
  // 2 is behind, and asks again at every tick.
  cluster.cut = () => false;
  let ticks = 0;
  while (cluster.status(3).role === 'follower') {
    assert.ok(++ticks <= 20, 'two election timeouts');
    const log = { last_index: 1, last_term: 1, transfer: false };
    cluster.core(3).step({ type: 'vote', from: 2, to: 3, term: 2, pre: true, ...log });
    cluster.tick(3);
    cluster.pump(3);
  }
  cluster.core(2).leaderLost(1, 100);
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.status(3).term], [3, 2]);
});

test('a leader that lost touch and stepped down is elected again by one who still follows it', () => {
  const cluster = led([1, 2, 3]);
  cluster.crash(3);
  // 2 hears 1, 1 does not hear 2.
  cluster.cut = (m) => m.to === 1;
  while (cluster.status(1).role === 'leader') cluster.ticks(1);
  assert.equal(cluster.status(2).leader, 1);
  cluster.cut = () => false;
  campaign(cluster, 1);
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.status(2).leader], [1, 1]);
});

test('a read ends with the lead in which it was asked, also when the same member leads again', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => m.type === 'heartbeat-reply';
  assert.equal(cluster.core(1).requestRead(7), true);
  const answers: Message[] = [];
  cluster.onSend = (m) => {
    if (m.type === 'heartbeat-reply') answers.push(m);
  };
  cluster.settle();
  assert.equal(answers.length, 2);
  // The answers are late; meanwhile another leads, commits, and hands the lead back.
  cluster.core(1).stepDown();
  cluster.settle();
  const next = cluster.leader();
  assert.notEqual(next, 1);
  cluster.cut = () => false;
  cluster.propose(next, 'newer than the read');
  cluster.ticks(2);
  assert.equal(cluster.core(next).transfer(1).ok, true);
  cluster.settle();
  assert.equal(cluster.leader(), 1);
  for (const m of answers) cluster.core(1).step(m);
  cluster.ticks(4);
  assert.deepEqual([cluster.member(1).reads, cluster.member(1).reads_failed], [[], [7]]);
});

test('learners confirm no read', () => {
  const cluster = led([1, 2, 3], [4, 5]);
  cluster.cut = (m) => m.type === 'heartbeat-reply' && m.from < 4;
  assert.equal(cluster.core(1).requestRead(1), true);
  cluster.ticks(4);
  assert.deepEqual(cluster.member(1).reads, []);
  cluster.cut = (m) => m.type === 'heartbeat-reply' && m.from === 3;
  cluster.ticks(2);
  assert.equal(cluster.member(1).reads.length, 1);
});

test('in a joint configuration both halves must confirm a read', () => {
  for (const silent of [
    [2, 3],
    [4, 5],
  ]) {
    const cluster = led([1, 2, 3]);
    for (const id of [4, 5]) cluster.add(id);
    cluster.cut = (m) => m.type === 'append-reply';
    const changes = [
      { type: 'remove', id: 2 },
      { type: 'remove', id: 3 },
      { type: 'add-voter', id: 4 },
      { type: 'add-voter', id: 5 },
    ] as const;
    assert.equal(cluster.core(1).proposeChange(changes).ok, true);
    cluster.settle();
    cluster.cut = (m) =>
      m.type === 'append-reply' || (m.type === 'heartbeat-reply' && silent.includes(m.from));
    assert.equal(cluster.core(1).requestRead(1), true);
    cluster.ticks(4);
    assert.deepEqual(cluster.member(1).reads, [], `${silent.join(' and ')} have not answered`);
    cluster.cut = (m) => m.type === 'append-reply';
    cluster.ticks(2);
    assert.equal(cluster.member(1).reads.length, 1);
  }
});

test('from the moment the heir is told, the age of the quorum promises nothing', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => m.to === 3;
  cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.core(1).transfer(3).ok, true);
  cluster.ticks(4);
  assert.ok(cluster.core(1).quorumAgeTicks() <= 2, 'the heir is behind: it is not told yet');
  cluster.cut = () => false;
  cluster.ticks(12);
  cluster.elect(1);
  cluster.ticks(4);
  cluster.cut = (m) => m.to === 3;
  assert.equal(cluster.core(1).transfer(3).ok, true);
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round, 'at once');
  cluster.ticks(4);
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round, 'although rounds go on');
});

/** 1 hands the lead to 3, which stands still for longer than an election timeout; what is sent to 3 waits, in order. */
function givenUp(lost: (m: Message) => boolean): { cluster: TestCluster; late: readonly Message[] } {
  const cluster = led([1, 2, 3]);
  const late: Message[] = [];
  cluster.cut = (m) => {
    if (m.to === 3) late.push(m);
    return m.to === 3 || lost(m);
  };
  assert.equal(cluster.core(1).transfer(3).ok, true);
  for (let tick = 0; tick < 14; tick++) {
    for (const id of [1, 2]) cluster.tick(id);
    cluster.settle();
  }
  return { cluster, late };
}

test('nor when the transfer was given up, until the heir has answered something later', () => {
  // What is appended after it is lost, or 3 would be behind and lose.
  const { cluster, late } = givenUp((m) => m.type === 'append');
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round, '2 answers every round');
  cluster.cut = (m) => m.to === 1 || m.type === 'append';
  for (const m of late) {
    cluster.core(3).step(m);
    cluster.settle();
  }
  assert.deepEqual([cluster.status(1).role, cluster.status(3).role], ['leader', 'leader']);
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round, 'member 3 leads');
});

test('… which it does when the order to campaign was lost', () => {
  const { cluster } = givenUp((m) => m.type === 'append');
  cluster.cut = (m) => m.type === 'append';
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round);
  cluster.ticks(2);
  assert.ok(cluster.core(1).quorumAgeTicks() <= 2, 'it stayed in this term');
});

test('an heir that is gone for good costs the lead no trust for long: an entry that it lacks is committed', () => {
  const { cluster, late } = givenUp(() => false);
  assert.ok(cluster.core(1).quorumAgeTicks() <= 2, 'although 3 has answered nothing');
  // And rightly so: it wakes up, campaigns, and 2 refuses it.
  cluster.cut = (m) => m.to === 1;
  const said = recorded(cluster, (m) => m.from === 2 && m.to === 3);
  for (const m of late.filter((of) => of.type === 'timeout-now')) cluster.core(3).step(m);
  cluster.settle();
  assert.deepEqual([said, cluster.status(3).role], [['2>3 t2 vote no'], 'candidate']);
});

test('of two heirs, one after the other, neither is forgotten', () => {
  const cluster = led([1, 2, 3, 4, 5]);
  const appended = (m: Message): boolean => m.type === 'append' && m.to > 3;
  cluster.cut = (m) => m.to === 3 || m.type === 'timeout-now' || appended(m);
  for (const heir of [3, 2]) {
    assert.equal(cluster.core(1).transfer(heir).ok, true);
    cluster.settle();
  }
  for (let tick = 0; tick < 14; tick++) {
    for (const id of [1, 2, 4, 5]) cluster.tick(id);
    cluster.settle();
  }
  assert.equal(cluster.core(1).quorumAgeTicks(), no_quorum_round, '2 has answered later rounds, 3 none');
  cluster.cut = (m) => m.to === 3;
  for (let tick = 0; tick < 2; tick++) {
    for (const id of [1, 2, 4, 5]) cluster.tick(id);
    cluster.settle();
  }
  assert.ok(cluster.core(1).quorumAgeTicks() <= 2, 'entries that 3 lacks are committed');
});
