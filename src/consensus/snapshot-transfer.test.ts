/**
 * Snapshots between replicas whose links and disks fail: what is sent twice, what is kept, and what a crash at any call
 * of the disk leaves.
 */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { diskError } from './memory-disk.ts';
import { SnapshotSender, transfer_limits } from './snapshot-transfer.ts';
import { bytes, Cluster, type Member } from './test-replicas.ts';
import { VirtualClock, VirtualNode } from './virtual-env.ts';
import { decodeFrame, encodeFrame, type TransferFrame } from './wire.ts';

const window = 2;
const transfer = { chunk_bytes: 256, window, resend_ms: 200, give_up_ms: 1000, max_pause_ms: 1000 };
const compaction = { every_entries: 20, keep_entries: 2 };
const values = Array.from({ length: 400 }, (_, i) => `value ${i}`);

type Offer = Extract<TransferFrame, { type: 'snapshot-offer' }>;
type Chunk = Extract<TransferFrame, { type: 'snapshot-chunk' }>;

/** A leader with a state of some 4 KiB that its log no longer reaches back to, and what goes to member 2 of snapshots. */
async function grown(limits = {}): Promise<{ c: Cluster; offers: Offer[]; chunks: Chunk[] }> {
  const c = new Cluster(11, { transfer: { ...transfer, ...limits }, compaction });
  await c.found(1);
  await c.settled(1);
  for (let i = 0; i < values.length; i += 40)
    await c.wait(Promise.all(values.slice(i, i + 40).map((v) => c.replica(1).propose(bytes(v)))));
  const [offers, chunks]: [Offer[], Chunk[]] = [[], []];
  c.network.filter = (_from, to, raw) => {
    const frame = to === 2 ? decodeFrame(raw) : null;
    if (frame?.type === 'snapshot-offer') offers.push(frame);
    if (frame?.type === 'snapshot-chunk') chunks.push(frame);
    return true;
  };
  return { c, offers, chunks };
}

async function joined(c: Cluster): Promise<Member> {
  const learner = await c.found(2, configurationOf([]));
  await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
  return learner;
}

/** Cuts member 2 off in the midst of a transfer, until the leader has given it up. */
async function breakOff(c: Cluster, chunks: readonly Chunk[]): Promise<void> {
  await c.until(() => chunks.length >= 10, 10_000, 'the transfer does not begin');
  c.network.isolate(2);
  await c.until(() => says(c.member(1), 'no progress'), 10_000, 'the first attempt does not end');
}

const size = (chunks: readonly Chunk[]) => chunks.reduce((sum, { data }) => sum + data.length, 0);
const says = (member: Member, what: string) => member.node.lines.some((line) => line.includes(what));
const transfers = (offers: readonly Offer[]) => new Set(offers.map((offer) => offer.transfer)).size;
const isSpool = (name: string) => name.startsWith('incoming-');
const spoolOf = async (member: Member) => (await member.disk.list()).filter(isSpool);
/** What nobody goes on with takes no room. */
const emptied = (c: Cluster, member: Member) =>
  c.until(
    () => [1, 2, 3, 4, 5].every((n) => member.disk.size(`incoming-${n}`) < 0),
    10_000,
    'files are left',
  );
const caughtUp = (c: Cluster, member: Member) =>
  c.until(() => member.machine.values.length >= values.length, 60_000, 'the learner did not catch up');

test('a broken connection: the next attempt goes on at what the receiver has', async () => {
  const { c, offers, chunks } = await grown();
  const learner = await joined(c);
  await breakOff(c, chunks);
  const before = chunks.length;
  assert.notDeepEqual(await spoolOf(learner), []);
  // Neither what is applied meanwhile nor a compaction changes what is sent.
  const later = Array.from({ length: 30 }, (_, i) => `later ${i}`);
  for (const value of later) await c.propose(1, value);
  c.network.heal();
  await caughtUp(c, learner);
  const state_bytes = JSON.stringify(values).length;
  const all = size(chunks);
  const again = chunks.slice(before);
  assert.equal(transfers(offers), 1, 'both attempts are for one snapshot');
  assert.ok(all >= state_bytes && all <= state_bytes + window * transfer.chunk_bytes, `${all} bytes sent`);
  assert.ok(
    size(again) < 0.7 * state_bytes,
    `the second attempt sent ${size(again)} of ${state_bytes} bytes`,
  );
  assert.equal(learner.machine.restores, 1);
  await c.same([...values, ...later]);
  await emptied(c, learner);
  await c.end();
});

test('after longer than both ends keep it, and for another snapshot, it begins anew', async () => {
  const { c, offers, chunks } = await grown({ keep_ms: 400 });
  const learner = await joined(c);
  await breakOff(c, chunks);
  await c.propose(1, 'later');
  await emptied(c, learner);
  const before = chunks.length;
  c.network.heal();
  await caughtUp(c, learner);
  assert.equal(transfers(offers), 2);
  assert.equal(chunks[before]?.sequence, 0);
  assert.equal(learner.machine.restores, 1);
  await c.same([...values, 'later']);
  await c.end();
});

test('a receiver that started anew is sent the same snapshot from its beginning', async () => {
  const { c, offers, chunks } = await grown();
  await joined(c);
  await breakOff(c, chunks);
  const dead = c.kill(2);
  const disk = dead.disk.afterCrash(() => 1);
  assert.notDeepEqual((await disk.list()).filter(isSpool), []);
  const before = chunks.length;
  const learner = await c.open(2, disk, dead.machine.stable);
  await emptied(c, learner);
  c.network.heal();
  await caughtUp(c, learner);
  assert.equal(transfers(offers), 1);
  assert.equal(chunks[before]?.sequence, 0);
  await emptied(c, learner);
  await c.same(values);
  await c.end();
});

