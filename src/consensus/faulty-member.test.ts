/**
 * A member with damaged storage: it listens and applies, and neither votes nor counts, at either side of the wire
 * (Alagappan et al., FAST 2018, section 3: a corrupted node must not take part in what its lost entries could decide).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { createCore } from './core.ts';
import { seededRandom, TestCluster, testOptions } from './test-cluster.ts';
import type { MemberId, Message } from './types.ts';

const seeds = 250;
const steps = 1_200;

/** Three voters of which 1 leads and 3 was damaged after everything was acknowledged. */
function withDamage(keeps_image = true): TestCluster {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  for (const text of ['a', 'b', 'c']) cluster.propose(1, text);
  cluster.ticks(3);
  cluster.crash(3);
  cluster.damage(3, keeps_image);
  cluster.restart(3);
  return cluster;
}

const faultyOf = (cluster: TestCluster, id: MemberId) => cluster.status(id).faulty.map((of) => of.id);

test('the group goes on; the faulty member gets everything again, applies it, and is named', () => {
  for (const compacted of [false, true]) {
    const cluster = withDamage(false);
    if (compacted) cluster.compact(1, 0);
    cluster.propose(1, 'd');
    cluster.ticks(6);
    for (const id of [1, 2, 3]) assert.deepEqual(cluster.commands(id), ['a', 'b', 'c', 'd']);
    const { faulty } = cluster.status(1);
    assert.deepEqual(faulty, [{ id: 3, reason: 'damaged at 4' }]);
    assert.deepEqual(
      cluster.progress(1).map(({ id, faulty: is, active }) => [id, is, active]),
      [
        [1, false, true],
        [2, false, true],
        [3, true, false],
      ],
    );
    assert.equal(cluster.progress(1)[2]?.match, cluster.status(1).last_index);
    assert.deepEqual(faultyOf(cluster, 3), [3]);
  }
});

test('with the third voter dead nothing is committed or read, the lead ends, and the status says why', () => {
  const cluster = withDamage();
  cluster.ticks(6);
  const before = cluster.status(1).commit;
  cluster.crash(2);
  assert.ok(cluster.propose(1, 'alone') > 0);
  assert.equal(cluster.core(1).requestRead(7), true);
  cluster.ticks(9);
  assert.equal(cluster.status(3).last_index, before + 1, 'the faulty member has it');
  assert.deepEqual([cluster.status(1).commit, cluster.member(1).reads], [before, []]);
  cluster.ticksUntil(() => cluster.leader() === 0, 'the lead to end');
  assert.deepEqual(cluster.member(1).reads_failed, [7]);
  cluster.ticks(200);
  assert.deepEqual(
    [cluster.leader(), cluster.status(1).commit, cluster.status(3).commit],
    [0, before, before],
  );
  assert.deepEqual(faultyOf(cluster, 1), [3], 'who leads no more still knows');
  cluster.restart(2);
  cluster.ticksUntil(() => cluster.commands(3).includes('alone'), 'the two sound ones to go on');
});

test('whoever comes to lead learns of it, and a candidate too', () => {
  const cluster = withDamage();
  cluster.crash(2);
  cluster.crash(1);
  cluster.restart(1);
  cluster.ticksUntil(() => faultyOf(cluster, 1).length > 0, 'the refusal of a vote to say so');
  assert.equal(cluster.leader(), 0);
  cluster.restart(2);
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader');
  cluster.ticks(4);
  assert.deepEqual(faultyOf(cluster, cluster.leader()), [3]);
});

test('it never votes, never campaigns, and takes no lead that is handed to it', () => {
  const sent: Message[] = [];
  const core = createCore(testOptions(3), {
    hard_state: { term: 4, vote: 0, commit: 0 },
    snapshot: { index: 0, term: 0, configuration: configurationOf([1, 2, 3]) },
    entries: [],
    applied: 0,
    fault: 'bit rot',
  });
  const pump = () => {
    for (let ready = core.ready(); ready !== null; ready = core.ready()) {
      sent.push(...ready.messages, ...ready.messages_after_sync);
      assert.equal(ready.hard_state?.vote ?? 0, 0);
      core.synced(ready.seq);
    }
  };
  for (let tick = 0; tick < 200; tick++) core.tick();
  core.leaderLost(1, 0);
  core.step({ type: 'timeout-now', from: 1, to: 3, term: 4 });
  pump();
  assert.deepEqual([core.status().role, sent], ['follower', []]);
  for (const pre of [true, false]) {
    for (const transfer of [true, false]) {
      for (const term of [3, 4, 5, 9]) {
        core.step({ type: 'vote', from: 1, to: 3, term, pre, transfer, last_index: 99, last_term: 3 });
        pump();
        const said = sent.pop();
        assert.ok(said?.type === 'vote-reply' && !said.granted && said.faulty === 'bit rot');
        assert.equal(core.status().term, 4);
      }
    }
  }
  assert.deepEqual(sent, []);
});

