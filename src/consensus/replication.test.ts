/** Replication, commitment, durability and snapshots: thesis, sections 3.5, 3.6, 5 and 10.2.1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { createCore } from './core.ts';
import type { Core, CoreInitial } from './core-api.ts';
import { InvariantError } from './invariant.ts';
import { TestCluster, testOptions } from './test-cluster.ts';
import type { Entry, Message, Ready } from './types.ts';

function open(more: Partial<CoreInitial> = {}): Core {
  return createCore(testOptions(1), {
    hard_state: { term: 0, vote: 0, commit: 0 },
    snapshot: { index: 0, term: 0, configuration: configurationOf([1, 2, 3]) },
    entries: [],
    applied: 0,
    ...more,
  });
}

function entries(first: number, ...terms: number[]): Entry[] {
  return terms.map((term, i) => ({ index: first + i, term, kind: 'command', data: new Uint8Array(1) }));
}

function append(
  term: number,
  prev_index: number,
  prev_term: number,
  of: readonly Entry[],
  commit = 0,
): Message {
  return { type: 'append', from: 2, to: 1, term, prev_index, prev_term, entries: of, commit };
}

function replies(ready: Ready | null): (readonly [boolean, number, number, number])[] {
  return (ready?.messages_after_sync ?? []).flatMap((m) =>
    m.type === 'append-reply' ? [[m.ok, m.index, m.hint_index, m.hint_term] as const] : [],
  );
}

test('an append is acknowledged only after the sync, and committed entries are handed out only then', () => {
  const core = open();
  core.step(append(1, 0, 0, entries(1, 1, 1), 2));
  const ready = core.ready() as Ready;
  assert.equal(ready.messages.length, 0);
  assert.deepEqual(replies(ready), [[true, 2, 0, 0]]);
  assert.equal(ready.committed.length, 0);
  assert.equal(core.ready(), null, 'nothing twice');
  core.synced(ready.seq);
  assert.deepEqual(
    core.ready()?.committed.map((entry) => entry.index),
    [1, 2],
  );
  assert.equal(core.ready(), null);
});

test('the core goes on while a sync is under way; a sync of replaced entries commits nothing', () => {
  const core = open();
  core.step(append(1, 0, 0, entries(1, 1, 1, 1)));
  const first = core.ready() as Ready;
  core.step({ ...append(2, 1, 1, entries(2, 2, 2), 3), from: 3 } as Message);
  const second = core.ready() as Ready;
  assert.deepEqual(
    second.entries.map((entry) => [entry.index, entry.term]),
    [
      [2, 2],
      [3, 2],
    ],
  );
  core.synced(first.seq);
  assert.deepEqual(
    core.ready()?.committed.map((entry) => entry.index),
    [1],
    'of the first write only entry 1 is still in the log',
  );
  core.synced(second.seq);
  assert.deepEqual(
    core.ready()?.committed.map((entry) => entry.term),
    [2, 2],
  );
});

test('a follower rejects what does not fit, with a hint that skips whole terms', () => {
  const core = open({ hard_state: { term: 5, vote: 0, commit: 0 }, entries: entries(1, 1, 1, 4, 4, 4) });
  core.step(append(6, 9, 6, []));
  assert.deepEqual(replies(core.ready()), [[false, 9, 5, 4]]);
  core.step(append(6, 5, 3, []));
  assert.deepEqual(replies(core.ready()), [[false, 5, 2, 1]]);
});

test('an append out of date neither shortens the log nor takes back what is committed', () => {
  const core = open();
  core.step(append(1, 0, 0, entries(1, 1, 1, 1), 3));
  core.step(append(1, 0, 0, entries(1, 1), 1));
  assert.equal(core.status().last_index, 3);
  assert.equal(core.status().commit, 3);
  core.step(append(1, 1, 1, entries(2, 1, 1, 1), 3));
  assert.equal(core.status().last_index, 4, 'what lies behind the committed part is new all the same');
  assert.deepEqual(replies(core.ready()).at(-1), [true, 4, 0, 0]);
});

test('an append that contradicts the committed prefix, or has a hole, ends the member', () => {
  const core = open();
  core.step(append(1, 0, 0, entries(1, 1, 1), 2));
  assert.throws(() => core.step(append(2, 0, 0, entries(1, 2))), InvariantError);
  assert.throws(() => core.step(append(2, 2, 1, [...entries(3, 2), ...entries(5, 2)])), InvariantError);
  assert.throws(() => core.step(append(2, 2, 1, entries(3, 3))), InvariantError);
});

test('a commit index is taken only as far as the append proves agreement', () => {
  const core = open({ hard_state: { term: 1, vote: 0, commit: 0 }, entries: entries(1, 1, 1, 1) });
  core.step(append(2, 1, 1, [], 9));
  assert.equal(core.status().commit, 1);
});

test('the leader counts its own log only as far as it is on disk', () => {
  const core = open({ snapshot: { index: 0, term: 0, configuration: configurationOf([1, 2]) } });
  while (core.status().role === 'follower') core.tick();
  for (const pre of [true, false]) {
    const ready = core.ready();
    if (ready !== null) core.synced(ready.seq);
    core.step({ type: 'vote-reply', from: 2, to: 1, term: 1, pre, granted: true });
    const votes = core.ready();
    if (votes !== null && pre) core.synced(votes.seq);
    if (!pre) {
      const sent = votes?.messages.find((m) => m.type === 'append');
      assert.equal(sent?.type === 'append' && sent.entries.length, 1, 'it leaves before the own sync');
      const ok = { ok: true, index: 1, hint_index: 0, hint_term: 0 };
      core.step({ type: 'append-reply', from: 2, to: 1, term: 1, ...ok });
      assert.equal(core.status().commit, 0);
      core.synced(votes?.seq ?? 0);
      assert.equal(core.status().commit, 1);
    }
  }
});

/** Leads term 5 over this log; what it says on the way is synced and dropped. */
function leading(log: readonly Entry[]): Core {
  const core = open({ hard_state: { term: 4, vote: 0, commit: 0 }, entries: log });
  while (core.status().role === 'follower') core.tick();
  for (const pre of [true, false]) {
    core.step({ type: 'vote-reply', from: 2, to: 1, term: 5, pre, granted: true });
    for (let ready = core.ready(); ready !== null; ready = core.ready()) core.synced(ready.seq);
  }
  assert.equal(core.status().role, 'leader');
  return core;
}

