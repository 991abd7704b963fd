/** The room that is made behind the last batch of a segment: where it is, that it goes, and that nothing rests on it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { bootstrapLog, openLogStore } from './log-store.ts';
import { MemoryDisk } from './memory-disk.ts';
import { records_offset } from './segment.ts';
import type { Entry, HardState } from './types.ts';

const state: HardState = { term: 1, vote: 1, commit: 0 };
const room_bytes = 4096;
const first = 'segment-0000000001';

function entry(index: number, size = 200): Entry {
  return { index, term: 1, kind: 'command', data: new Uint8Array(size).fill(index) };
}

async function fresh(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await bootstrapLog(disk, configurationOf([1]));
  return disk;
}

test('most batches do not change the size of the file', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, { reserve_bytes: 0, room_bytes });
  const sizes = new Set<number>();
  for (let index = 1; index <= 60; index++) {
    await store.append(state, [entry(index)]);
    sizes.add(disk.size(first));
  }
  assert.ok(sizes.size <= 7, `${sizes.size} sizes for ${60 * (56 + 200 + 76)} bytes`);
  await store.close();
  const again = await openLogStore(disk, { reserve_bytes: 0, room_bytes });
  assert.deepEqual(again.initial.entries.at(-1), entry(60));
  await again.append(state, [entry(61)]);
  await again.close();
  assert.equal((await openLogStore(disk, { reserve_bytes: 0 })).initial.entries.length, 61);
});

test('it is no torn write: nothing is said of it at the next start, and it is not cut off', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, { reserve_bytes: 0, room_bytes });
  await store.append(state, [entry(1)]);
  await store.close();
  const size = disk.size(first);
  const warnings: string[] = [];
  await openLogStore(disk, { reserve_bytes: 0, room_bytes, warn: (message) => warnings.push(message) });
  assert.deepEqual([warnings, disk.size(first)], [[], size]);
});

test('a segment that is full gives back what it did not use', async () => {
  const disk = await fresh();
  const store = await openLogStore(disk, { reserve_bytes: 0, room_bytes, segment_bytes: records_offset + 1 });
  await store.append(state, [entry(1)]);
  assert.ok(disk.size(first) > records_offset + 56 + 200 + 76);
  await store.append(state, [entry(2)]);
  assert.equal(disk.size(first), records_offset + 56 + 200 + 76);
  assert.equal((await openLogStore(disk, { reserve_bytes: 0 })).initial.entries.length, 2);
});

test('where there is none left on the disk, the batch is written all the same', async () => {
  const disk = await fresh();
  disk.faults = { capacity_bytes: disk.used_bytes + 3 * (56 + 200 + 76) + 20 };
  const store = await openLogStore(disk, { reserve_bytes: 0, room_bytes });
  for (let index = 1; index <= 3; index++) await store.append(state, [entry(index)]);
  assert.equal(store.underPressure(), false);
  await assert.rejects(store.append(state, [entry(4)]), /ENOSPC/);
  disk.faults = {};
  assert.equal((await openLogStore(disk.afterKill(), { reserve_bytes: 0 })).initial.entries.length, 3);
});

test('power goes at any call: what was acknowledged is there, and there is no fault', async () => {
  const run = async (disk: MemoryDisk, acknowledged: number[]): Promise<void> => {
    const options = { reserve_bytes: 0, room_bytes, segment_bytes: 12_000 };
    const store = await openLogStore(disk, options);
    for (let index = 1; index <= 14; index++) {
      await store.append(state, [entry(index, 400)]);
      acknowledged.push(index);
    }
  };
  const calm = await fresh();
  await run(calm, []);
  for (let at = (await fresh()).count + 1; at <= calm.count; at++) {
    for (const keep of [0, 0.5, 1]) {
      const disk = await fresh();
      disk.faults = { before: (_operation, _name, count) => (count === at ? disk.powerOff() : undefined) };
      const acknowledged: number[] = [];
      // The very last call only notes what was acknowledged before.
      await run(disk, acknowledged).catch((error: unknown) => assert.match(String(error), /power is off/));
      const { initial } = await openLogStore(
        disk.afterCrash(() => keep),
        { reserve_bytes: 0 },
      );
      assert.equal(initial.fault, undefined, `call ${at}, ${keep} kept`);
      const found = initial.entries.map((of) => of.index);
      assert.deepEqual(found.slice(0, acknowledged.length), acknowledged, `call ${at}, ${keep} kept`);
    }
  }
});
