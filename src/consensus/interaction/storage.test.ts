/**
 * Interaction behaviours of the widely used Go implementation, theme disk: the core goes on while writes are under way.
 * Script -> test here (or where it is).
 *
 * | script | here |
 * |---|---|
 * | async_storage_writes | writes under way hold up neither replication nor each other; … nothing is promised before its write |
 * | async_storage_writes_append_aba_race | entries replaced and put back: only the last write makes them durable |
 * | async_storage_writes_apply_nonlocally_committed (newer) | does not apply: nothing is handed out for applying before it is durable here (third test) |
 * | commit_index_regression (newer) | a disk that lost acknowledged entries ends the member: we never go on with it |
 *
 * Unit cases: ../replication.test.ts ("the core goes on …", "the leader counts its own log …"), ../entry-log.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from '../configuration.ts';
import { createCore } from '../core.ts';
import type { Core } from '../core-api.ts';
import { InvariantError } from '../invariant.ts';
import { TestCluster, testOptions } from '../test-cluster.ts';
import type { Entry, Message, Ready } from '../types.ts';
import { diskOf, line } from './test-scene.ts';

function follower(): Core {
  return createCore(testOptions(1), {
    hard_state: { term: 0, vote: 0, commit: 0 },
    snapshot: { index: 0, term: 0, configuration: configurationOf([1, 2, 3]) },
    entries: [],
    applied: 0,
  });
}

/** From `from`, in `term`, entries of `terms` after `prev_index`. */
function append(from: number, term: number, prev: [index: number, term: number], terms: number[]): Message {
  const [prev_index, prev_term] = prev;
  const entries = terms.map(
    (of, i): Entry => ({ index: prev_index + 1 + i, term: of, kind: 'command', data: new Uint8Array(1) }),
  );
  return { type: 'append', from, to: 1, term, prev_index, prev_term, entries, commit: 0 };
}

function take(core: Core): Ready {
  const ready = core.ready();
  assert.ok(ready, 'nothing to do');
  return ready;
}

function promises(ready: Ready): string[] {
  return ready.messages_after_sync.map(line);
}

test('writes under way hold up neither replication nor each other', () => {
  const core = follower();
  core.step(append(2, 1, [0, 0], [1]));
  const first = take(core);
  core.step(append(2, 1, [1, 1], [1, 1]));
  const second = take(core);
  core.step({ type: 'heartbeat', from: 2, to: 1, term: 1, commit: 0, round: 4 });
  const third = take(core);
  assert.deepEqual(
    [first, second, third].map((ready) => ready.entries.length),
    [1, 2, 0],
    'each entry is written once',
  );
  assert.deepEqual([promises(first), promises(second)], [['1>2 t1 has 1'], ['1>2 t1 has 3']]);
  // Said in a term that no disk knows yet: it waits too, and with it the round.
  assert.deepEqual([third.messages, promises(third)], [[], ['1>2 t1 heard 4']]);
  core.synced(second.seq);
  core.step({ type: 'heartbeat', from: 2, to: 1, term: 1, commit: 3, round: 5 });
  const fourth = take(core);
  assert.deepEqual(fourth.messages.map(line), ['1>2 t1 heard 5'], 'now the term is on disk');
  assert.deepEqual(
    fourth.committed.map((entry) => entry.index),
    [1, 2, 3],
  );
});

