/** The faults of a simulated disk: one bit and no more, no room and no errors beyond what was asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimDisk } from './sim-disk.ts';

const no_wait = () => undefined;

async function written(disk: SimDisk, name: string, text: string): Promise<void> {
  const file = await disk.open(no_wait).open(name);
  await file.write(0, Buffer.from(text));
  await file.sync();
  await file.close();
}

const bits = (bytes: Uint8Array) =>
  [...bytes].reduce((sum, byte) => sum + [...byte.toString(2)].filter((digit) => digit === '1').length, 0);

test('rot turns over one bit of what was written, wherever it is told to', async () => {
  for (const at of [0, 0.3, 0.5, 0.77, 0.999]) {
    const disk = new SimDisk();
    assert.equal(disk.rot(at), null);
    const before = new Map([
      ['a', 'something'],
      ['b', 'x'.repeat(9_000)],
    ]);
    for (const [name, text] of before) await written(disk, name, text);
    const hit = disk.rot(at);
    for (const [name, text] of before) {
      const now = await disk.open(no_wait).read(name);
      const changed = now.map((byte, i) => byte ^ text.charCodeAt(i));
      assert.equal(now.length, text.length);
      assert.equal(bits(changed), name === hit ? 1 : 0, `${name}, rot at ${at}`);
    }
  }
});

test('rot outlives a power cut', async () => {
  const disk = new SimDisk();
  await written(disk, 'a', 'something');
  await disk.open(no_wait).syncDirectory();
  disk.rot(0.5);
  disk.powerCut(() => 1);
  assert.notEqual(Buffer.from(await disk.open(no_wait).read('a')).toString(), 'something');
});

test('a disk without room takes what does not grow, and all again once there is room', async () => {
  const disk = new SimDisk();
  await written(disk, 'a', 'something');
  disk.room_bytes = disk.used_bytes + 2;
  const file = await disk.open(no_wait).open('a');
  await file.write(0, Buffer.from('SOMETHING'));
  await file.write(9, Buffer.from('++'));
  await assert.rejects(file.write(11, Buffer.from('+')), { code: 'ENOSPC' });
  assert.equal(disk.used_bytes, 11);
  disk.room_bytes = null;
  await file.write(11, Buffer.from('+'));
  assert.equal(Buffer.from(await disk.open(no_wait).read('a')).toString(), 'SOMETHING+++');
});

test('a broken device fails at everything, and changes nothing', async () => {
  const disk = new SimDisk();
  await written(disk, 'a', 'something');
  const opened = disk.open(no_wait);
  const file = await opened.open('a');
  disk.broken = true;
  await assert.rejects(opened.read('a'), { code: 'EIO' });
  await assert.rejects(file.write(0, Buffer.from('x')), { code: 'EIO' });
  await assert.rejects(file.sync(), { code: 'EIO' });
  disk.broken = false;
  assert.equal(Buffer.from(await opened.read('a')).toString(), 'something');
});
