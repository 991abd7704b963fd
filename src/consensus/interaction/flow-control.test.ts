/**
 * Interaction behaviours of the widely used Go implementation, theme replication and snapshots. Script -> test here.
 *
 * | script | here |
 * |---|---|
 * | probe_and_replicate | a leader makes every log its own, whatever was in it (Raft paper, figure 7) |
 * | replicate_pause | a full window stays full until an answer; one lost in it is found by the next heartbeat |
 * | heartbeat_resp_recovers_from_probing | after an interruption a heartbeat is enough to replicate again |
 * | lagging_commit | a follower that missed the last commit index has it after one heartbeat |
 * | slow_follower_after_compaction | a slow follower whose entries are compacted away under its full window gets a snapshot |
 * | snapshot_succeed_via_app_resp | an acknowledgement ends the wait for a snapshot, no report is needed |
 * | snapshot_succeed_via_app_resp_behind | one that is behind the snapshot ends it too, if the log reaches it |
 *
 * Unit cases: ../progress.test.ts and ../replication.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestCluster } from '../test-cluster.ts';
import type { Message } from '../types.ts';
import { campaign, diskOf, flow, recorded, seat } from './test-scene.ts';

const isAppend = (m: Message): boolean => m.type === 'append';

/** Three members, 1 leads term 1 and has one entry, replicated. */
function trio(more: ConstructorParameters<typeof TestCluster>[1] = {}): TestCluster {
  const cluster = new TestCluster([1, 2, 3], more);
  cluster.elect(1);
  cluster.settle();
  return cluster;
}

test('a leader makes every log its own, whatever was in it (Raft paper, figure 7)', () => {
  const cluster = new TestCluster([1, 2, 3, 4, 5, 6, 7]);
  const logs = new Map<number, number[]>([
    [1, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]],
    [2, [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    [3, [1, 1, 1, 4]],
    [4, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    [5, [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    [6, [1, 1, 1, 4, 4, 4, 4]],
    [7, [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ]);
  for (const [id, terms] of logs) seat(cluster, id, terms, 7);
  campaign(cluster, 1);
  const rejected = new Map<number, number>();
  const refused: number[] = [];
  cluster.onSend = (m) => {
    if (m.type === 'append-reply' && !m.ok) rejected.set(m.from, (rejected.get(m.from) ?? 0) + 1);
    if (m.type === 'vote-reply' && m.pre && !m.granted) refused.push(m.from);
  };
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.status(1).term], [1, 8]);
  assert.deepEqual(refused, [4, 5], 'their logs are ahead');
  const expected = [...logs.get(1)!, 8].map((term, i) => `${i + 1}/${term}`);
  for (const id of logs.keys()) {
    assert.deepEqual(diskOf(cluster, id), expected, `log of ${id}`);
    if (id !== 1) assert.equal(flow(cluster, 1, id), 'replicate 11');
  }
  for (const [id, times] of rejected) assert.ok(times <= 2, `${times} rejections by ${id}`);
});

test('a full window stays full until an answer; one lost in it is found by the next heartbeat', () => {
  const cluster = trio();
  cluster.cut = (m) => m.to === 3 && isAppend(m);
  let appends: number[] = [];
  cluster.onSend = (m) => {
    if (m.type === 'append' && m.to === 3) appends.push(m.entries.length);
  };
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `${i}`.padEnd(60));
    cluster.settle();
  }
  assert.equal(appends.filter((entries) => entries > 0).length, 4, 'max_inflight');
  assert.equal(flow(cluster, 1, 3), 'replicate 1');
  assert.equal(cluster.status(1).commit, 21, 'the others are not held up');
  // Still cut: each heartbeat's answer lets one append through the full window, without entries.
  appends = [];
  cluster.ticks(2);
  assert.deepEqual(appends, [0]);
  cluster.cut = () => false;
  const said = recorded(cluster, (m) => m.from === 3 && m.type === 'append-reply');
  cluster.ticks(2);
  assert.equal(said[0], '3>1 t1 not after 5, perhaps 1/1', 'that is how the loss is noticed');
  assert.equal(flow(cluster, 1, 3), 'replicate 21');
  assert.equal(cluster.commands(3).length, 20);
});

test('after an interruption a heartbeat is enough to replicate again', () => {
  const cluster = trio();
  // The transport says that the link to 2 is down, and never that it is up again; nothing was lost, nothing is new.
  cluster.core(1).peer(2, false);
  assert.equal(flow(cluster, 1, 2), 'probe 1');
  cluster.cut = (m) => m.to === 2 && isAppend(m);
  cluster.settle();
  assert.equal(flow(cluster, 1, 2), 'probe 1', 'its probe was lost');
  cluster.cut = () => false;
  const said = recorded(cluster, (m) => m.from === 2 || m.to === 2);
  cluster.ticks(2);
  assert.deepEqual(said, [
    '1>2 t1 heartbeat 2 commit 1',
    '2>1 t1 heard 2',
    '1>2 t1 after 1/1 [] commit 1',
    '2>1 t1 has 1',
  ]);
  assert.equal(flow(cluster, 1, 2), 'replicate 1');
});

test('the answer to a heartbeat vouches only for what was sent before that heartbeat', () => {
  const cluster = new TestCluster([1, 2, 3]);
  const said = recorded(cluster, (m) => m.to === 2 && m.type === 'append' && m.entries.length > 0);
  cluster.elect(1);
  cluster.settle();
  assert.deepEqual(said, ['1>2 t1 after 0/0 [1/1] commit 0']);
});

test('a probe that is lost is not repeated before a heartbeat was answered', () => {
  const cluster = trio();
  cluster.cut = (m) => m.to === 2 && isAppend(m);
  cluster.core(1).peer(2, false);
  cluster.settle();
  const said = recorded(cluster, (m) => m.to === 2 && isAppend(m));
  for (let i = 0; i < 10; i++) {
    cluster.propose(1, `${i}`);
    cluster.settle();
  }
  assert.deepEqual(said, []);
  cluster.ticks(2);
  assert.equal(said.length, 1);
});

test('a follower that missed the last commit index has it after one heartbeat', () => {
  const cluster = trio();
  cluster.cut = (m) => m.to === 3 && m.type === 'append' && m.commit > 1;
  const index = cluster.propose(1, 'a');
  cluster.settle();
  assert.deepEqual([cluster.status(1).commit, cluster.status(3).commit], [index, index - 1]);
  assert.equal(flow(cluster, 1, 3), `replicate ${index}`, 'it has the entry');
  const said = recorded(cluster, (m) => m.to === 3);
  cluster.ticks(2);
  assert.deepEqual(said, ['1>3 t1 heartbeat 2 commit 2']);
  assert.deepEqual(cluster.commands(3), ['a']);
});

test('a heartbeat names no commit index beyond what the follower has acknowledged', () => {
  const cluster = trio();
  cluster.cut = (m) => m.to === 3 && isAppend(m);
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  const said = recorded(cluster, (m) => m.to === 3 && m.type === 'heartbeat');
  cluster.ticks(4);
  assert.equal(cluster.status(1).commit, 4);
  assert.deepEqual(said, ['1>3 t1 heartbeat 2 commit 1', '1>3 t1 heartbeat 3 commit 1']);
});

test('a slow follower whose entries are compacted away under its full window gets a snapshot', () => {
  const cluster = trio();
  const late: Message[] = [];
  // What goes to 3 is late, not lost.
  cluster.cut = (m) => {
    if (m.to !== 3 || !isAppend(m)) return false;
    late.push(m);
    return true;
  };
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `${i}`.padEnd(60));
    cluster.settle();
  }
  assert.equal(flow(cluster, 1, 3), 'replicate 1');
  cluster.compact(1, 0);
  cluster.settle();
  assert.equal(flow(cluster, 1, 3), 'replicate 1', 'the window may still be acknowledged');
  cluster.cut = () => false;
  const said = recorded(cluster, (m) => m.type === 'snapshot');
  for (const m of late.splice(0)) cluster.core(3).step(m);
  cluster.ticks(2);
  assert.deepEqual(said, ['1>3 t1 snapshot 21/1']);
  assert.equal(flow(cluster, 1, 3), 'replicate 21');
  assert.equal(cluster.commands(3).length, 20);
});

