// The choice of voters at work: real replicas, virtual time.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ConsensusError } from '../../consensus/api.ts';
import type { Configuration, MemberChange, MemberId } from '../../consensus/types.ts';
import { createTestEnv } from '../test-env.ts';
import { createVoterTender } from './tender.ts';
import { lease_ms, plainNode, TestGroup } from './test-group.ts';
import { type VoterNode, voterLimits } from './view.ts';

const { replace_after_ms, stable_ms } = voterLimits(lease_ms);

async function groupOf(t: TestContext, hosts: number, pool: number, seed = 1): Promise<TestGroup> {
  const group = new TestGroup(seed);
  t.after(() => group.end());
  group.pool = pool;
  for (let id = 1; id <= hosts; id += 1) await group.add(id);
  const wanted = Math.min(hosts, pool);
  await group.until(() => group.voters().length === wanted, 20_000, `${wanted} voters`);
  return group;
}

/** The steps from one set of voters to the next, as `1,2,3>1,2,3+1,2,4>1,2,4`. */
function path(configurations: readonly Configuration[]): string {
  return configurations
    .map(({ voters, voters_outgoing }) =>
      voters_outgoing.length > 0 ? `${voters_outgoing}+${voters}` : `${voters}`,
    )
    .filter((text, at, all) => text !== all[at - 1])
    .join('>');
}

test('hosts that join vote within seconds, without patience', async (t) => {
  const group = await groupOf(t, 5, 5);
  assert.ok(group.clock.now_ms() - 1_000_000 < 10_000, `${group.clock.now_ms() - 1_000_000} ms`);
  await group.commits();
});

test('the leader dies for good: after the patience one joint step gives its vote away, and one more loss is borne', async (t) => {
  for (const seed of [1, 2, 3]) {
    const group = await groupOf(t, 5, 3, seed);
    const [dead = 0] = [group.leader()?.id];
    const voters = group.voters();
    group.kill(dead);
    await group.until(() => group.leader() !== undefined, 20_000, 'a new leader');
    const elected_ms = group.clock.now_ms();
    group.configurations.splice(0, Number.POSITIVE_INFINITY, group.leader()!.replica.status().configuration);

    await group.untilWithout(dead, 2 * replace_after_ms);
    const waited_ms = group.clock.now_ms() - elected_ms;
    assert.ok(waited_ms >= replace_after_ms - 5_000, `replaced after ${waited_ms} ms only`);
    const now = group.voters();
    assert.deepEqual([now.length, now.filter((id) => voters.includes(id)).length], [3, 2]);
    assert.equal(path(group.configurations), `${voters}>${voters}+${now}>${now}`);

    const [second] = now.filter((id) => id !== group.leader()?.id);
    assert.ok(second);
    group.kill(second);
    await group.commits();
    await group.untilWithout(second, 3 * replace_after_ms);
    group.kill(group.leader()?.id ?? 0);
    await group.commits();
  }
});

test('a voter that comes back in time keeps its vote; one that comes back late stays a learner', async (t) => {
  const group = await groupOf(t, 4, 3);
  const voters = group.voters();
  const away = voters.find((id) => id !== group.leader()?.id) ?? 0;
  await group.clock.run(stable_ms + lease_ms);
  group.network.isolate(away);
  await group.clock.run(replace_after_ms - lease_ms);
  group.network.heal();
  await group.clock.run(2 * replace_after_ms);
  assert.deepEqual(group.voters(), voters);

  group.network.isolate(away);
  await group.untilWithout(away, 2 * replace_after_ms);
  const after = group.voters();
  group.network.heal();
  await group.clock.run(3 * replace_after_ms);
  assert.deepEqual(group.voters(), after);
  await group.commits();
});

test('a drained leader hands the lead over, and its vote goes to another in one joint step', async (t) => {
  const group = await groupOf(t, 4, 3);
  const leader = group.leader()?.id ?? 0;
  group.change(leader, { drained: true });
  await group.until(
    () => group.leader() !== undefined && group.leader()?.id !== leader,
    20_000,
    'another leads',
  );
  const voters = group.voters();
  group.configurations.splice(0, Number.POSITIVE_INFINITY, group.leader()!.replica.status().configuration);
  await group.untilWithout(leader, 2 * stable_ms);
  const now = group.voters();
  assert.equal(path(group.configurations), `${voters}>${voters}+${now}>${now}`);
});

test('two hosts: the lone voter is drained, and the other one leads and votes alone', async (t) => {
  const group = await groupOf(t, 2, 1);
  group.pool = 5;
  await group.clock.run(stable_ms);
  assert.deepEqual(group.voters(), [1]);
  group.change(1, { drained: true });
  await group.until(() => group.voters().join() === '2', 20_000, 'n2 votes alone');
  assert.equal(group.leader()?.id, 2);
});

