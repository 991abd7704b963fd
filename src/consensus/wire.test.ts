import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFrame, encodeFrame, type Frame, packArray, WireError, wire_limits } from './wire.ts';

const envelope = { from: 1, to: 2, term: 7 };
const configuration = {
  voters: [1, 2],
  voters_outgoing: [1],
  learners: [3],
  learners_next: [],
  auto_leave: true,
};
const meta = { index: 9, term: 6, configuration };
const frames: readonly Frame[] = [
  { ...envelope, type: 'vote', pre: true, last_index: 4, last_term: 3, transfer: false },
  { ...envelope, type: 'vote-reply', pre: false, granted: true },
  {
    ...envelope,
    type: 'append',
    prev_index: 2 ** 40,
    prev_term: 5,
    commit: 3,
    entries: [
      { index: 2 ** 40 + 1, term: 6, kind: 'empty', data: new Uint8Array(0) },
      { index: 2 ** 40 + 2, term: 7, kind: 'command', data: new Uint8Array([1, 2, 3]) },
      { index: 2 ** 40 + 3, term: 7, kind: 'config', data: new Uint8Array([4]) },
    ],
  },
  {
    ...envelope,
    type: 'append',
    prev_index: 4,
    prev_term: 5,
    commit: 5,
    entries: [{ index: 5, term: 6, kind: 'command', data: new Uint8Array([1]) }],
    relayed: true,
  },
  { ...envelope, type: 'append-reply', ok: false, index: 4, hint_index: 3, hint_term: 2 },
  { ...envelope, type: 'heartbeat', commit: 4, round: 12 },
  {
    ...envelope,
    type: 'heartbeat',
    commit: 4,
    round: 12,
    relay: {
      leader: 3,
      below: [
        { id: 300, below: [] },
        { id: 5, below: [{ id: 6, below: [] }] },
      ],
    },
  },
  { ...envelope, type: 'heartbeat', commit: 4, round: 12, relay: { leader: 3, below: [] } },
  { ...envelope, type: 'heartbeat-reply', round: 12 },
  { ...envelope, type: 'heartbeat-reply', round: 12, reports: [{ id: 300, match: 9, round: 11 }] },
  { ...envelope, type: 'snapshot', meta },
  { ...envelope, type: 'timeout-now' },
  { ...envelope, type: 'snapshot-offer', transfer: 5, meta },
  {
    ...envelope,
    type: 'snapshot-chunk',
    transfer: 5,
    sequence: 1,
    data: new Uint8Array(9),
    hash: new Uint8Array(32),
  },
  { ...envelope, type: 'snapshot-ack', transfer: 5, next: 2, state: 'busy' },
];

test('every frame comes back as it was', () => {
  for (const frame of frames) assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
});

test('what a member with damaged storage says carries the reason, cut to its limit', () => {
  for (const frame of frames) {
    if (['snapshot-offer', 'snapshot-chunk', 'snapshot-ack'].includes(frame.type)) continue;
    const said = { ...frame, faulty: 'r'.repeat(201) } as Frame;
    assert.deepEqual(decodeFrame(encodeFrame(said)), { ...frame, faulty: 'r'.repeat(200) });
  }
});

test('bad frames are refused by name', () => {
  const bad: readonly [readonly unknown[], RegExp][] = [
    [[2, 0, 1, 2, 7], /version 2, expected 1/],
    [[1, 99, 1, 2, 7], /unknown type/],
    [[1, 7, 0, 2, 7], /frame.from is 0, expected a member/],
    [[1, 7, 1, 2, -1], /frame.term is -1/],
    [[1, 7, 1, 2, 1.5], /frame.term is 1.5/],
    [[1, 7, 1, 2, 7, 1], /frame.faulty is 1, expected text/],
    [[1, 7, 1, 2, 7, 'x'.repeat(201)], /frame.faulty is string, expected text of at most 200/],
    [[1, 7, 1, 2, 7, 'damaged', 1], /frame has 7 fields/],
    [[1, 10, 1, 2, 7, 5, 2, 1, 'damaged'], /frame has 9 fields/],
    [[1, 5, 1, 2, 7], /ends after 5 fields/],
    [[1, 1, 1, 2, 7, 'yes', true], /frame.pre is string/],
    [[1, 2, 1, 2, 7, 5, 5, 0, [[7, 5, 1, new Uint8Array(1)]]], /entry 7 after 5/],
    [[1, 2, 1, 2, 7, 5, 5, 0, [[6, 8, 1, new Uint8Array(1)]]], /entry of term 8 in 7/],
    [[1, 2, 1, 2, 7, 5, 5, 0, [[6, 7, 9, new Uint8Array(1)]]], /unknown kind/],
    [[1, 2, 1, 2, 7, 5, 5, 0, [[6, 7, 1, 'text']]], /entry.data is string/],
    [[1, 4, 1, 2, 7, 3, 4, [0, []]], /relay.leader is 0, expected a member/],
    [[1, 4, 1, 2, 7, 3, 4, [3, [5, [6, 'x']]]], /branch.id is string/],
    [[1, 4, 1, 2, 7, 3, 4, [3, [[1, [2, [3, [4, [5, 6]]]]]]]], /relays in more than 4 levels/],
    [[1, 5, 1, 2, 7, 3, [8, 9]], /reports ends after 2 fields/],
    [[1, 6, 1, 2, 7, [9, 6, [[2, 1], [], [], [], false]]], /configuration.voters is number|voters is 1/],
  ];
  for (const [fields, expected] of bad) {
    assert.throws(
      () => decodeFrame(packArray(fields)),
      (error) => {
        assert.ok(error instanceof WireError);
        assert.match(error.message, expected);
        return true;
      },
    );
  }
  assert.throws(() => decodeFrame(new Uint8Array(wire_limits.frame_bytes + 1)), WireError);
});

test('property: bytes of any kind give a frame or a WireError', () => {
  const tampered = fc
    .tuple(fc.constantFrom(...frames), fc.nat(), fc.integer({ min: 0, max: 255 }))
    .map(([f, at, value]) => {
      const bytes = encodeFrame(f).slice();
      bytes[at % bytes.length] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), tampered), (bytes) => {
      try {
        decodeFrame(bytes);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: 3000, seed: 7 },
  );
});