test('what it says counts for nothing even if it says yes', () => {
  const sound = {
    snapshot: { index: 0, term: 0, configuration: configurationOf([1, 2, 3]) },
    entries: [],
    applied: 0,
  };
  const core = createCore(testOptions(1), { hard_state: { term: 0, vote: 0, commit: 0 }, ...sound });
  const pump = () => {
    for (let ready = core.ready(); ready !== null; ready = core.ready()) core.synced(ready.seq);
  };
  const faulty = 'bit rot';
  while (core.status().role !== 'pre-candidate') core.tick();
  const granted = { type: 'vote-reply', to: 1, granted: true } as const;
  core.step({ ...granted, from: 3, pre: true, term: 1, faulty });
  pump();
  assert.equal(core.status().role, 'pre-candidate');
  core.step({ ...granted, from: 2, pre: true, term: 1 });
  pump();
  assert.equal(core.status().role, 'candidate');
  core.step({ ...granted, from: 3, pre: false, term: 1, faulty });
  pump();
  assert.equal(core.status().role, 'candidate');
  core.step({ ...granted, from: 2, pre: false, term: 1 });
  pump();
  assert.equal(core.status().role, 'leader');
  const acknowledged = {
    type: 'append-reply',
    to: 1,
    term: 1,
    ok: true,
    index: 1,
    hint_index: 0,
    hint_term: 0,
  } as const;
  core.step({ ...acknowledged, from: 3, faulty });
  // An answer from before the damage, still on its way.
  core.step({ ...acknowledged, from: 3 });
  core.step({ type: 'heartbeat-reply', from: 3, to: 1, term: 1, round: 1, faulty });
  pump();
  assert.equal(core.status().commit, 0);
  assert.equal(core.quorumAgeTicks(), Number.MAX_SAFE_INTEGER, 'no round is over');
  core.step({ ...acknowledged, from: 2 });
  pump();
  assert.equal(core.status().commit, 1);
  const handed = core.transfer(3);
  assert.match(handed.ok ? '' : handed.detail, /storage of member 3 is damaged: bit rot/);
});

test('only under a new number does it vote again', () => {
  const cluster = withDamage(false);
  cluster.ticks(6);
  assert.ok(cluster.core(1).proposeChange([{ type: 'add-learner', id: 3 }]).ok);
  cluster.ticks(4);
  assert.deepEqual(cluster.status(1).configuration.learners, [3]);
  const promoted = cluster.core(1).proposeChange([{ type: 'add-voter', id: 3 }]);
  assert.match(promoted.ok ? '' : promoted.detail, /storage of member 3 is damaged/);
  cluster.add(4);
  assert.ok(
    cluster.core(1).proposeChange([
      { type: 'remove', id: 3 },
      { type: 'add-voter', id: 4 },
    ]).ok,
  );
  cluster.ticksUntil(() => cluster.commands(4).length === 3, 'the new member to catch up');
  assert.deepEqual(cluster.status(1).configuration.voters, [1, 2, 4]);
  assert.deepEqual(faultyOf(cluster, 1), []);
  cluster.crash(2);
  assert.ok(cluster.propose(1, 'd') > 0);
  cluster.ticks(3);
  assert.deepEqual(cluster.commands(4).at(-1), 'd', 'the new member counts');
});

test('the most advanced log is the damaged one: what it acknowledged is not lost', () => {
  // 3 acknowledged `b` with the leader alone; 2 never heard of it. Then 3 is damaged and the leader gone.
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, 'a');
  cluster.ticks(3);
  cluster.cut = (m) => m.from === 2 || m.to === 2;
  const index = cluster.propose(1, 'b');
  cluster.settle();
  assert.equal(cluster.status(1).commit, index);
  cluster.crash(1);
  cluster.crash(3);
  cluster.damage(3, false);
  cluster.restart(3);
  cluster.cut = () => false;
  cluster.ticks(300);
  assert.equal(cluster.leader(), 0, 'neither the one that lacks it nor the one that lost it leads');
  cluster.restart(1);
  cluster.ticksUntil(() => [1, 2, 3].every((id) => cluster.commands(id).includes('b')), 'b everywhere');
});

