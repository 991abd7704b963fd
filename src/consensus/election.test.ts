/** Elections: thesis, sections 3.4, 3.6.1, 4.2.3, 6.2 and 9.6, and what went wrong elsewhere with pre-vote. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { createCore } from './core.ts';
import type { Core, CoreInitial } from './core-api.ts';
import { InvariantError } from './invariant.ts';
import { TestCluster, testOptions } from './test-cluster.ts';
import type { Entry, Message, Ready } from './types.ts';

const trio = configurationOf([1, 2, 3]);

function open(id: number, more: Partial<CoreInitial> = {}): Core {
  return createCore(testOptions(id), {
    hard_state: { term: 0, vote: 0, commit: 0 },
    snapshot: { index: 0, term: 0, configuration: trio },
    entries: [],
    applied: 0,
    ...more,
  });
}

function entry(index: number, term: number): Entry {
  return { index, term, kind: 'command', data: new Uint8Array(1) };
}

function vote(more: Partial<Extract<Message, { type: 'vote' }>>): Message {
  const blank = { from: 2, to: 1, term: 1, pre: false, last_index: 0, last_term: 0, transfer: false };
  return { type: 'vote', ...blank, ...more };
}

function heartbeat(from: number, term: number): Message {
  return { type: 'heartbeat', from, to: 1, term, commit: 0, round: 1 };
}

/** All that the core wants to say, synced. */
function said(core: Core): Message[] {
  const messages: Message[] = [];
  for (let ready = core.ready(); ready !== null; ready = core.ready()) {
    messages.push(...ready.messages, ...ready.messages_after_sync);
    core.synced(ready.seq);
  }
  return messages;
}

function granted(core: Core): boolean | undefined {
  const reply = said(core).findLast((m) => m.type === 'vote-reply');
  return reply?.type === 'vote-reply' ? reply.granted : undefined;
}

test('a follower starts a pre-vote after one to two election timeouts, without raising its term', () => {
  for (const random of [0, 0.999]) {
    const core = createCore(
      { ...testOptions(1), random: () => random },
      {
        hard_state: { term: 4, vote: 3, commit: 0 },
        snapshot: { index: 0, term: 0, configuration: trio },
        entries: [],
        applied: 0,
      },
    );
    let ticks = 0;
    while (core.status().role === 'follower') {
      core.tick();
      ticks++;
      assert.ok(ticks < 20);
    }
    assert.equal(ticks, random === 0 ? 10 : 19);
    assert.equal(core.status().role, 'pre-candidate');
    assert.equal(core.status().term, 4);
    const ready = core.ready();
    assert.equal(ready?.hard_state, null);
    assert.deepEqual(
      ready?.messages.map((m) => [m.type, m.to, m.term]),
      [
        ['vote', 2, 5],
        ['vote', 3, 5],
      ],
    );
  }
});

test('a vote request and a vote leave only after term and vote are on disk', () => {
  const candidate = open(1);
  candidate.leaderLost(0, 0);
  while (candidate.status().role === 'follower') candidate.tick();
  said(candidate);
  candidate.step({ type: 'vote-reply', from: 2, to: 1, term: 1, pre: true, granted: true });
  const ready = candidate.ready() as Ready;
  assert.deepEqual(ready.hard_state, { term: 1, vote: 1, commit: 0 });
  assert.equal(ready.messages.length, 0);
  assert.equal(ready.messages_after_sync.length, 2);

  const voter = open(1);
  voter.step(vote({}));
  const answer = voter.ready() as Ready;
  assert.deepEqual(answer.hard_state, { term: 1, vote: 2, commit: 0 });
  assert.equal(answer.messages.length, 0);
  assert.equal(answer.messages_after_sync[0]?.type, 'vote-reply');
});

test('nobody leads on a vote of its own that is not on disk', () => {
  const core = open(1, { snapshot: { index: 0, term: 0, configuration: configurationOf([1]) } });
  core.tick();
  assert.equal(core.status().role, 'candidate', 'a lone voter campaigns on its first tick');
  const ready = core.ready() as Ready;
  for (let tick = 0; tick < 50; tick++) core.tick();
  assert.equal(core.status().term, 1, 'a slow disk does not make it campaign again');
  core.synced(ready.seq);
  assert.equal(core.status().role, 'leader');
});

test('one vote a term, first come first served, and again to the same', () => {
  const core = open(1);
  core.step(vote({ from: 2 }));
  assert.equal(granted(core), true);
  core.step(vote({ from: 3 }));
  assert.equal(granted(core), false);
  core.step(vote({ from: 2 }));
  assert.equal(granted(core), true);
});

