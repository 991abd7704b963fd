/**
 * Frames that arrive altered. The transport authenticates (see `Transport`), so that a frame as such carries no checksum:
 * here are only the changes that must be noticed all the same. A frame that ends early, goes on after its end or is of
 * another version is refused as a whole; a changed piece of a snapshot is found by the hash over all of them.
 */
import { decodeFrame, encodeFrame, WireError } from '../../src/consensus/wire.ts';
import type { Knobs } from '../kit/knobs.ts';

export interface Altered {
  readonly bytes: Uint8Array;
  readonly what: 'frame' | 'chunk';
}

/** The byte that tells the type of a frame: it is a short list of head, version, type and fields. */
export function typeByte(bytes: Uint8Array): number {
  return bytes[2] ?? 0;
}

const nothing = new Uint8Array(0);
const chunk = { type: 'snapshot-chunk', from: 1, to: 2, term: 1, transfer: 1, sequence: 0 } as const;
const chunk_type = typeByte(encodeFrame({ ...chunk, data: nothing, hash: nothing }));

/** Whether a frame carries a piece of a snapshot. */
export function isChunk(bytes: Uint8Array): boolean {
  return typeByte(bytes) === chunk_type;
}

/** A copy of a frame with one change that its receiver must notice. */
export function altered(bytes: Uint8Array, draws: Knobs): Altered {
  const frame = decodeFrame(bytes);
  if (frame.type === 'snapshot-chunk' && draws.chance(0.8)) {
    const data = frame.data.slice();
    const hash = frame.hash.slice();
    const target = data.length > 0 ? data : hash;
    if (target.length > 0) {
      target[draws.integer(0, target.length - 1)]! ^= 1 << draws.integer(0, 7);
      return { bytes: encodeFrame({ ...frame, data, hash }).slice(), what: 'chunk' };
    }
  }
  const shape = draws.integer(0, 2);
  if (shape === 0) return { bytes: bytes.slice(0, draws.integer(0, bytes.length - 1)), what: 'frame' };
  const copy = new Uint8Array(bytes.length + (shape === 1 ? draws.integer(1, 20) : 0));
  copy.set(bytes);
  // The version stands right after the head of the list.
  if (shape === 2) copy[1] = 2 + draws.integer(0, 100);
  return { bytes: copy, what: 'frame' };
}

/** Whether a receiver refuses these bytes. */
export function isRefused(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes);
    return false;
  } catch (error) {
    if (error instanceof WireError) return true;
    throw error;
  }
}
