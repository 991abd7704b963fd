import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diskError, MemoryDisk } from './memory-disk.ts';
import { diskSpool, memorySpool } from './snapshot-spool.ts';
import type { SnapshotSpool } from './types.ts';

const chunks = Array.from({ length: 20 }, (_, i) => new Uint8Array(10 + i).fill(i));

async function readAll(spool: SnapshotSpool): Promise<Buffer> {
  const read: Uint8Array[] = [];
  for await (const chunk of spool.read()) read.push(chunk);
  return Buffer.concat(read);
}

for (const [name, make] of [
  ['on a disk', () => diskSpool(new MemoryDisk(), 64)],
  ['in memory', () => memorySpool()],
] as const) {
  test(`${name}: what is read is what was appended, until it is emptied`, async () => {
    const spool = make();
    await spool.clear();
    assert.equal((await readAll(spool)).length, 0);
    for (const chunk of chunks) await spool.append(chunk);
    assert.deepEqual(await readAll(spool), Buffer.concat(chunks));
    assert.deepEqual(await readAll(spool), Buffer.concat(chunks), 'a second time');
    await spool.clear();
    assert.equal((await readAll(spool)).length, 0);
    await spool.append(chunks[3]!);
    assert.deepEqual(await readAll(spool), Buffer.from(chunks[3]!));
  });
}

test('several files, none of them long; what a former process left is removed, and nothing else', async () => {
  const disk = new MemoryDisk();
  for (const name of ['segment-1', 'snapshot-a', 'incoming', 'incoming-1.old']) await disk.open(name);
  const others = await disk.list();
  const former = diskSpool(disk, 64);
  for (const chunk of chunks) await former.append(chunk);
  const parts = (await disk.list()).filter((name) => /^incoming-\d+$/.test(name));
  assert.ok(parts.length > 3);
  for (const name of parts) assert.ok(disk.size(name) < 64 + 30, `${name} has ${disk.size(name)} bytes`);
  const spool = diskSpool(disk, 64);
  await spool.clear();
  assert.deepEqual(await disk.list(), others);
  assert.equal((await readAll(spool)).length, 0);
});

test('bytes that the disk gives back other than they were written are never given out', async () => {
  const disk = new MemoryDisk();
  const spool = diskSpool(disk, 64);
  for (const chunk of chunks) await spool.append(chunk);
  const all = Buffer.concat(chunks);
  disk.flipBit('incoming-2', 17, 3);
  const read: Uint8Array[] = [];
  await assert.rejects(async () => {
    for await (const chunk of spool.read()) read.push(chunk);
  }, /incoming-2 is not what was written/);
  const given = Buffer.concat(read);
  assert.deepEqual(given, all.subarray(0, given.length));
});

test('less than a file takes no room on the disk, and a full one does not matter', async () => {
  const disk = new MemoryDisk({ capacity_bytes: 0 });
  const spool = diskSpool(disk, 1_000);
  for (const chunk of chunks) await spool.append(chunk);
  assert.deepEqual(await disk.list(), []);
  assert.deepEqual(await readAll(spool), Buffer.concat(chunks));
});

test('a full disk says so, and emptying makes room', async () => {
  const disk = new MemoryDisk({ capacity_bytes: 100 });
  const spool = diskSpool(disk, 64);
  await assert.rejects(
    async () => {
      for (const chunk of chunks) await spool.append(chunk);
    },
    { code: 'ENOSPC' },
  );
  await spool.clear();
  assert.equal(disk.used_bytes, 0);
  disk.faults = {
    before: (operation) => {
      if (operation === 'write') throw diskError('EIO', operation);
    },
  };
  await assert.rejects(spool.append(Buffer.concat(chunks)), { code: 'EIO' });
});
