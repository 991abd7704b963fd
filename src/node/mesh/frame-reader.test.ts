import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameError, FrameReader, joinFrames } from './frame-reader.ts';

describe('frame reader', () => {
  it('gives back the frames that were joined, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 }),
        (frames, cuts) => {
          const got: Uint8Array[] = [];
          const reader = new FrameReader(40, (frame) => got.push(frame));
          const bytes = joinFrames(frames);
          for (let at = 0, n = 0; at < bytes.byteLength; n++) {
            const end = at + cuts[n % cuts.length]!;
            reader.push(bytes.subarray(at, end));
            at = end;
          }
          assert.deepEqual(got, frames);
        },
      ),
    );
  });

  it('refuses a frame over the limit before reading it, and nothing comes after', () => {
    const got: Uint8Array[] = [];
    const reader = new FrameReader(10, (frame) => got.push(frame));
    const bytes = joinFrames([new Uint8Array(10), new Uint8Array(11)]).subarray(0, 18);
    assert.throws(() => reader.push(bytes), FrameError);
    reader.push(joinFrames([new Uint8Array(1)]));
    assert.deepEqual(
      got.map((frame) => frame.byteLength),
      [10],
    );
    const huge = new FrameReader(10, () => assert.fail('no frame'));
    assert.throws(
      () => huge.push(Uint8Array.of(255, 255, 255, 255)),
      /4294967295 bytes, expected at most 10/,
    );
  });

  it('hands out frames that own their memory', () => {
    const chunk = joinFrames([Uint8Array.of(1, 2, 3)]);
    let got: Uint8Array = new Uint8Array();
    new FrameReader(10, (frame) => {
      got = new Uint8Array(frame.buffer);
    }).push(chunk);
    chunk.fill(9);
    assert.deepEqual([...got], [1, 2, 3]);
  });

  it('so do those that come in a Buffer, whose slices share memory', () => {
    const chunk = Buffer.from(joinFrames([Uint8Array.of(1, 2, 3)]));
    const got: Uint8Array[] = [];
    new FrameReader(10, (frame) => got.push(frame)).push(chunk);
    chunk.fill(9);
    assert.deepEqual(got, [Uint8Array.of(1, 2, 3)]);
  });

  it('stops in the middle of a chunk when told to', () => {
    let count = 0;
    const reader = new FrameReader(10, () => {
      count++;
      reader.stop();
    });
    reader.push(joinFrames([new Uint8Array(1), new Uint8Array(1)]));
    assert.equal(count, 1);
  });
});
