import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootstrapLog, configurationOf, openLogStore } from '../../src/consensus/index.ts';
import { records_offset } from '../../src/consensus/segment.ts';
import { Knobs } from '../kit/knobs.ts';
import { SimDisk } from './disk.ts';

const options = { segment_bytes: 9000, reserve_bytes: 0 };
const entry = (index: number) =>
  ({ index, term: 1, kind: 'command', data: new Uint8Array(600).fill(7) }) as const;

/** A log of a few batches on a disk of its own, closed. */
async function written(astray: SimDisk['astray']) {
  const disk = new SimDisk();
  const world = disk.attach(() => null);
  await bootstrapLog(world, configurationOf([1]));
  const log = await openLogStore(world, options);
  for (let index = 1; index <= 6; index++) {
    if (index === 5) disk.astray = astray;
    await log.append({ term: 1, vote: 1, commit: 0 }, [entry(index)]);
    disk.astray = null;
  }
  await log.close();
  return { disk, world };
}

test('rot changes one place of the log, and a start that loses anything by it says so', async () => {
  let found = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const { disk, world } = await written(null);
    const before = new Map<string, Uint8Array>();
    for (const name of await world.list()) before.set(name, await world.read(name));
    assert.notEqual(disk.rot(new Knobs(seed)), null);
    const changed: string[] = [];
    for (const [name, bytes] of before)
      if (Buffer.compare(bytes, await world.read(name)) !== 0) changed.push(name);
    assert.equal(changed.length, 1, `seed ${seed}: ${changed.join()}`);
    const { initial } = await openLogStore(world, options);
    if (initial.fault !== undefined) found++;
    else assert.equal(initial.entries.length, 6, `seed ${seed}`);
  }
  assert.ok(found > 10, `${found} found`);
});

test('a write that goes astray leaves its own place as it was, and is found', async () => {
  const places: number[] = [];
  const { world } = await written((_name, offset) => {
    // Records only: term and vote are stored twice.
    if (places.length > 0 || offset < records_offset) return null;
    places.push(offset);
    return offset + 1024;
  });
  assert.equal(places.length, 1);
  const { initial } = await openLogStore(world, options);
  assert.notEqual(initial.fault, undefined);
});
