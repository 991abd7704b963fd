/** Raft's safety under loss, repetition, reordering, slow syncs, crashes and changes of members, by seed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isJoint, isVoter } from './configuration.ts';
import { seededRandom, TestCluster } from './test-cluster.ts';
import type { MemberChange, MemberId } from './types.ts';

const seeds = 400;
const steps = 1_500;

test('three members elect one leader and agree on what is proposed', () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(2);
  for (const text of ['a', 'b', 'c']) assert.ok(cluster.propose(2, text) > 0);
  cluster.settle();
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.commands(id), ['a', 'b', 'c']);
});

test(`safety: ${seeds} seeds of ${steps} steps with every fault`, () => {
  const reached = {
    elections: 0,
    commits: 0,
    changes: 0,
    crashes: 0,
    snapshots: 0,
    joint: 0,
    reads: 0,
    lost: 0,
  };
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      run(seed, reached);
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause });
    }
  }
  // A run that never reaches the state proves nothing.
  for (const [what, times] of Object.entries(reached)) {
    assert.ok(times >= seeds / 4, `${what}: reached only ${times} times in ${seeds} seeds`);
  }
});

type Reached = Record<
  'elections' | 'commits' | 'changes' | 'crashes' | 'snapshots' | 'joint' | 'reads' | 'lost',
  number
>;

function run(seed: number, reached: Reached): void {
  const chance = seededRandom(seed * 7_919);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(chance() * of.length)]!;
  const all: MemberId[] = [1, 2, 3, 4, 5];
  const cluster = new TestCluster(chance() < 0.5 ? [1, 2, 3] : [1, 2, 3, 4], {
    learners: chance() < 0.5 ? [5] : [],
    seed,
    faults: {
      drop: chance() * 0.2,
      duplicate: chance() * 0.2,
      reorder: chance() * 0.5,
      sync_steps: Math.floor(chance() * 20),
    },
  });
  for (const id of all) if (!cluster.members.has(id)) cluster.add(id);
  const terms = new Set<number>();
  /** Reads in flight: no answer may be older than what was committed when they were asked. */
  const asked = new Map<number, number>();
  let context = 0;
  let highest = 0;
  let blocked = new Set<MemberId>();
  cluster.cut = (m) => blocked.has(m.from) !== blocked.has(m.to);
  cluster.onSend = (m) => {
    if (m.type === 'snapshot') reached.snapshots++;
  };
  for (let step = 0; step < steps; step++) {
    const id = pick([...cluster.members.keys()]);
    const member = cluster.member(id);
    const dice = chance();
    if (dice < 0.3) cluster.tick(id);
    else if (dice < 0.8) for (let i = 0; i < 3; i++) cluster.deliver();
    else if (dice < 0.88) cluster.propose(cluster.leader() || id, `s${step}`);
    else if (dice < 0.9 && member.up) {
      if (member.core.requestRead(++context)) asked.set(context, highest);
    } else if (dice < 0.905 && member.up) {
      cluster.crash(id);
      reached.crashes++;
    } else if (dice < 0.92) {
      for (const [down, state] of cluster.members) if (!state.up && chance() < 0.7) cluster.restart(down);
    } else if (dice < 0.935 && member.up) cluster.compact(id, Math.floor(chance() * 4));
    else if (dice < 0.95) {
      const leader = cluster.leader();
      if (leader !== 0) {
        const changes = all
          .filter(() => chance() < 0.4)
          .map(
            (of): MemberChange => ({ type: pick(['add-voter', 'add-learner', 'remove'] as const), id: of }),
          );
        if (cluster.core(leader).proposeChange(changes).ok) reached.changes++;
        if (isJoint(cluster.status(leader).configuration)) reached.joint++;
      }
    } else if (dice < 0.955) blocked = new Set(all.filter(() => chance() < 0.4));
    else if (dice < 0.97) blocked = new Set();
    else if (dice < 0.98 && member.up) {
      member.core.leaderLost(member.core.status().leader, Math.floor(chance() * 3));
      reached.lost++;
    } else if (dice < 0.985 && member.up) member.core.transfer(pick(all));
    else if (dice < 0.99 && member.up) member.core.peer(pick(all), chance() < 0.5);
    else if (dice < 0.992 && member.up) member.core.stepDown();
    for (const [of, state] of cluster.members) {
      if (!state.up) continue;
      cluster.pump(of);
      cluster.sync(of, false);
      const status = state.core.status();
      if (status.role === 'leader') terms.add(status.term);
      highest = Math.max(highest, state.applied.at(-1)?.index ?? 0);
      for (const read of state.reads.splice(0)) {
        const floor = asked.get(read.context);
        assert.ok(floor !== undefined, `read ${read.context} answered twice`);
        assert.ok(read.index >= floor, `read at ${read.index}, ${floor} was applied when it was asked`);
        asked.delete(read.context);
        reached.reads++;
      }
    }
    if (cluster.queue.length > 400) cluster.lose(200);
    if (step % 100 === 0) cluster.checkLogs();
  }
  cluster.checkLogs();
  reached.elections += terms.size;
  reached.commits += highest;
  heals(cluster);
}

/** Liveness: once the faults end, everybody who matters agrees on a new entry. */
function heals(cluster: TestCluster): void {
  cluster.faults = { drop: 0, duplicate: 0, reorder: 0, sync_steps: 0 };
  cluster.cut = () => false;
  cluster.lose(0);
  for (const [id, member] of cluster.members) {
    if (!member.up) cluster.restart(id);
    cluster.sync(id);
  }
  cluster.ticksUntil(() => {
    const id = cluster.leader();
    return (
      id !== 0 && !isJoint(cluster.status(id).configuration) && isVoter(cluster.status(id).configuration, id)
    );
  }, 'a leader');
  let index = 0;
  cluster.ticksUntil(() => {
    const id = cluster.leader();
    if (id === 0) return false;
    if (index === 0) index = cluster.propose(id, 'last');
    const { voters, learners } = cluster.status(id).configuration;
    return index > 0 && [...voters, ...learners].every((of) => cluster.commands(of).at(-1) === 'last');
  }, 'agreement');
}