test('a witness is the third voter of two hosts, and does not keep the lead', async (t) => {
  const group = await groupOf(t, 3, 3);
  const leader = group.leader()?.id ?? 0;
  group.change(leader, { vm_capable: false });
  await group.until(
    () => group.leader() !== undefined && group.leader()?.id !== leader,
    3 * stable_ms,
    'a host of guests leads',
  );
  const host = group.leader()?.id;
  await group.clock.run(5 * stable_ms);
  assert.equal(group.leader()?.id, host, 'and goes on leading');
  assert.equal(group.voters().length, 3);
});

test('a voter is removed in one joint step with its replacement, and not taken in again', async (t) => {
  const group = await groupOf(t, 4, 3);
  const leader = group.leader();
  assert.ok(leader?.tender);
  const voters = group.voters();
  const leaving = voters.find((id) => id !== leader.id) ?? 0;
  group.configurations.splice(0, Number.POSITIVE_INFINITY, leader.replica.status().configuration);
  await group.wait(leader.tender.tender.removeMember(leaving));
  const now = group.voters();
  assert.equal(path(group.configurations), `${voters}>${voters}+${now}>${now}`);
  assert.deepEqual([now.length, now.includes(leaving)], [3, false]);
  // Its node is still in the configuration, as while the host is told.
  await group.clock.run(lease_ms);
  assert.ok(!leader.replica.status().configuration.learners.includes(leaving));
  group.nodes = group.nodes.filter((node) => node.member !== leaving);
  group.wake();
  await group.clock.run(lease_ms);
  assert.deepEqual(leader.replica.status().configuration.learners, []);
  await group.wait(leader.tender.tender.removeMember(leaving));
});

test('a leader that is removed hands over; the next one finishes', async (t) => {
  for (const hosts of [2, 3]) {
    const group = await groupOf(t, hosts, hosts === 2 ? 1 : 3);
    await group.clock.run(lease_ms);
    const first = group.leader();
    assert.ok(first?.tender);
    await assert.rejects(
      group.wait(first.tender.tender.removeMember(first.id)),
      (error: ConsensusError) => error.outcome === 'unknown',
    );
    await group.until(
      () => group.leader() !== undefined && group.leader() !== first,
      20_000,
      'another leads',
    );
    const next = group.leader();
    assert.ok(next?.tender);
    await group.wait(next.tender.tender.removeMember(first.id));
    assert.deepEqual(group.voters(), [next.id]);
    group.nodes = group.nodes.filter((node) => node.member !== first.id);
    await group.clock.run(lease_ms);
    await group.commits();
  }
});

/** A group that refuses what it is told to, or is slow. */
function fakeReplica(voters: readonly MemberId[], learners: readonly MemberId[]) {
  const fake = {
    asked: [] as string[],
    in_snapshot: new Set<MemberId>(),
    faulty: [] as { id: MemberId; reason: string }[],
    configuration: { voters, voters_outgoing: [], learners, learners_next: [], auto_leave: false },
    answer: (_changes: readonly MemberChange[]): Promise<void> => Promise.resolve(),
    changeMembers(changes: readonly MemberChange[]): Promise<void> {
      fake.asked.push(changes.map(({ type, id }) => `${type} ${id}`).join(' '));
      return fake.answer(changes);
    },
    transferLeadership(to: MemberId): Promise<void> {
      fake.asked.push(`transfer ${to}`);
      return Promise.resolve();
    },
    progress: () =>
      [...fake.configuration.voters, ...fake.configuration.learners].map((id) => ({
        id,
        match: 10,
        state: fake.in_snapshot.has(id) ? ('snapshot' as const) : ('replicate' as const),
        learner: false,
        active: true,
        faulty: false,
      })),
    status() {
      const { configuration } = fake;
      const role = { role: 'leader', term: 1, leader: 1, established: true, quorum_at_ms: 0 } as const;
      const { faulty } = fake;
      return { ...role, id: 1, commit: 10, applied: 10, last_index: 10, configuration, faulty };
    },
  };
  return fake;
}

/** Of the first member, which leads and reaches everybody. */
function tenderOf(
  env: ReturnType<typeof createTestEnv>,
  replica: ReturnType<typeof fakeReplica>,
  nodes: () => readonly VoterNode[],
) {
  return createVoterTender({
    env,
    replica,
    self: 1,
    isUp: () => true,
    nodes,
    candidatePoolSize: () => 5,
    leaseMs: () => lease_ms,
    renew: () => Promise.reject(new Error('nobody is faulty')),
  });
}

