/**
 * Interaction behaviours of the widely used Go implementation, theme elections. Script -> test here (or where it is).
 *
 * | script | here |
 * |---|---|
 * | campaign | the first election, word for word |
 * | vote (newer) | two ask in one term: one is elected, the other follows |
 * | prevote | a member whose log is behind costs nobody a term |
 * | prevote_checkquorum | while a leader is heard, no pre-vote succeeds; once a majority misses it, one does at once |
 * | checkquorum | only voters keep a leader in office; … one voter of two is enough (its end: ../election.test.ts, "check-quorum: …") |
 * | campaign_learner_must_vote | a learner that is a voter already and has not heard of it votes |
 * | single_node | a single voter: asks nobody, commits what is on its disk, and only that |
 * | campaign_now_lease (newer) | whoever the leader tells to campaign is elected although all hear the leader |
 *
 * Unit cases of votes and pre-votes: ../election.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestCluster } from '../test-cluster.ts';
import { between, campaign, diskOf, noHeartbeat, recorded, seat } from './test-scene.ts';

test('the first election, word for word', () => {
  const cluster = new TestCluster([1, 2, 3]);
  const said = recorded(cluster);
  campaign(cluster, 1);
  cluster.settle();
  assert.deepEqual(said.slice(0, 8), [
    '1>2 t1 pre-vote? log 0/0',
    '1>3 t1 pre-vote? log 0/0',
    '2>1 t1 pre-vote yes',
    '3>1 t1 pre-vote yes',
    '1>2 t1 vote? log 0/0',
    '1>3 t1 vote? log 0/0',
    '2>1 t1 vote yes',
    '3>1 t1 vote yes',
  ]);
  // Then the first entry of the term, which makes everything before it final (thesis, section 3.6.2).
  for (const id of [1, 2, 3]) {
    const { leader, term, commit } = cluster.status(id);
    assert.deepEqual([leader, term, commit, diskOf(cluster, id)], [1, 1, 1, ['1/1']]);
  }
});

test('two ask in one term: one is elected, the other follows', () => {
  const cluster = new TestCluster([1, 2, 3]);
  // Both at once, and without a pre-vote, which would tell them apart.
  for (const id of [1, 2]) cluster.core(id).step({ type: 'timeout-now', from: 3, to: id, term: 0 });
  const said = recorded(cluster, (m) => m.type === 'vote-reply' && !m.pre);
  cluster.settle();
  assert.deepEqual(said, ['2>1 t1 vote no', '3>1 t1 vote yes', '1>2 t1 vote no', '3>2 t1 vote no']);
  assert.deepEqual([cluster.leader(), cluster.status(2).role, cluster.status(2).leader], [1, 'follower', 1]);
});

test('a member whose log is behind costs nobody a term', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.settle();
  cluster.cut = (m) => m.to === 3;
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.crash(1);
  cluster.cut = () => false;
  const said = recorded(cluster);
  campaign(cluster, 3);
  cluster.settle();
  assert.deepEqual(said, ['3>1 t2 pre-vote? log 1/1', '3>2 t2 pre-vote? log 1/1', '2>3 t1 pre-vote no']);
  assert.deepEqual([cluster.status(2).term, cluster.status(3).term], [1, 1]);
  said.length = 0;
  campaign(cluster, 2);
  cluster.settle();
  assert.deepEqual(said.slice(0, 4), [
    '2>1 t2 pre-vote? log 2/1',
    '2>3 t2 pre-vote? log 2/1',
    '3>2 t2 pre-vote yes',
    '2>1 t2 vote? log 2/1',
  ]);
  assert.deepEqual([cluster.leader(), cluster.status(2).term], [2, 2]);
});

test('while a leader is heard, no pre-vote succeeds; once a majority misses it, one does at once', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.ticks(2);
  const said = recorded(cluster, noHeartbeat);
  // Only 2's time passes: it alone finds the leader silent.
  campaign(cluster, 2);
  cluster.settle();
  assert.deepEqual(said, [
    '2>1 t2 pre-vote? log 1/1',
    '2>3 t2 pre-vote? log 1/1',
    '1>2 t1 pre-vote no',
    '3>2 t1 pre-vote no',
  ]);
  assert.deepEqual([cluster.leader(), cluster.status(1).term], [1, 1]);
  // Then 3's as well: two of three miss the leader, which is alive.
  campaign(cluster, 3);
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.status(3).term], [3, 2]);
  assert.deepEqual([cluster.status(1).role, cluster.status(1).leader], ['follower', 3]);
});

test('only voters keep a leader in office, learners do not', () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4, 5] });
  cluster.elect(1);
  cluster.cut = (m) => [m.from, m.to].some((id) => id === 2 || id === 3);
  cluster.ticks(11);
  assert.notEqual(cluster.status(1).role, 'leader');
});

test('one voter of two is enough to keep a leader in office', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 3 || m.to === 3;
  cluster.ticks(200);
  assert.deepEqual([cluster.leader(), cluster.status(1).term], [1, 1]);
});

test('a learner that is a voter already and has not heard of it votes', () => {
  const cluster = new TestCluster([1, 2], { learners: [3] });
  cluster.elect(1);
  cluster.ticks(2);
  // The promotion reaches 2, never 3; then the leader is gone.
  cluster.cut = (m) => m.to === 3 && m.type === 'append';
  assert.equal(cluster.core(1).proposeChange([{ type: 'add-voter', id: 3 }]).ok, true);
  cluster.settle();
  assert.deepEqual(cluster.status(2).configuration.voters, [1, 2, 3]);
  assert.deepEqual(cluster.status(3).configuration.learners, [3]);
  cluster.crash(1);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.leader() === 2, 'two of the three voters elect one');
  cluster.ticksUntil(
    () => cluster.status(3).configuration.voters.length === 3,
    'it hears of it from the new leader',
  );
});

test('a single voter: asks nobody, commits what is on its disk, and only that', () => {
  const cluster = new TestCluster([1]);
  const said = recorded(cluster);
  cluster.ticks(1);
  assert.deepEqual(
    [cluster.status(1).role, cluster.status(1).term, cluster.status(1).commit],
    ['leader', 1, 1],
  );
  cluster.propose(1, 'a');
  const core = cluster.core(1);
  const ready = core.ready();
  assert.deepEqual([ready?.entries.length, ready?.committed.length, core.status().commit], [1, 0, 1]);
  assert.equal(core.ready(), null, 'nothing to do before the disk has answered');
  core.synced(ready?.seq ?? 0);
  assert.equal(core.status().commit, 2);
  assert.deepEqual(said, []);
});

test('whoever the leader tells to campaign is elected although all hear the leader', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.ticks(2);
  const said = recorded(cluster, noHeartbeat);
  assert.equal(cluster.core(1).transfer(3).ok, true);
  cluster.settle();
  assert.deepEqual(said.slice(0, 5), [
    '1>3 t1 campaign now',
    '3>1 t2 vote? log 1/1 transfer',
    '3>2 t2 vote? log 1/1 transfer',
    '1>3 t2 vote yes',
    '2>3 t2 vote yes',
  ]);
});

test('a member that lost only the link to the leader is not elected, whatever its log; the leader sees nothing of it', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.ticks(2);
  cluster.cut = (m) => between(m, 1, 3);
  const heard = recorded(cluster, (m) => m.to === 1 && m.from === 2 && m.term > 1);
  cluster.ticks(100);
  assert.deepEqual([cluster.leader(), cluster.status(2).term, heard], [1, 1, []]);
  assert.deepEqual(diskOf(cluster, 3), diskOf(cluster, 1));
});

test('a voter whose log is longer but of an older term loses to one whose last term is newer', () => {
  const cluster = new TestCluster([1, 2, 3]);
  seat(cluster, 1, [1, 1, 1, 1, 1], 2);
  seat(cluster, 2, [1, 2], 2);
  seat(cluster, 3, [1, 2], 2);
  campaign(cluster, 1);
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.status(1).term], [0, 2]);
  campaign(cluster, 2);
  cluster.settle();
  assert.equal(cluster.leader(), 2);
  cluster.ticks(3);
  for (const id of [1, 3]) assert.deepEqual(diskOf(cluster, id), ['1/1', '2/2', '3/3']);
});
