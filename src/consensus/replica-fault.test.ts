/** Replicas over real logs that are damaged: the group goes on, the one concerned follows, says so, and counts for nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { diskError } from './memory-disk.ts';
import { records_offset } from './segment.ts';
import { bytes, Cluster, type Member } from './test-replicas.ts';
import type { MemberId } from './types.ts';

/** Kills `id`, flips a byte in the middle of its log, and starts it again. */
async function damageMiddle(c: Cluster, id: MemberId): Promise<Member> {
  const dead = c.kill(id);
  const disk = dead.disk.afterCrash(() => 0);
  const segments = (await disk.list()).filter((name) => name.startsWith('segment'));
  const name = segments[0]!;
  disk.flipBit(name, records_offset + Math.floor((disk.size(name) - records_offset) / 2), 3);
  return c.open(id, disk, dead.machine.stable);
}

const faultyOf = (c: Cluster, id: MemberId) =>
  c
    .replica(id)
    .status()
    .faulty.map((of) => of.id);

async function threeWith(values: readonly string[], limits = {}): Promise<Cluster> {
  const c = await Cluster.of(3, 1, limits);
  for (const value of values) await c.propose(1, value);
  await c.same(values);
  return c;
}

const twenty = Array.from({ length: 20 }, (_, i) => `value ${i}`);

test('a log damaged in the middle: the group goes on, the member follows and applies, and both say so', async () => {
  for (const compacted of [false, true]) {
    const compaction = compacted ? { every_entries: 8, keep_entries: 2 } : {};
    const c = await threeWith(twenty, { compaction });
    const follower = await damageMiddle(c, 3);
    await c.propose(1, 'after');
    await c.same([...twenty, 'after']);
    const own = c.replica(3).status();
    assert.match(own.faulty[0]?.reason ?? '', /^segment-\d+ at offset \d+ \(log index \d+\): .*checksum/);
    assert.deepEqual(
      c
        .replica(1)
        .progress()
        .map((p) => [p.id, p.faulty]),
      [
        [1, false],
        [2, false],
        [3, true],
      ],
    );
    assert.deepEqual(c.replica(1).status().faulty, own.faulty, 'the leader knows the reason');
    await c.until(() => c.replica(1).status().established, 10_000, 'the leader stays');
    assert.ok((await follower.disk.list()).some((name) => name.startsWith('damaged-1-segment')));
    // The mark outlives a restart.
    await c.restart(c.kill(3));
    await c.propose(1, 'again');
    await c.same([...twenty, 'after', 'again']);
    assert.deepEqual([faultyOf(c, 3), faultyOf(c, 1)], [[3], [3]]);
    await c.end();
  }
});

test('one faulty and one dead of three: nothing is committed, and the status says why', async () => {
  const c = await threeWith(twenty);
  await damageMiddle(c, 3);
  await c.propose(1, 'after');
  await c.same([...twenty, 'after']);
  const dead = c.kill(2);
  const lonely = c.replica(1).propose(bytes('lonely'));
  lonely.catch(() => undefined);
  const read = c.replica(1).readIndex();
  await assert.rejects(c.wait(read), /lost|does not lead/);
  await assert.rejects(c.wait(lonely), { outcome: 'unknown' });
  await c.clock.run(60_000);
  assert.deepEqual(c.leaders(), []);
  assert.ok(!c.member(3).machine.values.includes('lonely'), 'not applied anywhere');
  assert.deepEqual(faultyOf(c, 1), [3], 'who knows no leader can say whose vote is missing');
  await c.restart(dead);
  await c.settled();
  await c.same([...twenty, 'after', 'lonely']);
  await c.end();
});

test('the leader’s own log is the damaged one, and the most advanced: no acknowledged entry is lost', async () => {
  const c = await threeWith(twenty);
  c.network.cut(1, 2);
  c.network.cut(2, 1);
  // With 3 alone; 2 lacks it.
  await c.propose(1, 'late');
  await damageMiddle(c, 1);
  c.network.heal();
  const leader = await c.settled();
  assert.equal(leader.id, 3, 'the only sound one that has it');
  await c.propose(3, 'next');
  await c.same([...twenty, 'late', 'next']);
  assert.deepEqual(faultyOf(c, 3), [1]);
  await c.end();
});