test('a refused change of the voters is tried less and less often, and holds up nobody who joins', async () => {
  const env = createTestEnv();
  const replica = fakeReplica([1], [2, 3]);
  const refused = new ConsensusError('config-refused', 'another one is under way', 'not-proposed');
  replica.answer = (changes) =>
    changes.some(({ type }) => type === 'add-voter') ? Promise.reject(refused) : Promise.resolve();
  let nodes = [1, 2, 3].map(plainNode);
  const tender = tenderOf(env, replica, () => nodes);
  const tries = () => replica.asked.filter((changes) => changes === 'add-voter 2 add-voter 3').length;
  await env.advance(60_000);
  assert.ok(tries() >= 5 && tries() <= 9, `${tries()} tries in a minute`);

  nodes = [...nodes, plainNode(4)];
  tender.wake();
  await env.advance(100);
  assert.equal(replica.asked.at(-1), 'add-learner 4');
  tender.stop();
  assert.equal(env.timers, 0);
});

test('the lead is not handed to a voter that is being sent a snapshot, however few entries it lacks', async () => {
  const env = createTestEnv();
  const replica = fakeReplica([1, 2, 3], []);
  replica.in_snapshot = new Set([2, 3]);
  const nodes = [{ ...plainNode(1), drained: true }, plainNode(2), plainNode(3)];
  const tender = tenderOf(env, replica, () => nodes);
  await env.advance(60_000);
  assert.deepEqual(replica.asked, []);
  replica.in_snapshot = new Set([2]);
  await env.advance(60_000);
  assert.equal(replica.asked[0], 'transfer 3');
  tender.stop();
});

test('one change at a time: a removal and a join wait for the one that is being committed, and follow at once', async () => {
  const env = createTestEnv();
  const replica = fakeReplica([1], [2, 3]);
  const commits: (() => void)[] = [];
  replica.answer = () => new Promise((resolve) => commits.push(resolve));
  let nodes = [1, 2, 3].map(plainNode);
  const tender = tenderOf(env, replica, () => nodes);
  await env.advance(0);
  nodes = [...nodes, plainNode(4)];
  tender.wake();
  const removal = tender.removeMember(3);
  await env.advance(20_000);
  assert.deepEqual(replica.asked, ['add-voter 2 add-voter 3']);
  replica.configuration = { ...replica.configuration, voters: [1, 2, 3], learners: [] };
  commits[0]?.();
  await env.advance(0);
  assert.deepEqual(replica.asked.slice(1), ['remove 3 add-learner 2'], 'somebody waits for the removal');
  replica.configuration = { ...replica.configuration, voters: [1], learners: [2] };
  commits[1]?.();
  await removal;
  await env.advance(100);
  assert.deepEqual(replica.asked.slice(2), ['add-learner 4']);
  tender.stop();
});

test('what is due together: the join first; and nothing else while a member is being removed', async () => {
  const env = createTestEnv();
  const replica = fakeReplica([1], [2, 3]);
  const commits: (() => void)[] = [];
  replica.answer = () => new Promise((resolve) => commits.push(resolve));
  let nodes = [1, 2, 3, 4].map(plainNode);
  let pool = 5;
  const tender = createVoterTender({
    env,
    replica,
    self: 1,
    isUp: () => true,
    nodes: () => nodes,
    candidatePoolSize: () => pool,
    leaseMs: () => lease_ms,
    renew: () => Promise.reject(new Error('nobody is faulty')),
  });
  await env.advance(0);
  assert.deepEqual(replica.asked, ['add-learner 4'], 'before the votes that are due as well');
  pool = 1;
  replica.configuration = { ...replica.configuration, learners: [2, 3, 4] };
  commits[0]?.();
  await env.advance(2 * lease_ms);

  const removal = tender.removeMember(4);
  nodes = [...nodes, plainNode(5)];
  tender.wake();
  await env.advance(2 * lease_ms);
  assert.deepEqual(replica.asked, ['add-learner 4', 'remove 4'], 'n5 waits while the removal is committed');
  replica.configuration = { ...replica.configuration, learners: [2, 3] };
  commits[1]?.();
  await env.advance(100);
  await removal;
  assert.deepEqual(replica.asked.slice(2), ['add-learner 5']);
  tender.stop();
});