test('two of three faulty: nobody leads, nothing is committed', () => {
  const cluster = withDamage();
  cluster.ticks(6);
  const { commit } = cluster.status(1);
  cluster.crash(2);
  cluster.damage(2, true);
  cluster.restart(2);
  cluster.propose(1, 'never');
  cluster.ticks(200);
  assert.deepEqual([cluster.leader(), cluster.status(1).commit], [0, commit]);
  assert.deepEqual(faultyOf(cluster, 1), [3, 2]);
});

type Reached = Record<'damages' | 'commits' | 'elections' | 'again' | 'snapshots', number>;

test(`safety: ${seeds} seeds of ${steps} steps, with damage to a minority and, in every third run, to anyone`, () => {
  const reached: Reached = { damages: 0, commits: 0, elections: 0, again: 0, snapshots: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      run(seed, reached);
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause });
    }
  }
  for (const [what, times] of Object.entries(reached)) assert.ok(times >= seeds / 4, `${what}: ${times}`);
});

/** The four properties are checked by the cluster itself; here: nobody faulty leads, and the rest goes on in the end. */
function run(seed: number, reached: Reached): void {
  const chance = seededRandom(seed * 104_729);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(chance() * of.length)]!;
  const all: MemberId[] = chance() < 0.5 ? [1, 2, 3] : [1, 2, 3, 4, 5];
  const anyone = seed % 3 === 0;
  const most = anyone ? all.length : (all.length - 1) / 2;
  const faults = {
    drop: chance() * 0.2,
    duplicate: chance() * 0.2,
    reorder: chance() * 0.5,
    sync_steps: Math.floor(chance() * 12),
  };
  const cluster = new TestCluster(all, { seed, faults });
  let blocked = new Set<MemberId>();
  cluster.cut = (m) => blocked.has(m.from) !== blocked.has(m.to);
  cluster.onSend = (m) => {
    if (m.type === 'snapshot') reached.snapshots++;
    const { fault } = cluster.member(m.from);
    assert.equal(m.faulty ?? '', fault, `${m.type} from ${m.from}`);
    assert.ok(fault === '' || !(m.type === 'vote-reply' && m.granted), `${m.from} votes`);
  };
  const terms = new Set<number>();
  let highest = 0;
  const damaged = new Set<MemberId>();
  for (let step = 0; step < steps; step++) {
    const id = pick(all);
    const member = cluster.member(id);
    const dice = chance();
    if (dice < 0.3) cluster.tick(id);
    else if (dice < 0.84) for (let i = 0; i < 3; i++) cluster.deliver();
    else if (dice < 0.92) cluster.propose(cluster.leader() || id, `s${step}`);
    else if (dice < 0.93 && member.up) cluster.crash(id);
    else if (dice < 0.945) {
      const may = damaged.has(id) || damaged.size < most;
      if (!member.up && may && chance() < 0.6) {
        if (damaged.has(id)) reached.again++;
        cluster.damage(id, chance() < 0.5);
        damaged.add(id);
        reached.damages++;
      }
      for (const of of all) if (!cluster.member(of).up && chance() < 0.7) cluster.restart(of);
    } else if (dice < 0.96 && member.up) cluster.compact(id, Math.floor(chance() * 4));
    else if (dice < 0.965) blocked = new Set(all.filter(() => chance() < 0.4));
    else if (dice < 0.985) blocked = new Set();
    else if (dice < 0.99 && member.up) member.core.transfer(pick(all));
    else if (member.up) member.core.leaderLost(member.core.status().leader, 0);
    for (const of of all) {
      const { up, core, applied, fault } = cluster.member(of);
      if (!up) continue;
      cluster.pump(of);
      cluster.sync(of, false);
      const { role, term } = core.status();
      assert.ok(fault === '' || role === 'follower', `member ${of} is ${role} on damaged storage`);
      if (role === 'leader') terms.add(term);
      highest = Math.max(highest, applied.at(-1)?.index ?? 0);
    }
    if (cluster.queue.length > 400) cluster.lose(200);
  }
  reached.elections += terms.size;
  reached.commits += highest;
  cluster.faults = { drop: 0, duplicate: 0, reorder: 0, sync_steps: 0 };
  cluster.cut = () => false;
  cluster.lose(0);
  for (const of of all) {
    if (!cluster.member(of).up) cluster.restart(of);
    cluster.sync(of);
  }
  if (damaged.size > (all.length - 1) / 2) {
    cluster.ticks(60);
    assert.equal(cluster.leader(), 0, 'without a sound majority nobody leads');
    return;
  }
  let index = 0;
  cluster.ticksUntil(() => {
    const leader = cluster.leader();
    if (leader !== 0 && index === 0) index = cluster.propose(leader, 'last');
    return all.every((of) => cluster.commands(of).at(-1) === 'last');
  }, 'agreement, the faulty ones included');
  cluster.checkLogs();
}