test('a full disk ends the transfer and not the member', async () => {
  const { c } = await grown();
  let full = true;
  const learner = await c.found(2, configurationOf([]));
  learner.disk.faults = {
    before: (operation, name) => {
      if (full && operation === 'write' && name === 'incoming-3') throw diskError('ENOSPC', name);
    },
  };
  await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
  await c.until(() => says(learner, 'the disk is full'), 20_000, 'the disk is not full');
  await c.until(() => says(c.member(1), 'could not use it'), 20_000, 'the leader is not told');
  assert.equal(learner.machine.restores, 0);
  full = false;
  await caughtUp(c, learner);
  await c.same(values);
  await c.end();
});

test('any other error of the disk is fatal', async () => {
  const { c } = await grown();
  const learner = await c.found(2, configurationOf([]));
  learner.disk.faults = {
    before: (operation, name) => {
      if (operation === 'write' && name === 'incoming-2') throw diskError('EIO', name);
    },
  };
  await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
  await c.until(() => learner.node.fatal_reason !== null, 20_000, 'it goes on');
  assert.match(learner.node.fatal_reason ?? '', /EIO/);
  assert.equal(learner.machine.restores, 0);
});

test('what the disk gives back altered is refused, and the old state stays', async () => {
  const { c, chunks } = await grown();
  const learner = await joined(c);
  await c.until(() => chunks.length >= 10, 10_000, 'the transfer does not begin');
  learner.disk.flipBit('incoming-1', 100, 2);
  await c.until(() => says(learner, 'is not what was written'), 20_000, 'the damage is not found');
  assert.equal(learner.machine.restores, 0);
  await caughtUp(c, learner);
  await c.same(values);
  await c.end();
});

test('a snapshot that stands for something else than the leader said is refused', async () => {
  const { c } = await grown();
  let altered = 0;
  c.network.filter = (_from, to, raw) => {
    const frame = to === 2 ? decodeFrame(raw) : null;
    if (frame?.type !== 'snapshot-offer' || altered > 0) return true;
    const configuration = { ...frame.meta.configuration, voters: [3] };
    const other = encodeFrame({ ...frame, meta: { ...frame.meta, configuration } });
    assert.equal(other.length, raw.length);
    raw.set(other);
    altered += 1;
    return true;
  };
  const learner = await joined(c);
  await c.until(() => says(learner, 'its hash is wrong'), 20_000, 'it is not refused');
  assert.equal(learner.machine.restores, 0);
  await caughtUp(c, learner);
  await c.until(() => learner.replica.status().configuration.voters.join() === '1', 10_000, 'other voters');
  await c.end();
});

test('a crash at any call of the disk leaves the old state or the new one, and nothing of the transfer', async () => {
  let crashes = 0;
  for (const keep of [0, 1]) {
    for (let at = 1; ; at++) {
      const { c } = await grown({ chunk_bytes: 1024 });
      const learner = await c.found(2, configurationOf([]));
      const begun = learner.disk.count;
      let died = false;
      learner.disk.faults = {
        before: (_operation, _name, count) => {
          if (count - begun !== at) return;
          died = true;
          learner.disk.powerOff();
        },
      };
      await c.wait(c.replica(1).changeMembers([{ type: 'add-learner', id: 2 }]));
      await c.until(() => died || learner.machine.values.length >= values.length, 20_000, `crash ${at}`);
      if (!died) {
        learner.disk.faults = {};
        await c.end();
        break;
      }
      crashes += 1;
      const dead = c.kill(2);
      const { image } = dead.machine.stable;
      assert.ok(
        image.values.length === 0 || image.values.join() === values.join(),
        `crash ${at}: a part of it`,
      );
      const again = await c.open(
        2,
        dead.disk.afterCrash(() => keep),
        dead.machine.stable,
      );
      assert.equal(again.node.fatal_reason, null, `crash ${at}`);
      await caughtUp(c, again);
      await c.same(values);
      assert.equal(again.node.fatal_reason, null, `crash ${at}`);
      await emptied(c, again);
      await c.wait(again.replica.close());
    }
  }
  assert.ok(crashes > 60, `${crashes} crashes`);
});

test('a snapshot is kept for the next attempt, until it is of no use or too old', async () => {
  const clock = new VirtualClock(1);
  let made = 0;
  const sender = new SnapshotSender({
    id: 1,
    env: new VirtualNode('m1', clock),
    limits: transfer_limits,
    snapshot: () => {
      made += 1;
      const meta = { index: 100 * made, term: 1, configuration: configurationOf([1]) };
      return { meta, chunks: Readable.from([]) };
    },
    send: () => undefined,
    finished: () => {
      over += 1;
    },
  });
  let over = 0;
  /** An attempt that nobody answers, until the pause after it is over. */
  const attempt = async () => {
    const before = over;
    sender.request(2, 1);
    assert.ok(await clock.until(() => over > before, 100_000));
  };
  await attempt();
  await attempt();
  assert.deepEqual([made, sender.lowest_index], [1, 100], 'it is kept, and the log behind it too');
  sender.compacted(100);
  await attempt();
  assert.equal(made, 1, 'the log begins right behind it');
  sender.compacted(101);
  assert.equal(sender.lowest_index, Number.POSITIVE_INFINITY);
  await attempt();
  assert.deepEqual([made, sender.lowest_index], [2, 200], 'the log begins later');
  await clock.run(transfer_limits.keep_ms + 1);
  sender.expire();
  assert.equal(sender.lowest_index, Number.POSITIVE_INFINITY, 'too old');
  await attempt();
  sender.abort();
  assert.equal(sender.lowest_index, Number.POSITIVE_INFINITY, 'the lead is lost');
});
