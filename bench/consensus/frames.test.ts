/** The framing between a client and a replica of the benchmark. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { decodePut, encodeFrame, encodePut, FrameSplitter, op_codes } from './frames.ts';

const value = Buffer.from('value of a key');
const stream = Buffer.concat([
  encodeFrame(1, op_codes.put, encodePut('key000001', value)),
  encodeFrame(2, op_codes.leads),
  encodeFrame(0xffff_ffff, op_codes.get, Buffer.from('key'), Buffer.from('000001')),
]);

test('frames come out whole and in order however the stream is cut', () => {
  const whole = new FrameSplitter().push(stream);
  assert.deepEqual(
    whole.map(({ id, code, body }) => [id, code, body.length]),
    [
      [1, op_codes.put, 10 + value.length],
      [2, op_codes.leads, 0],
      [0xffff_ffff, op_codes.get, 9],
    ],
  );
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second++) {
      const splitter = new FrameSplitter();
      const pieces = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)];
      const frames = pieces.flatMap((piece) => splitter.push(piece));
      assert.deepEqual(frames, whole, `cut at ${first} and ${second}`);
    }
  }
});

test('a put is read as it was written', () => {
  const { key, value: read } = decodePut(new Uint8Array(encodePut('key000001', value)));
  assert.equal(key, 'key000001');
  assert.deepEqual(Buffer.from(read), value);
});
