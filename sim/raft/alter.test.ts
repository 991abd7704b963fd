import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { decodeFrame, encodeFrame, type Frame } from '../../src/consensus/wire.ts';
import { Knobs } from '../kit/knobs.ts';
import { altered, isRefused } from './alter.ts';

const envelope = { from: 1, to: 2, term: 3 } as const;
const frames: readonly Frame[] = [
  { type: 'heartbeat', ...envelope, commit: 7, round: 8 },
  { type: 'vote-reply', ...envelope, pre: false, granted: true },
  { type: 'append-reply', ...envelope, ok: true, index: 9, hint_index: 0, hint_term: 0 },
];
const data = new Uint8Array([1, 2, 3, 4]);
const hash = new Uint8Array(createHash('sha256').update(data).digest());

test('an altered frame is refused, the frame itself is not', () => {
  const draws = new Knobs(1);
  for (const frame of frames) {
    const bytes = encodeFrame(frame);
    assert.equal(isRefused(bytes), false);
    for (let nth = 0; nth < 300; nth++) {
      const { bytes: copy, what } = altered(bytes, draws);
      assert.equal(what, 'frame');
      assert.ok(isRefused(copy), Buffer.from(copy).toString('hex'));
    }
    assert.deepEqual(decodeFrame(bytes), frame, 'the original stays as it was');
  }
});

test('an altered chunk differs from what the hash is of, and nothing else of it does', () => {
  const draws = new Knobs(2);
  const chunk = { type: 'snapshot-chunk', ...envelope, transfer: 5, sequence: 0 } as const;
  let chunks = 0;
  for (let nth = 0; nth < 300; nth++) {
    const { bytes, what } = altered(encodeFrame({ ...chunk, data, hash }), draws);
    if (what === 'frame') continue;
    chunks++;
    const { data: seen, ...rest } = decodeFrame(bytes) as Extract<Frame, { type: 'snapshot-chunk' }>;
    assert.deepEqual(rest, { ...chunk, hash });
    assert.notDeepEqual(createHash('sha256').update(seen).digest(), Buffer.from(hash));
  }
  assert.ok(chunks > 100, `${chunks}`);
});
