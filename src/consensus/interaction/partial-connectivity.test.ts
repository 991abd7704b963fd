/**
 * Some hear each other and some do not (Cloudflare, 2020: a switch that forwarded only in part, and election after election).
 * With pre-vote and check-quorum whoever leads stays, as long as a majority hears it and it them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestCluster } from '../test-cluster.ts';
import { between } from './test-scene.ts';

test('A and B cannot hear each other, C hears both: the leader stays, whoever it is', () => {
  for (const leader of [1, 2, 3]) {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(leader);
    cluster.ticks(2);
    const { term } = cluster.status(leader);
    cluster.cut = (m) => between(m, 1, 2);
    cluster.ticks(500);
    assert.deepEqual([cluster.leader(), cluster.status(3).term], [leader, term], `${leader} leads`);
    assert.ok(cluster.propose(leader, 'a') > 0);
    cluster.settle();
    assert.deepEqual(cluster.commands(leader), ['a']);
  }
});

test('five of which no two neighbours in a ring hear each other: one leads, and stays', () => {
  const cluster = new TestCluster([1, 2, 3, 4, 5]);
  cluster.cut = (m) => [1, 4].includes(Math.abs(m.from - m.to));
  // Everybody hears two others: just a majority with itself.
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader');
  const leader = cluster.leader();
  cluster.ticks(20);
  const { term } = cluster.status(leader);
  cluster.ticks(500);
  assert.deepEqual([cluster.leader(), cluster.status(leader).term], [leader, term]);
});

test('the leader of a star goes, and the others, who hear nobody else, do not raise a term', () => {
  const cluster = new TestCluster([1, 2, 3, 4, 5]);
  cluster.elect(1);
  cluster.ticks(2);
  cluster.cut = (m) => m.from !== 1 && m.to !== 1;
  cluster.ticks(100);
  assert.equal(cluster.leader(), 1);
  cluster.crash(1);
  cluster.ticks(500);
  assert.deepEqual(
    [2, 3, 4, 5].map((id) => cluster.status(id).term),
    [1, 1, 1, 1],
  );
  cluster.restart(1);
  cluster.ticksUntil(() => cluster.leader() !== 0, 'the middle is back');
});

test('a leader that is deaf gives up, one that is mute is replaced: each within two election timeouts', () => {
  for (const deaf of [true, false]) {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.ticks(2);
    // One direction only.
    cluster.cut = (m) => (deaf ? m.to === 1 : m.from === 1);
    cluster.ticksUntil(() => cluster.status(1).role !== 'leader', 'it goes', deaf ? 10 : 30);
    cluster.ticksUntil(() => cluster.leader() > 1, 'another leads', 30);
    const leader = cluster.leader();
    const { term } = cluster.status(leader);
    cluster.ticks(300);
    assert.deepEqual([cluster.leader(), cluster.status(leader).term], [leader, term], 'it disturbs nobody');
  }
});