function answer(more: Partial<Extract<Message, { type: 'append-reply' }>>): Message {
  const blank = { from: 2, to: 1, term: 5, ok: true, index: 0, hint_index: 0, hint_term: 0 };
  return { type: 'append-reply', ...blank, ...more };
}

test('entries of earlier terms are committed only through one of the own term (thesis, figure 3.7)', () => {
  const core = leading(entries(1, 2, 4));
  core.step(answer({ index: 2 }));
  assert.equal(core.status().commit, 0, 'a majority has them, but they may still be replaced');
  core.step(answer({ index: 3 }));
  assert.equal(core.status().commit, 3);
});

test('after a rejection the leader goes back by whole terms, not entry by entry', () => {
  const twos = new Array<number>(30).fill(2);
  const threes = new Array<number>(30).fill(3);
  const core = leading(entries(1, 1, ...threes));
  // The follower has 1, then only entries of term 2: they part after entry 1.
  core.step(answer({ ok: false, index: twos.length + 1, hint_index: twos.length + 1, hint_term: 2 }));
  const sent = core.ready()?.messages.find((m) => m.type === 'append' && m.to === 2);
  assert.equal(sent?.type === 'append' && sent.prev_index, 1);
});

test('the leader backs off by terms and repairs a follower that parted from it', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  for (let i = 0; i < 30; i++) cluster.propose(1, `lost${i}`);
  cluster.ticksUntil(() => cluster.leader() > 1, 'a new leader');
  for (let i = 0; i < 30; i++) cluster.propose(cluster.leader(), `kept${i}`);
  cluster.settle();
  let probes = 0;
  cluster.onSend = (m) => {
    if (m.type === 'append-reply' && m.from === 1 && !m.ok) probes++;
  };
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(1).length === 30, 'repair');
  assert.ok(cluster.commands(1).every((text) => text.startsWith('kept')));
  assert.ok(probes <= 4, `${probes} rejections for one term`);
});