/** 1 leads {1, 2, 3}; 3 has only the first entry and waits for a snapshot, which nobody sends. */
function awaiting(keep: number): { cluster: TestCluster; image: number } {
  const cluster = trio();
  cluster.cut = (m) => m.to === 3;
  for (let i = 0; i < 10; i++) cluster.propose(1, `${i}`);
  cluster.ticks(2);
  cluster.compact(1, keep);
  const image = cluster.member(1).snapshot.index;
  cluster.core(1).peer(3, true);
  cluster.pump(1);
  cluster.queue = cluster.queue.filter((m) => m.to !== 3);
  assert.equal(flow(cluster, 1, 3), 'snapshot 1');
  cluster.cut = () => false;
  return { cluster, image };
}

function has(index: number): Message {
  return { type: 'append-reply', from: 3, to: 1, term: 1, ok: true, index, hint_index: 0, hint_term: 0 };
}

test('an acknowledgement ends the wait for a snapshot, no report is needed', () => {
  const { cluster, image } = awaiting(0);
  cluster.core(1).step(has(image - 1));
  assert.equal(flow(cluster, 1, 3), `snapshot ${image - 1}`, 'the log does not reach it');
  cluster.core(1).step(has(image));
  assert.equal(flow(cluster, 1, 3), `replicate ${image}`);
});

test('one that is behind the snapshot ends it too, if the log reaches it', () => {
  const { cluster, image } = awaiting(4);
  cluster.core(1).step(has(image - 5));
  assert.equal(flow(cluster, 1, 3), `snapshot ${image - 5}`);
  cluster.core(1).step(has(image - 4));
  assert.equal(flow(cluster, 1, 3), `replicate ${image - 4}`);
  const said = recorded(cluster, (m) => m.to === 3 && isAppend(m));
  cluster.pump(1);
  assert.ok(said[0]?.startsWith(`1>3 t1 after ${image - 4}/1 [${image - 3}/1`), `${said[0]}`);
});

test('a report that the snapshot was taken is no acknowledgement: nothing is committed by it', () => {
  const { cluster, image } = awaiting(0);
  cluster.core(1).snapshotSent(3, true);
  assert.equal(flow(cluster, 1, 3), 'snapshot 1');
  cluster.crash(2);
  const index = cluster.propose(1, 'x');
  cluster.pump(1);
  assert.equal(cluster.status(1).commit, image, `entry ${index} is on one disk of three`);
});
