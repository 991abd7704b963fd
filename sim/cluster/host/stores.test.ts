/** What is being written when its agent or the power goes is there or not, whole; a device that fails says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageMeta } from '../../../src/node/image.ts';
import { SimImage, SimRecords } from './stores.ts';

const never = () => new Promise<void>(() => undefined);
const now = async () => undefined;
const meta = (index: number): ImageMeta => ({
  version: 1,
  index,
  term: 1,
  configuration: { voters: [1], voters_outgoing: [], learners: [], learners_next: [], auto_leave: false },
  hash: '',
});

test('of records under way some of the first reach the disk', async () => {
  for (const landing of [0, 1, 2]) {
    const records = new SimRecords('/x');
    const opened = records.open(never);
    void opened.write('a', 1);
    void opened.write('b', 2);
    let asked = 0;
    records.cut(() => ++asked <= landing);
    assert.deepEqual(await records.open(now).list(), ['a', 'b'].slice(0, landing));
    records.cut(() => true);
    assert.equal(records.count, landing, 'the rest is gone for good');
  }
});

test('an image under way is the old one or the new one, and none of it lands on a device that fails', async () => {
  const image = new SimImage();
  await image.open(now).write(meta(1), []);
  void image.open(never).write(meta(2), []);
  image.cut(() => false);
  assert.equal(image.open(now).initial?.meta.index, 1);
  void image.open(never).write(meta(3), []);
  image.cut(() => true);
  assert.equal(image.open(now).initial?.meta.index, 3);
  const opened = image.open(now);
  void image.open(never).write(meta(4), []);
  image.fault = 'EIO';
  image.cut(() => true);
  await assert.rejects(opened.write(meta(5), []), { code: 'EIO' });
  assert.throws(() => image.open(now), /cannot be opened/);
  image.fault = null;
  await assert.rejects(opened.write(meta(6), []), { code: 'EIO' }, 'until it is opened anew');
  assert.equal(image.open(now).initial?.meta.index, 3);
  await image.open(now).write(meta(7), []);
});

test('records on a full disk can be read and removed, on a broken one neither', async () => {
  const records = new SimRecords('/x');
  const opened = records.open(now);
  await opened.write('a', 1);
  records.fault = 'ENOSPC';
  await assert.rejects(opened.write('b', 2), { code: 'ENOSPC' });
  assert.equal(await opened.read('a'), 1);
  await opened.remove('a');
  records.fault = 'EIO';
  await assert.rejects(opened.read('a'), { code: 'EIO' });
  await assert.rejects(opened.remove('a'), { code: 'EIO' });
});