test('a voter with damaged storage is replaced at once, not after the patience for the silent', async () => {
  const env = createTestEnv();
  const replica = fakeReplica([1, 2, 3], [4]);
  replica.faulty = [{ id: 3, reason: 'segment 7 is torn' }];
  const tender = createVoterTender({
    env,
    replica,
    self: 1,
    isUp: () => true,
    nodes: () => [1, 2, 3, 4].map(plainNode),
    candidatePoolSize: () => 3,
    leaseMs: () => lease_ms,
    renew: () => Promise.reject(new Error('nobody is faulty')),
  });
  await env.advance(stable_ms - 1_000);
  assert.deepEqual(replica.asked, []);
  assert.match(tender.reason(), /n3 has damaged storage \(segment 7 is torn\), and nobody is ready/);
  await env.advance(2_000);
  assert.equal(replica.asked[0], 'add-voter 4 add-learner 3');
  tender.stop();
});

test('a faulty voter votes again under a new number, its vote never missing; and more losses are borne', async (t) => {
  for (const seed of [1, 2, 3]) {
    const group = await groupOf(t, 3, 3, seed);
    const [bad] = group.voters().filter((id) => id !== group.leader()?.id);
    assert.ok(bad);
    const sound = group.voters().filter((id) => id !== bad);
    group.configurations.splice(0, Number.POSITIVE_INFINITY);
    await group.damage(bad);
    await group.until(() => group.voters().includes(101), 30_000, 'the new number votes');
    await group.commits();
    assert.deepEqual(group.renewals, [[bad, 101]]);
    const before = [...sound, bad].sort((a, b) => a - b);
    assert.equal(path(group.configurations), `${before}>${before}+${[...sound, 101]}>${[...sound, 101]}`);
    group.kill(group.leader()?.id ?? 0);
    await group.commits();
  }
});

test('the leader dies right after a new number was given: the next one goes on with it', async (t) => {
  const group = await groupOf(t, 5, 5);
  const leader = group.leader()?.id ?? 0;
  const [bad = 0] = group.voters().filter((id) => id !== leader);
  await group.damage(bad);
  await group.until(() => group.renewals.length > 0, 30_000, 'a new number');
  assert.ok(!group.voters().includes(101));
  group.kill(leader);
  await group.until(() => group.voters().includes(101), 60_000, 'the new number votes');
  assert.ok(!group.voters().includes(bad));
  assert.equal(group.renewals.length, 1);
});

test('a host that does not begin anew costs the group no voter', async (t) => {
  const group = await groupOf(t, 3, 3);
  const voters = group.voters();
  const [bad = 0] = voters.filter((id) => id !== group.leader()?.id);
  group.hosts_return = false;
  await group.damage(bad);
  await group.until(() => group.renewals.length > 0, 30_000, 'a new number');
  group.kill(bad);
  await group.clock.until(() => false, 3 * replace_after_ms);
  assert.deepEqual(group.voters(), voters);
  await group.commits();
});

test('two faulty of five are renewed one after the other; a majority never', async (t) => {
  const group = await groupOf(t, 5, 5);
  const [a = 0, b = 0] = group.voters().filter((id) => id !== group.leader()?.id);
  await group.damage(a);
  await group.damage(b);
  await group.until(() => group.renewals.length === 2, 60_000, 'two renewals');
  const [[, first] = [0, 0]] = group.renewals;
  const progress = group.leader()!.replica.progress();
  assert.ok((progress.find(({ id }) => id === first)?.match ?? 0) > 0, 'the first had the log before');
  await group.until(() => group.voters().includes(101) && group.voters().includes(102), 60_000, 'both vote');

  const few = await groupOf(t, 3, 3);
  const others = few.voters().filter((id) => id !== few.leader()?.id);
  for (const id of others) await few.damage(id);
  await few.clock.until(() => false, replace_after_ms);
  assert.deepEqual(few.renewals, []);
});

test('with a learner at hand the vote goes first; then the faulty one is a learner under a new number', async (t) => {
  const group = await groupOf(t, 4, 3);
  const [bad = 0] = group.voters().filter((id) => id !== group.leader()?.id);
  const learner = [1, 2, 3, 4].find((id) => !group.voters().includes(id)) ?? 0;
  await group.damage(bad);
  const members = () => group.leader()?.replica.status().configuration;
  await group.until(() => members()?.learners.join() === '101', 2 * stable_ms, 'the new number follows');
  assert.deepEqual(group.renewals, [[bad, 101]]);
  assert.ok(group.voters().includes(learner) && !group.voters().includes(bad));
  const progress = () =>
    group
      .leader()
      ?.replica.progress()
      .find(({ id }) => id === 101);
  await group.until(() => (progress()?.match ?? 0) > 0, 20_000, 'it has the log');
  assert.deepEqual(group.leader()?.replica.status().faulty, []);
});