test('entries replaced and put back: only the last write makes them durable', () => {
  const core = follower();
  core.step(append(2, 1, [0, 0], [1]));
  core.synced(take(core).seq);
  // A: entry 2 of term 1. B: of term 2, by another leader. A again, by a leader of term 3 that has it.
  core.step(append(2, 1, [1, 1], [1]));
  const a = take(core);
  core.step(append(3, 2, [1, 1], [2]));
  const b = take(core);
  core.step(append(2, 3, [1, 1], [1, 3]));
  const again = take(core);
  assert.deepEqual(
    again.entries.map((entry) => `${entry.index}/${entry.term}`),
    ['2/1', '3/3'],
    'what was written once is written again: B lies over it',
  );
  core.step({ type: 'heartbeat', from: 2, to: 1, term: 3, commit: 3, round: 1 });
  const committed: number[] = [];
  const drain = (): number[] => {
    for (let ready = core.ready(); ready !== null; ready = core.ready())
      committed.push(...ready.committed.map((entry) => entry.index));
    return committed;
  };
  assert.deepEqual(drain(), [1]);
  core.synced(a.seq);
  assert.deepEqual(drain(), [1], 'the first write is done, and B will lie over it');
  core.synced(b.seq);
  assert.deepEqual(drain(), [1]);
  core.synced(again.seq);
  assert.deepEqual(drain(), [1, 2, 3]);
});

test('a leader with a slow disk commits through a majority of the others, and applies only what is on its own', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.settle();
  // From here the leader's disk takes its time, the others' do not.
  const waiting: Ready[] = [];
  const pump = (): void => {
    for (let ready = cluster.core(1).ready(); ready !== null; ready = cluster.core(1).ready()) {
      waiting.push(ready);
      cluster.queue.push(...ready.messages);
    }
  };
  const run = (): void => {
    for (let i = 0; i < 4; i++) {
      pump();
      while (cluster.deliver());
      for (const id of [2, 3]) cluster.pump(id);
    }
    pump();
  };
  const late: Message[] = [];
  cluster.cut = (m) => {
    if (m.from !== 3 || m.type !== 'append-reply') return false;
    late.push(m);
    return true;
  };
  cluster.propose(1, 'a');
  run();
  assert.equal(
    cluster.status(1).commit,
    1,
    'it is in its log and on the disk of one other: no majority of disks',
  );
  cluster.cut = () => false;
  for (const m of late) cluster.core(1).step(m);
  run();
  assert.equal(cluster.status(1).commit, 2, 'two of three have it on disk');
  assert.deepEqual(
    waiting.flatMap((ready) => ready.committed),
    [],
  );
  for (const { seq } of waiting.splice(0)) cluster.core(1).synced(seq);
  pump();
  assert.deepEqual(
    waiting.flatMap((ready) => ready.committed.map((entry) => entry.index)),
    [2],
  );
});

test('nothing is promised before its write, also by a vote that came during another write', () => {
  const core = follower();
  core.step(append(2, 1, [0, 0], [1]));
  const first = take(core);
  core.leaderLost(2, 5);
  core.step({
    type: 'vote',
    from: 3,
    to: 1,
    term: 2,
    pre: false,
    last_index: 9,
    last_term: 1,
    transfer: false,
  });
  const second = take(core);
  assert.deepEqual(second.hard_state, { term: 2, vote: 3, commit: 0 });
  assert.deepEqual([second.messages, promises(second)], [[], ['1>3 t2 vote yes']]);
  // A heartbeat of that term is answered only when the term is on disk, though the first write is done.
  core.synced(first.seq);
  core.step({ type: 'heartbeat', from: 3, to: 1, term: 2, commit: 0, round: 1 });
  const third = take(core);
  assert.deepEqual([third.messages, promises(third)], [[], ['1>3 t2 heard 1']]);
});

test('a disk that lost acknowledged entries ends the member: we never go on with it', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  for (const text of ['a', 'b']) cluster.propose(1, text);
  cluster.settle();
  cluster.crash(3);
  const member = cluster.member(3);
  assert.deepEqual(diskOf(cluster, 3), ['1/1', '2/1', '3/1']);
  member.disk = member.disk.slice(0, 1);
  member.hard_state = { ...member.hard_state, commit: 0 };
  cluster.restart(3);
  assert.throws(
    () => cluster.ticks(4),
    (error) => {
      assert.ok(error instanceof InvariantError, String(error));
      assert.match(error.message, /acknowledged entries were lost/);
      return true;
    },
  );
});
