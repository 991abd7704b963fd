import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { createCore } from './core.ts';
import type { Core } from './core-api.ts';
import { TestCluster, testOptions } from './test-cluster.ts';
import type { Entry, Message, RelayBranch } from './types.ts';

const configuration = configurationOf([1, 2, 3], [4, 5, 6]);
const leaf = (id: number): RelayBranch => ({ id, below: [] });
const entry = (index: number): Entry => ({ index, term: 1, kind: 'command', data: new Uint8Array([index]) });

function coreOf(id: number, fault?: string): Core {
  const snapshot = { index: 0, term: 0, configuration };
  const hard_state = { term: 1, vote: 0, commit: 0 };
  const initial = { hard_state, snapshot, entries: [], applied: 0 };
  return createCore(testOptions(id), fault === undefined ? initial : { ...initial, fault });
}

/** What it says after this, with all it writes on disk. */
function said(core: Core, ...messages: readonly Message[]): Message[] {
  const out: Message[] = [];
  for (const m of messages) core.step(m);
  for (let ready = core.ready(); ready !== null; ready = core.ready()) {
    out.push(...ready.messages);
    core.synced(ready.seq);
    out.push(...ready.messages_after_sync);
    const last = ready.committed.at(-1);
    if (last !== undefined) core.applied(last.index);
  }
  return out;
}

const heartbeat = (
  to: number,
  below: readonly RelayBranch[],
  more: Partial<Extract<Message, { type: 'heartbeat' }>> = {},
): Message => ({
  type: 'heartbeat',
  from: 1,
  to,
  term: 1,
  commit: 0,
  round: 1,
  relay: { leader: 1, below },
  ...more,
});
const append = (to: number, from: number, entries: readonly Entry[], commit: number): Message => {
  const first = entries[0]?.index ?? 1;
  const prev_term = first === 1 ? 0 : 1;
  const place = { prev_index: first - 1, prev_term };
  return { type: 'append', from, to, term: 1, ...place, entries, commit };
};

test('a relay sends what is committed and nothing else', () => {
  const relay = coreOf(4);
  const fed = (out: readonly Message[]) =>
    out.flatMap((m) => (m.type === 'append' ? [[m.to, m.prev_index, m.entries.length, m.commit]] : []));
  const first = said(relay, append(4, 1, [entry(1), entry(2)], 0), heartbeat(4, [leaf(5)]));
  assert.deepEqual(fed(first), [[5, 0, 0, 0]]);
  const ok = { from: 5, to: 4, term: 1, hint_index: 0, hint_term: 0 } as const;
  said(relay, { type: 'append-reply', ...ok, ok: true, index: 0 });
  assert.deepEqual(fed(said(relay, append(4, 1, [entry(3)], 2))), [[5, 0, 2, 2]]);
});

test('a relay passes heartbeats on, and reports the answers with the next', () => {
  const relay = coreOf(4);
  const heartbeats = (out: readonly Message[]) =>
    out.flatMap((m) => (m.type === 'heartbeat' ? [[m.to, m.round, m.relay]] : []));
  const below = [{ id: 5, below: [leaf(6)] }];
  assert.deepEqual(heartbeats(said(relay, heartbeat(4, below))), [[5, 1, { leader: 1, below: [leaf(6)] }]]);
  const reports = [{ id: 6, match: 0, round: 1 }];
  said(relay, { type: 'heartbeat-reply', from: 5, to: 4, term: 1, round: 1, reports });
  const answers = said(relay, heartbeat(4, below, { round: 2 })).filter((m) => m.type === 'heartbeat-reply');
  assert.deepEqual(
    answers.map((m) => m.reports),
    [[{ id: 5, match: 0, round: 1 }, ...reports]],
  );
  // Relieved: nothing goes on.
  assert.deepEqual(heartbeats(said(relay, heartbeat(4, [], { round: 3 }))), []);
});

test('a relay that hears its leader no more feeds nobody', () => {
  const relay = coreOf(4);
  said(relay, append(4, 1, [entry(1)], 0), heartbeat(4, [leaf(5)]));
  const ok = { from: 5, to: 4, term: 1, hint_index: 0, hint_term: 0 } as const;
  said(relay, { type: 'append-reply', ...ok, ok: true, index: 0 });
  for (let tick = 0; tick < 7; tick++) relay.tick();
  const out = said(relay, append(4, 1, [], 1), append(4, 1, [entry(2)], 2));
  assert.deepEqual(
    out.filter((m) => m.to === 5),
    [],
  );
});

test('only a learner takes what a relay says: not a voter, not one with damaged storage', () => {
  const relayed = (to: number): Message => heartbeat(to, [], { from: 4 });
  const learner = coreOf(5);
  assert.deepEqual(
    said(learner, relayed(5)).map((m) => [m.type, m.to]),
    [['heartbeat-reply', 4]],
  );
  assert.equal(learner.status().leader, 1);
  assert.deepEqual(
    said(learner, { ...append(5, 4, [entry(1)], 1), relayed: true } as Message).map((m) => [m.type, m.to]),
    [['append-reply', 4]],
  );
  assert.equal(learner.status().commit, 1);
  for (const core of [coreOf(2), coreOf(5, 'damaged')]) {
    const { id } = core.status();
    assert.deepEqual(
      said(core, relayed(id), { ...append(id, 4, [entry(1)], 1), relayed: true } as Message),
      [],
    );
    assert.equal(core.status().leader, 0);
    assert.equal(core.status().last_index, 0);
  }
});

