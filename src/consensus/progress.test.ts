/** Flow control towards one member. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

const window = { max_inflight: 3, max_inflight_bytes: 100 };

test('probe: one append at a time, until an answer or a heartbeat', () => {
  const progress = new Progress(2, 6, 0, window);
  assert.equal(progress.paused, false);
  progress.sent(7, 10, 0);
  assert.equal(progress.paused, true);
  assert.equal(progress.next, 6, 'a probe is not optimistic');
  progress.resume();
  assert.equal(progress.paused, false);
  assert.equal(progress.rejected(5, 2), true);
  assert.equal(progress.next, 3);
  assert.equal(progress.rejected(5, 1), false, 'an answer to the probe before');
  assert.equal(progress.acknowledged(2), true);
  assert.equal(progress.state, 'replicate');
});

test('replicate: in flight by count and by bytes; an acknowledgement frees all before it', () => {
  const progress = new Progress(2, 1, 0, window);
  progress.acknowledged(0);
  for (const last of [1, 2, 3]) progress.sent(last, 1, 0);
  assert.equal(progress.paused, true);
  progress.acknowledged(2);
  assert.equal(progress.paused, false);
  progress.sent(4, 99, 0);
  assert.equal(progress.paused, true, '100 bytes under way');
  progress.acknowledged(4);
  assert.equal(progress.paused, false);
  assert.equal(progress.match, 4);
});

test('replicate: a rejection means that one was lost; those out of date mean nothing', () => {
  const progress = new Progress(2, 1, 0, window);
  progress.acknowledged(3);
  progress.sent(6, 1, 0);
  assert.equal(progress.rejected(3, 1), false);
  assert.equal(progress.rejected(6, 4), true);
  assert.deepEqual([progress.state, progress.next, progress.match], ['probe', 4, 3]);
  assert.equal(progress.rejected(3, 0), false, 'it lost what it acknowledged: no storm of probes');
});

test('snapshot: paused until failed, acknowledged, or taken and then silent', () => {
  const progress = new Progress(2, 5, 0, window);
  progress.awaitSnapshot(20);
  progress.resume();
  assert.equal(progress.paused, true);
  assert.equal(progress.snapshotSent(false, 0), true);
  assert.deepEqual([progress.state, progress.next, progress.paused], ['probe', 1, true]);
  assert.equal(progress.snapshotSent(true, 0), false);
  progress.awaitSnapshot(20);
  progress.tick(1_000, 10);
  assert.equal(progress.state, 'snapshot', 'nobody said it was taken');
  progress.snapshotSent(true, 1_000);
  progress.tick(1_010, 10);
  assert.equal(progress.state, 'snapshot');
  progress.tick(1_011, 10);
  assert.deepEqual([progress.state, progress.next], ['probe', 21]);
});

test('a closed connection ends optimism', () => {
  const progress = new Progress(2, 1, 0, window);
  progress.acknowledged(3);
  progress.sent(9, 1, 0);
  progress.interrupted();
  assert.deepEqual([progress.state, progress.next, progress.paused], ['probe', 4, false]);
});