test('the vote outlives a restart', () => {
  const core = open(1, { hard_state: { term: 1, vote: 2, commit: 0 } });
  core.step(vote({ from: 3 }));
  assert.equal(granted(core), false);
});

test('no vote for a log that is behind', () => {
  const table: [last_index: number, last_term: number, granted: boolean][] = [
    [2, 2, true],
    [3, 2, true],
    [1, 3, true],
    [1, 2, false],
    [9, 1, false],
  ];
  for (const [last_index, last_term, expected] of table) {
    for (const pre of [true, false]) {
      const core = open(1, {
        hard_state: { term: 2, vote: 0, commit: 0 },
        entries: [entry(1, 1), entry(2, 2)],
      });
      core.step(vote({ term: 4, last_index, last_term, pre }));
      assert.equal(granted(core), expected, `${last_index}/${last_term}`);
    }
  }
});

test('a voter that hears a leader grants neither pre-vote nor vote, and does not take up the term', () => {
  const core = open(1);
  core.step(heartbeat(3, 1));
  said(core);
  core.step(vote({ term: 2, pre: true }));
  assert.equal(granted(core), false);
  core.step(vote({ term: 2 }));
  assert.equal(granted(core), undefined);
  assert.equal(core.status().term, 1);
  core.step(vote({ term: 2, transfer: true }));
  assert.equal(granted(core), true, 'the leader itself asked for it');
});

test('once the leader is known to be lost, or silent for an election timeout, they are granted', () => {
  const lost = open(1);
  lost.step(heartbeat(3, 1));
  lost.leaderLost(2, 5);
  assert.equal(lost.status().leader, 3, 'another connection closed');
  lost.leaderLost(3, 5);
  assert.equal(lost.status().leader, 0);
  lost.step(vote({ term: 2, pre: true }));
  assert.equal(granted(lost), true);
  const silent = open(1);
  silent.step(heartbeat(3, 1));
  said(silent);
  for (let tick = 0; tick < 9; tick++) silent.tick();
  silent.step(vote({ term: 2, pre: true }));
  assert.equal(granted(silent), false);
  silent.tick();
  silent.step(vote({ term: 2, pre: true }));
  assert.equal(granted(silent), true);
});

test('a pre-vote leaves vote, term and the idea of the leader as they were', () => {
  const core = open(1, { hard_state: { term: 3, vote: 2, commit: 0 } });
  core.step(heartbeat(3, 3));
  said(core);
  for (let tick = 0; tick < 10; tick++) core.tick();
  core.step(vote({ term: 4, pre: true }));
  const ready = core.ready() as Ready;
  assert.equal(ready.hard_state, null);
  assert.deepEqual([core.status().term, core.status().leader], [3, 3]);
  for (let tick = 0; tick < 5; tick++) core.tick();
  assert.equal(core.status().role, 'pre-candidate', 'its own timeout was not put off');
});

test("the leader's own pre-vote is granted by those who still follow it", () => {
  const core = open(1);
  core.step(heartbeat(2, 1));
  said(core);
  core.step(vote({ from: 2, term: 2, pre: true }));
  assert.equal(granted(core), true);
});

test('an answer says whether it answers a pre-vote, and counts for nothing else', () => {
  const core = open(1);
  while (core.status().role === 'follower') core.tick();
  said(core);
  core.step({ type: 'vote-reply', from: 2, to: 1, term: 1, pre: true, granted: true });
  assert.equal(core.status().role, 'candidate');
  said(core);
  core.step({ type: 'vote-reply', from: 3, to: 1, term: 1, pre: true, granted: true });
  assert.equal(core.status().role, 'candidate');
  core.step({ type: 'vote-reply', from: 3, to: 1, term: 1, pre: false, granted: true });
  assert.equal(core.status().role, 'leader');
});

test('a refusal of a pre-vote from a higher term brings that term', () => {
  const core = open(1);
  while (core.status().role === 'follower') core.tick();
  core.step({ type: 'vote-reply', from: 2, to: 1, term: 7, pre: true, granted: false });
  assert.deepEqual([core.status().role, core.status().term], ['follower', 7]);
  const voter = open(2, { hard_state: { term: 7, vote: 0, commit: 0 } });
  voter.step(vote({ from: 1, to: 2, term: 1, pre: true }));
  const reply = said(voter)[0];
  assert.deepEqual([reply?.term, reply?.type === 'vote-reply' && reply.granted], [7, false]);
});