test('the window bounds what is in flight; the rest follows the acknowledgements', () => {
  const cluster = new TestCluster([1, 2]);
  cluster.elect(1);
  cluster.ticks(3);
  let in_flight = 0;
  cluster.onSend = (m) => {
    if (m.type === 'append' && m.entries.length > 0) in_flight++;
  };
  for (let i = 0; i < 100; i++) cluster.propose(1, 'x'.repeat(30));
  cluster.pump(1);
  assert.equal(in_flight, 4, 'max_inflight');
  cluster.settle();
  assert.equal(cluster.commands(2).length, 100);
});

test('a full leader answers busy and changes nothing; one large proposal alone gets through', () => {
  const cluster = new TestCluster([1, 2], { options: { max_uncommitted_bytes: 10 } });
  cluster.elect(1);
  cluster.ticks(3);
  assert.equal(cluster.core(1).propose([new Uint8Array(50)]).ok, true);
  const last = cluster.status(1).last_index;
  const refused = cluster.core(1).propose([new Uint8Array(1)]);
  assert.ok(!refused.ok && refused.reason === 'busy');
  assert.equal(cluster.status(1).last_index, last);
  cluster.settle();
  assert.equal(cluster.core(1).propose([new Uint8Array(1)]).ok, true);
  const empty = cluster.core(1).propose([]);
  assert.ok(!empty.ok && empty.reason === 'refused');
  const elsewhere = cluster.core(2).propose([new Uint8Array(1)]);
  assert.ok(!elsewhere.ok && elsewhere.reason === 'not-leader');
});

test('a follower that the log no longer reaches gets a snapshot, then the rest', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.to === 3;
  for (let i = 0; i < 20; i++) cluster.propose(1, `${i}`);
  cluster.ticks(2);
  cluster.compact(1, 0);
  cluster.propose(1, 'after');
  cluster.settle();
  let snapshots = 0;
  cluster.onSend = (m) => {
    if (m.type === 'snapshot') snapshots++;
  };
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(3).at(-1) === 'after', 'caught up');
  assert.equal(snapshots, 1);
  assert.equal(cluster.commands(3).length, 21);
});

test('nothing is sent to a follower that awaits a snapshot; after a failure it is offered again', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.to === 3;
  for (let i = 0; i < 20; i++) cluster.propose(1, `${i}`);
  cluster.ticks(2);
  cluster.compact(1, 0);
  let offers = 0;
  cluster.onSend = (m) => {
    if (m.type === 'snapshot') offers++;
    const state = cluster.progress(1).find((of) => of.id === 3)?.state;
    assert.ok(!(m.type === 'append' && m.to === 3 && state === 'snapshot'));
  };
  cluster.cut = (m) => m.type === 'snapshot';
  cluster.ticks(10);
  assert.ok(offers >= 2 && offers <= 5, `${offers} offers in 5 heartbeats`);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(3).length === 20, 'caught up');
});

test('an installed snapshot that the log has passed is ignored; one of a term unheard of brings the term', () => {
  const configuration = configurationOf([1, 2, 3]);
  const core = open();
  core.step(append(1, 0, 0, entries(1, 1, 1), 2));
  core.installed({ index: 2, term: 1, configuration });
  assert.equal(core.status().last_index, 2);
  assert.equal(core.ready()?.entries.length, 2);
  core.installed({ index: 9, term: 4, configuration: configurationOf([1, 2]) });
  const { term, commit, applied, last_index, configuration: now } = core.status();
  assert.deepEqual([term, commit, applied, last_index, now.voters], [4, 9, 9, 9, [1, 2]]);
  // Died before that term was written: the store says more than the hard state.
  const again = open({
    snapshot: { index: 9, term: 4, configuration },
    hard_state: { term: 1, vote: 2, commit: 9 },
  });
  assert.equal(again.status().term, 4);
});
