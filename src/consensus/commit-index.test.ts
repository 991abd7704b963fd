/** How members hear of the commit index when it has nothing to travel with, in a core that is told when (`defer_commit`). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { line, recorded } from './interaction/test-scene.ts';
import { TestCluster } from './test-cluster.ts';

function led(): TestCluster {
  const cluster = new TestCluster([1, 2, 3], { options: { defer_commit: true } });
  cluster.elect(1);
  cluster.ticks(2);
  return cluster;
}

test('it waits to be asked for; then it goes out once, and nobody answers', () => {
  const cluster = led();
  const index = cluster.propose(1, 'a');
  const said = recorded(cluster);
  cluster.settle();
  assert.deepEqual(said, [
    `1>2 t1 after ${index - 1}/1 [${index}/1] commit ${index - 1}`,
    `1>3 t1 after ${index - 1}/1 [${index}/1] commit ${index - 1}`,
    `2>1 t1 has ${index}`,
    `3>1 t1 has ${index}`,
  ]);
  assert.deepEqual([cluster.status(1).commit, cluster.status(2).commit], [index, index - 1]);
  said.length = 0;
  assert.equal(cluster.core(1).untoldCommit(), index);
  cluster.core(1).tellCommit(index);
  cluster.settle();
  assert.deepEqual(said, [`1>2 t1 heartbeat 0 commit ${index}`, `1>3 t1 heartbeat 0 commit ${index}`]);
  assert.deepEqual([cluster.core(1).untoldCommit(), cluster.commands(2)], [0, ['a']]);
  cluster.core(1).tellCommit(index);
  cluster.settle();
  assert.equal(said.length, 2);
});

test('the next append takes it along, and then there is nothing to tell', () => {
  const cluster = led();
  const first = cluster.propose(1, 'a');
  cluster.settle();
  cluster.propose(1, 'b');
  cluster.pump(1);
  assert.equal(cluster.core(1).untoldCommit(), 0);
  cluster.settle();
  assert.ok(cluster.status(2).commit >= first);
  // Somebody asked when the first was untold: the second is younger, and may still find company.
  const said = recorded(cluster);
  cluster.core(1).tellCommit(first);
  cluster.settle();
  assert.deepEqual(said, []);
});

test('a member is told no more than it has acknowledged, and one that is silent makes nobody ask for ever', () => {
  const cluster = led();
  cluster.cut = (m) => m.from === 3;
  const index = cluster.propose(1, 'a');
  cluster.settle();
  const said = recorded(cluster, (m) => m.to === 3 && m.type === 'heartbeat');
  cluster.core(1).tellCommit(index);
  cluster.settle();
  assert.deepEqual([said, cluster.core(1).untoldCommit()], [[], 0]);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(3).length === 1, 'the next heartbeats tell it');
});

test('one that is lost is repeated by the next heartbeat', () => {
  const cluster = led();
  const index = cluster.propose(1, 'a');
  cluster.settle();
  cluster.cut = (m) => m.type === 'heartbeat' && m.round === 0;
  cluster.core(1).tellCommit(index);
  cluster.settle();
  assert.equal(cluster.status(2).commit, index - 1);
  cluster.ticks(2);
  assert.equal(cluster.status(2).commit, index);
});

test('a member with a log begun anew is told by an append, which compares the logs', () => {
  const cluster = led();
  cluster.crash(3);
  cluster.damage(3, true);
  cluster.restart(3);
  cluster.ticks(4);
  cluster.propose(1, 'before');
  cluster.ticks(4);
  const index = cluster.propose(1, 'a');
  cluster.settle();
  assert.equal(cluster.status(3).commit, index - 1);
  const said: string[] = [];
  cluster.onSend = (m) => {
    if (m.to === 3) said.push(line(m));
  };
  cluster.core(1).tellCommit(index);
  cluster.settle();
  assert.deepEqual(said, [`1>3 t1 after ${index}/1 [] commit ${index}`]);
  assert.deepEqual(cluster.commands(3), ['before', 'a']);
});

test('whoever does not lead has nothing to tell', () => {
  const cluster = led();
  const said = recorded(cluster);
  assert.equal(cluster.core(2).untoldCommit(), 0);
  cluster.core(2).tellCommit(99);
  cluster.settle();
  assert.deepEqual(said, []);
});