test('a relay of an old term, or with an old round, is not answered', () => {
  const learner = coreOf(5);
  assert.equal(said(learner, heartbeat(5, [], { from: 4, round: 7 })).length, 1);
  assert.deepEqual(said(learner, heartbeat(5, [], { from: 6, round: 7 })), []);
  assert.equal(said(learner, heartbeat(5, [], { from: 6, round: 8 })).length, 1);
  const newer = heartbeat(5, [], { from: 6, term: 2, round: 1, relay: { leader: 3, below: [] } });
  assert.equal(said(learner, newer).length, 1);
  assert.equal(learner.status().leader, 3);
  assert.deepEqual(said(learner, heartbeat(5, [], { from: 4, round: 9 })), []);
  assert.equal(learner.status().term, 2);
  // The next term is heard of in another way first; its rounds are counted from 1 all the same.
  said(learner, { type: 'heartbeat', from: 2, to: 5, term: 3, commit: 0, round: 1 });
  const first = heartbeat(5, [], { from: 6, term: 3, round: 1, relay: { leader: 2, below: [] } });
  assert.equal(said(learner, first).length, 1);
});

test('a child that lacks what the relay has no more is left to the leader, and not reported', () => {
  const snapshot = { index: 5, term: 1, configuration };
  const hard_state = { term: 1, vote: 0, commit: 5 };
  const relay = createCore(testOptions(4), { hard_state, snapshot, entries: [], applied: 5 });
  said(relay, heartbeat(4, [leaf(5)]));
  const no = { from: 5, to: 4, term: 1, ok: false, index: 5, hint_index: 0, hint_term: 0 } as const;
  assert.deepEqual(said(relay, { type: 'append-reply', ...no }), []);
  said(relay, { type: 'heartbeat-reply', from: 5, to: 4, term: 1, round: 1 });
  const [answer] = said(relay, heartbeat(4, [leaf(5)], { round: 2 })).filter((m) => m.to === 1);
  assert.ok(answer?.type === 'heartbeat-reply' && answer.reports === undefined);
});

test('what a relay sent and was lost is sent again after the answer to a heartbeat', () => {
  const relay = coreOf(4);
  said(relay, append(4, 1, [entry(1)], 1), heartbeat(4, [leaf(5)]));
  const reply: Message = { type: 'heartbeat-reply', from: 5, to: 4, term: 1, round: 1 };
  assert.deepEqual(
    said(relay, reply).map((m) => [m.type, m.to]),
    [['append', 5]],
  );
});

test('a learner that becomes a voter is fed by the leader at once, from where the reports ended', () => {
  const cluster = new TestCluster([1, 2, 3], {
    learners: [4, 5, 6, 7],
    options: { relays: { over: 3, fan_out: 2 } },
  });
  cluster.elect(1);
  const relayed = () => cluster.progress(1).filter(({ via }) => via !== undefined);
  cluster.ticksUntil(() => relayed().length === 2, 'two learners hang below relays');
  const { id } = relayed()[0]!;
  const index = cluster.propose(1, 'x');
  cluster.ticksUntil(() => cluster.progress(1).every(({ match }) => match >= index), 'all have it');
  const sent: Message[] = [];
  cluster.onSend = (m) => {
    if (m.type === 'append' && m.to === id) sent.push(m);
  };
  assert.ok(cluster.core(1).proposeChange([{ type: 'add-voter', id }]).ok);
  const own = cluster.progress(1).find((of) => of.id === id)!;
  assert.equal(own.via, undefined);
  assert.equal(own.match, index, 'shown as it was reported');
  cluster.pump(1);
  assert.deepEqual(
    sent.map((m) => [m.from, m.type === 'append' && m.prev_index]),
    [[1, index]],
  );
  cluster.ticksUntil(() => cluster.status(id).configuration.voters.includes(id), 'it votes');
  cluster.checkLogs();
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`relays over a network that loses, repeats and reorders, with crashes: all ends well (seed ${seed})`, () => {
    const learners = [4, 5, 6, 7, 8, 9, 10];
    const cluster = new TestCluster([1, 2, 3], {
      learners,
      seed,
      options: { relays: { over: 3, fan_out: 2 } },
      faults: { drop: 0.05, duplicate: 0.1, reorder: 0.2, sync_steps: 3 },
    });
    let relayed = 0;
    cluster.onSend = (m) => {
      if (m.type !== 'append' || m.relayed !== true) return;
      relayed++;
      assert.ok(m.prev_index + m.entries.length <= m.commit, 'a relay sends committed entries only');
      assert.ok(learners.includes(m.from), 'only learners relay');
    };
    const ids = [...cluster.members.keys()];
    const any = () => ids[Math.floor(cluster.random() * ids.length)]!;
    const down: number[] = [];
    for (let step = 0; step < 12_000; step++) {
      const chance = cluster.random();
      if (chance < 0.6) cluster.deliver();
      else if (chance < 0.75) cluster.tick(any());
      else if (chance < 0.77) cluster.propose(cluster.leader() || 1, `v${step}`);
      else if (chance < 0.771) cluster.compact(any(), 3);
      else if (chance < 0.772 && down.length < 3) {
        const id = any();
        if (cluster.member(id).up) {
          cluster.crash(id);
          down.push(id);
        }
      } else if (chance < 0.775 && down.length > 0) cluster.restart(down.shift()!);
      for (const id of ids) {
        cluster.pump(id);
        cluster.sync(id, false);
      }
      if (step % 500 === 0) cluster.lose(200);
    }
    assert.ok(relayed > 0);
    for (const id of down) cluster.restart(id);
    cluster.faults = { drop: 0, duplicate: 0, reorder: 0, sync_steps: 0 };
    cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader');
    cluster.ticksUntil(() => cluster.propose(cluster.leader(), 'last') > 0, 'it takes a proposal');
    cluster.ticksUntil(
      () => ids.every((id) => cluster.commands(id).includes('last')),
      'all have the last one',
    );
    cluster.checkLogs();
  });
}
