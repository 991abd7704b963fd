/**
 * Bugs that others' implementations had around the core (processes that stand still, disks, links that close), as
 * regression tests of the replica in virtual time. Bug -> test here, or where it is.
 *
 * | bug | here |
 * |---|---|
 * | stale reads after a process stood still | a process that wakes up after a successor was elected answers no read, old or new (and ../replica.test.ts, "a leader that stood still …") |
 * | … | a pause shorter than an election timeout costs nothing |
 * | read index before an entry of the own term | a new leader answers no read before its first entry is committed |
 * | a new leader acts before it has applied what was committed before it | `established` comes after everything that was committed before |
 * | a leader that cannot write its log stays leader | a disk that never answers costs the lead, once; and no term after that |
 * | everything waits for the slowest disk | a follower whose disk never answers holds up nobody |
 * | partial connectivity, an election loop | a closed link between two of three: the leader stays; links that flap cost no election |
 * | what a deposed leader had answered is lost | all links of the leader close at once: another leads within ticks, nothing acknowledged is lost |
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConsensusError } from '../api.ts';
import { bytes, Cluster, election_ms, timing } from '../test-replicas.ts';
import type { MemberId } from '../types.ts';
import { decodeFrame } from '../wire.ts';

async function refusedAs(c: Cluster, promise: Promise<unknown>, code: ConsensusError['code']): Promise<void> {
  await assert.rejects(c.wait(promise), (error) => {
    assert.ok(error instanceof ConsensusError, String(error));
    assert.equal(error.code, code);
    return true;
  });
}

/** The connection closes, and none comes up again. */
function close(c: Cluster, a: MemberId, b: MemberId): void {
  c.network.cut(a, b);
  c.network.cut(b, a);
  c.network.reset(a, b, Number.MAX_SAFE_INTEGER / 2);
}

/** Everybody's term, and whom they follow. */
function view(c: Cluster): string[] {
  return [...c.members.values()].map(({ id, replica }) => {
    const { term, leader } = replica.status();
    return `${id}: term ${term}, leader ${leader}`;
  });
}

test('a process that wakes up after a successor was elected answers no read, old or new', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  const old = c.member(1);
  const before = old.replica.readIndex();
  before.catch(() => undefined);
  // The round for it has left; its answers, and all that comes later, wait in the sockets of the process that stands still.
  await c.clock.run(0);
  old.node.freeze();
  await c.until(() => c.leaders().some((m) => m.id !== 1), 20_000, 'no successor');
  const next = c.leaders().find((m) => m.id !== 1)!;
  await c.propose(next.id, 'b');
  const first = old.replica.readIndex();
  first.catch(() => undefined);
  old.node.thaw();
  await refusedAs(c, first, 'not-leader');
  await refusedAs(c, before, 'not-leader');
  await c.same(['a', 'b']);
  await c.end();
});

test('a pause shorter than an election timeout costs nothing', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  const { term } = c.replica(1).status();
  c.member(1).node.freeze();
  await c.clock.run(0.9 * election_ms - timing.heartbeat_ticks * timing.tick_ms);
  c.member(1).node.thaw();
  await c.propose(1, 'b');
  const { index } = await c.wait(c.replica(1).readIndex());
  assert.ok(index >= 1);
  assert.equal(c.replica(1).status().term, term);
  await c.same(['a', 'b']);
  await c.end();
});

test('a new leader answers no read before its first entry is committed', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  c.network.filter = (_from, to, frame) => to !== 2 || decodeFrame(frame).type !== 'append-reply';
  await c.wait(c.replica(1).transferLeadership(2));
  await c.until(() => c.replica(2).status().role === 'leader', 1000, 'it does not lead');
  assert.equal(c.replica(2).status().established, false);
  await refusedAs(c, c.replica(2).readIndex(), 'busy');
  c.network.filter = () => true;
  await c.settled(2);
  const { index, term } = await c.wait(c.replica(2).readIndex());
  assert.deepEqual([index, term], [c.replica(2).status().commit, c.replica(2).status().term]);
  await c.end();
});

test('`established` comes after everything that was committed before', async () => {
  const c = await Cluster.of(3);
  const values = Array.from({ length: 1500 }, (_, i) => `${i}`);
  await c.wait(Promise.all(values.map((value) => c.replica(1).propose(bytes(value)))));
  await c.same(values);
  // All begin again from their logs: whoever leads has everything still to apply.
  const dead = [1, 2, 3].map((id) => c.kill(id));
  const leading: { readonly established: boolean; readonly applied: number }[] = [];
  for (const member of dead) {
    const { replica, machine } = await c.restart(member);
    replica.on('role', ({ role, established }) => {
      if (role === 'leader') leading.push({ established, applied: machine.values.length });
    });
  }
  await c.settled();
  assert.equal(leading[0]?.established, false, 'it leads before it is established');
  const established = leading.filter((of) => of.established);
  assert.ok(established.length > 0);
  for (const { applied } of established) assert.equal(applied, values.length);
  await c.end();
});