test('two of three faulty: no lead, no commit, nothing forgotten', async () => {
  const c = await threeWith(twenty);
  await damageMiddle(c, 2);
  await damageMiddle(c, 3);
  await c.clock.run(60_000);
  assert.deepEqual(c.leaders(), []);
  await assert.rejects(c.wait(c.replica(1).propose(bytes('no'))), { outcome: 'not-proposed' });
  assert.deepEqual(faultyOf(c, 1).toSorted(), [2, 3]);
  assert.deepEqual(c.member(1).machine.values, twenty);
  for (const { replica } of c.members.values()) await c.wait(replica.close());
});

test('removed and added under a new number it is a member like any other', async () => {
  const c = await threeWith(twenty);
  await damageMiddle(c, 3);
  await c.propose(1, 'after');
  await c.wait(c.replica(1).changeMembers([{ type: 'remove', id: 3 }]));
  c.kill(3);
  await c.found(4, configurationOf([]));
  await c.wait(c.replica(1).changeMembers([{ type: 'add-voter', id: 4 }]));
  assert.deepEqual(faultyOf(c, 1), []);
  c.kill(2);
  await c.propose(1, 'with 4 alone');
  await c.same([...twenty, 'after', 'with 4 alone']);
  await c.end();
});

test('a disk that fails while a snapshot is installed ends the process: that is no bad snapshot', async () => {
  const transfer = { resend_ms: 200, give_up_ms: 5000 };
  const c = new Cluster(7, { transfer, compaction: { every_entries: 10, keep_entries: 2 } });
  await c.found(1);
  await c.settled(1);
  for (const value of twenty) await c.propose(1, value);
  const learner = await c.found(2, configurationOf([]));
  let tries = 0;
  learner.machine.restore = () => {
    tries += 1;
    return Promise.reject(diskError('EIO', 'fdatasync'));
  };
  await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
  await c.until(() => learner.node.fatal_reason !== null, 60_000, 'the learner to end');
  assert.match(learner.node.fatal_reason ?? '', /a snapshot could not be installed: EIO/);
  await c.clock.run(30_000);
  assert.equal(tries, 1);
  for (const { replica } of c.members.values()) await c.wait(replica.close());
});

test('a disk that is full: the leader compacts, then ends; the others go on with all that was acknowledged', async () => {
  const c = await Cluster.of(3, 1, { compaction: { every_entries: 1000, keep_entries: 500 } });
  await c.propose(1, 'before');
  const dead = c.kill(1);
  c.store = { segment_bytes: 9000, reserve_bytes: 16_384 };
  const leader = await c.restart(dead);
  await c.settled();
  if (c.leaders()[0]?.id !== 1) await c.wait(c.leaders()[0]!.replica.transferLeadership(1));
  await c.settled(1);
  const used = () => leader.disk.used_bytes;
  leader.disk.faults.capacity_bytes = used() + 4096;
  const acknowledged = ['before'];
  for (let i = 0; leader.node.fatal_reason === null; i++) {
    assert.ok(i < 2000, 'it never fills up');
    const value = `${i} ${'x'.repeat(200)}`;
    await c.wait(c.replica(1).propose(bytes(value))).then(
      () => acknowledged.push(value),
      (error: { outcome?: string }) => assert.equal(error.outcome, 'unknown'),
    );
    // Somebody else's files take the rest, once the reserve was given up.
    if (leader.disk.size('reserve') < 0)
      leader.disk.faults.capacity_bytes = Math.min(leader.disk.faults.capacity_bytes, used() + 600);
  }
  assert.ok(leader.node.lines.some((line) => line.includes('warn')) || acknowledged.length > 1);
  assert.match(leader.node.fatal_reason ?? '', /ENOSPC/);
  const gone = c.kill(1);
  await c.settled();
  const others = [...c.members.values()];
  await c.until(
    () => others.every((m) => acknowledged.every((v) => m.machine.values.includes(v))),
    20_000,
    'all of it',
  );
  gone.disk.faults = {};
  await c.restart(gone);
  await c.until(
    () => acknowledged.every((v) => c.member(1).machine.values.includes(v)),
    20_000,
    'it is back',
  );
  assert.deepEqual(faultyOf(c, 1), [], 'a full disk is no damage');
  for (const { replica } of c.members.values()) await c.wait(replica.close());
});