test('once lost, a campaign that comes to nothing is repeated within ticks, with a back-off', () => {
  const core = open(1);
  core.step(heartbeat(3, 1));
  core.leaderLost(3, 0);
  assert.equal(core.status().role, 'pre-candidate', 'inside the call');
  const rounds: number[] = [];
  for (let tick = 0; tick < 60; tick++) {
    if (said(core).some((m) => m.type === 'vote')) rounds.push(tick);
    core.tick();
  }
  // random is 0.5: 7 ticks, then the cap of 5 to 10, drawn.
  assert.deepEqual(rounds.slice(0, 4), [0, 7, 15, 23]);
  assert.ok(rounds.every((at, i) => i === 0 || at - rounds[i - 1]! <= 10));
});

test('a candidate whose disk was slow gives the answers their time once its requests have left', () => {
  const core = open(1);
  while (core.status().role === 'follower') core.tick();
  said(core);
  core.step({ type: 'vote-reply', from: 2, to: 1, term: 1, pre: true, granted: true });
  const ready = core.ready() as Ready;
  for (let tick = 0; tick < 30; tick++) core.tick();
  core.synced(ready.seq);
  for (let tick = 0; tick < 3; tick++) core.tick();
  assert.equal(core.status().role, 'candidate');
  core.step({ type: 'vote-reply', from: 2, to: 1, term: 1, pre: false, granted: true });
  assert.equal(core.status().role, 'leader');
});

test('a delayed campaign waits its ticks', () => {
  const core = open(1);
  core.step(heartbeat(3, 1));
  core.leaderLost(3, 2);
  core.tick();
  assert.equal(core.status().role, 'follower');
  core.tick();
  assert.equal(core.status().role, 'pre-candidate');
});

test('check-quorum: a leader that no majority answers steps down within an election timeout', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  cluster.ticks(9);
  assert.equal(cluster.status(1).role, 'leader');
  cluster.ticks(2);
  assert.equal(cluster.status(1).role === 'leader', false);
  cluster.ticksUntil(() => cluster.leader() > 1, 'a leader of the majority');
});

test('a member that can reach only part of the others does not disturb them', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  const { term } = cluster.status(1);
  cluster.cut = (m) => (m.from === 1 && m.to === 3) || (m.from === 3 && m.to === 1);
  cluster.ticks(200);
  assert.deepEqual([cluster.leader(), cluster.status(1).term], [1, term]);
});

test('a member that comes back with a higher term is followed up: it is not left out for ever', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut = (m) => m.to === 3 || m.from === 3;
  cluster.crash(3);
  cluster.member(3).hard_state = { term: 9, vote: 3, commit: 0 };
  cluster.restart(3);
  cluster.cut = () => false;
  cluster.ticksUntil(
    () => cluster.leader() !== 0 && cluster.status(3).leader === cluster.leader(),
    'all agree',
  );
  assert.ok(cluster.status(3).term > 9);
});

test('two leaders in a term, and a disk that lost what was acknowledged, end the member', () => {
  const core = open(1);
  core.step(heartbeat(2, 1));
  assert.throws(() => core.step(heartbeat(3, 1)), InvariantError);
  assert.throws(
    () => core.step({ ...heartbeat(2, 1), commit: 5 } as Message),
    /acknowledged entries were lost/,
  );
  assert.throws(() => open(1, { hard_state: { term: 1, vote: 0, commit: 3 } }), InvariantError);
  assert.throws(() => open(1, { entries: [entry(1, 2)] }), InvariantError);
});

test('a learner never campaigns, and says when it has lost the leader', () => {
  const cluster = new TestCluster([1, 2], { learners: [3] });
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.settle();
  assert.deepEqual(cluster.commands(3), ['a']);
  cluster.crash(1);
  cluster.crash(2);
  cluster.ticks(100);
  assert.deepEqual([cluster.status(3).role, cluster.status(3).leader], ['follower', 0]);
});

test('options that make no sense are refused', () => {
  const initial = { hard_state: { term: 0, vote: 0, commit: 0 }, entries: [], applied: 0 };
  const snapshot = { index: 0, term: 0, configuration: trio };
  for (const wrong of [{ id: 0 }, { election_ticks: 4 }, { heartbeat_ticks: 0 }, { max_inflight: 0 }]) {
    assert.throws(() => createCore({ ...testOptions(1), ...wrong }, { ...initial, snapshot }), RangeError);
  }
});