test('a disk that never answers costs the lead, once; and no term after that', async () => {
  const c = await Cluster.of(3);
  await c.propose(1, 'a');
  c.member(1).disk.faults = {
    before: (operation) => (operation === 'sync' ? new Promise<void>(() => undefined) : undefined),
  };
  c.replica(1)
    .propose(bytes('b'))
    .catch(() => undefined);
  await c.until(() => c.leaders().some((m) => m.id !== 1), 5000 + 2 * election_ms, 'no successor');
  const next = c.leaders().find((m) => m.id !== 1)!;
  await c.propose(next.id, 'c');
  const { term } = next.replica.status();
  await c.clock.run(20 * election_ms);
  assert.deepEqual([next.replica.status().role, next.replica.status().term], ['leader', term]);
  assert.deepEqual(next.machine.values, ['a', 'b', 'c'], 'two disks of three had b');
  assert.equal(c.member(1).machine.values.includes('c'), false, 'nothing is applied that its disk has not');
  const dead = c.kill(1);
  dead.disk.faults = {};
  await c.restart(dead);
  await c.same(['a', 'b', 'c']);
  await c.end();
});

test('a follower whose disk never answers holds up nobody', async () => {
  const c = await Cluster.of(3);
  const { term } = c.replica(1).status();
  c.member(3).disk.faults = {
    before: (operation) => (operation === 'sync' ? new Promise<void>(() => undefined) : undefined),
  };
  for (const value of ['a', 'b', 'c']) {
    const from = c.clock.now_ms();
    await c.propose(1, value);
    assert.ok(c.clock.now_ms() - from <= 4, 'two messages of 1 ms each');
  }
  await c.clock.run(10 * election_ms);
  assert.deepEqual([c.replica(1).status().role, c.replica(1).status().term], ['leader', term]);
  assert.deepEqual(c.member(3).machine.values, []);
  c.kill(3);
  await c.end();
});

test('a closed link between two of three: the leader stays, whoever it is', async () => {
  for (const leader of [1, 2, 3]) {
    const c = await Cluster.of(3, leader);
    if (leader !== 1) await c.wait(c.replica(1).transferLeadership(leader));
    await c.settled(leader);
    await c.clock.run(2 * election_ms);
    const { term } = c.replica(leader).status();
    close(c, 1, 2);
    await c.clock.run(50 * election_ms);
    const { role, term: now } = c.replica(leader).status();
    assert.deepEqual([role, now], ['leader', term], c.trace(`${leader} leads`));
    assert.equal(c.replica(3).status().term, term);
    await c.propose(leader, 'x');
    await c.end();
  }
});

test('links that flap cost no election, as long as a majority hears the leader', async () => {
  const c = await Cluster.of(5);
  await c.clock.run(election_ms);
  const before = view(c);
  for (let i = 0; i < 200; i++) {
    // One after the other, one at a time: each is back before the next goes.
    c.network.reset(1, 2 + (i % 4), 150);
    await c.clock.run(200);
  }
  await c.clock.run(election_ms);
  assert.deepEqual(view(c), before);
  await c.end();
});

test('all links of the leader close at once: another leads within ticks, nothing acknowledged is lost', async () => {
  for (const size of [3, 5]) {
    const c = await Cluster.of(size);
    await c.propose(1, 'a');
    const others = [...c.members.keys()].filter((id) => id !== 1);
    const from = c.clock.now_ms();
    for (const id of others) c.network.reset(1, id, 500);
    await c.until(() => c.leaders().some((m) => m.id !== 1), 1000, 'no successor');
    assert.ok(c.clock.now_ms() - from <= 2 * timing.tick_ms, `${c.clock.now_ms() - from} ms`);
    const next = c.leaders().find((m) => m.id !== 1)!;
    await c.propose(next.id, 'b');
    // The old leader has heard of nothing yet: it leads on, and can do nothing.
    assert.equal(c.replica(1).status().role, 'leader');
    const read = c.replica(1).readIndex();
    const write = c.replica(1).propose(bytes('lost'));
    for (const promise of [read, write]) promise.catch(() => undefined);
    await refusedAs(c, read, 'not-leader');
    await refusedAs(c, write, 'lost');
    await c.same(['a', 'b']);
    await c.end();
  }
});
