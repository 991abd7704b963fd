/**
 * The bytes of one log segment. Pure: it encodes, decodes and scans, and does no I/O.
 *
 *     0        slot A  \  hard state and how far the file is known to be durable, written alternately
 *     4,096    slot B  /
 *     8,192    records: the entries of a batch, closed by the batch's seal; then the next batch …
 *
 * A *batch* is what one write and one sync made durable. All of it counts or nothing. The next batch is written only
 * after the sync of the one before, hence: a bad record inside the last batch is a torn write that nobody was
 * promised; a bad record that the slot calls durable, or that a later batch follows, is corruption.
 * The hard state is in the seal and, a page or more away, in the slot; both go out under the same sync.
 */
import { chain_bytes, chainHash, crc32, sameBytes } from './crc.ts';
import type { Entry, EntryKind, HardState } from './types.ts';

/** Where the records of a segment begin. */
export const records_offset = 8192;
const slot_offsets = [0, 4096] as const;
const record_magic = 0x4c4e4b53;
const slot_magic = 0x544f4c53;
const format_version = 1;
const header_bytes = 56;
const seal_bytes = 20;
const slot_bytes = 128;
/** No record is larger; a length beyond it is damage, not data. */
export const max_record_bytes = 64 * 1024 * 1024;

const kind_codes: Readonly<Record<EntryKind | 'seal', number>> = { empty: 1, command: 2, config: 3, seal: 4 };
const kinds = new Map(Object.entries(kind_codes).map(([name, code]) => [code, name as EntryKind | 'seal']));

/** What chains a batch to what was written before it. */
export interface ChainPoint {
  readonly chain: Uint8Array;
  /** Number of the last sealed batch; counts up over all segments. */
  readonly batch: number;
  readonly last_index: number;
}

export interface Slot {
  readonly segment: number;
  readonly sequence: number;
  readonly hard_state: HardState;
  /** The batch this hard state goes with. */
  readonly batch: number;
  /** Everything before this offset was synced when the slot was written. */
  readonly durable_end: number;
  /** The segment is full and its successor exists. */
  readonly sealed: boolean;
  /** What the first record of the segment follows. */
  readonly base: ChainPoint;
}

/** The offset of slot 0 or 1. */
export function slotOffset(which: 0 | 1): number {
  return slot_offsets[which];
}

export function encodeSlot(slot: Slot): Uint8Array {
  const bytes = Buffer.alloc(slot_bytes);
  bytes.writeUInt32LE(slot_magic, 0);
  bytes.writeUInt32LE(format_version, 8);
  bytes.writeUInt32LE(slot.sealed ? 1 : 0, 12);
  const numbers = [
    slot.segment,
    slot.sequence,
    slot.hard_state.term,
    slot.hard_state.vote,
    slot.hard_state.commit,
    slot.batch,
    slot.durable_end,
    slot.base.batch,
    slot.base.last_index,
  ];
  numbers.forEach((value, i) => {
    writeNumber(bytes, 16 + i * 8, value);
  });
  bytes.set(slot.base.chain, 16 + numbers.length * 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

function decodeSlot(file: Buffer, which: 0 | 1): Slot | null {
  const at = slot_offsets[which];
  if (file.length < at + slot_bytes) return null;
  const bytes = file.subarray(at, at + slot_bytes);
  if (bytes.readUInt32LE(0) !== slot_magic || bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return null;
  if (bytes.readUInt32LE(8) !== format_version) return null;
  const number = (i: number) => readNumber(bytes, 16 + i * 8);
  return {
    segment: number(0),
    sequence: number(1),
    hard_state: { term: number(2), vote: number(3), commit: number(4) },
    batch: number(5),
    durable_end: number(6),
    sealed: bytes.readUInt32LE(12) === 1,
    base: {
      batch: number(7),
      last_index: number(8),
      chain: new Uint8Array(bytes.subarray(88, 88 + chain_bytes)),
    },
  };
}

/** The bytes of one batch, and what the next one follows. */
export function encodeBatch(
  entries: readonly Entry[],
  hard_state: HardState,
  after: ChainPoint,
): { readonly bytes: Uint8Array; readonly end: ChainPoint } {
  const batch = after.batch + 1;
  const last_index = entries.at(-1)?.index ?? after.last_index;
  const size = entries.reduce((sum, e) => sum + header_bytes + e.data.length, header_bytes + seal_bytes);
  const bytes = Buffer.alloc(size);
  let at = 0;
  let chain = after.chain;
  const put = (kind: EntryKind | 'seal', index: number, term: number, data: Uint8Array) => {
    if (header_bytes + data.length > max_record_bytes)
      throw new RangeError(`log record of ${data.length} bytes`);
    const record = bytes.subarray(at, at + header_bytes + data.length);
    record.writeUInt32LE(record_magic, 0);
    record.writeUInt32LE(data.length, 8);
    record.writeUInt32LE(kind_codes[kind] | (format_version << 8), 12);
    writeNumber(record, 16, batch);
    writeNumber(record, 24, index);
    writeNumber(record, 32, term);
    record.set(chain, 40);
    record.set(data, header_bytes);
    record.writeUInt32LE(crc32(record.subarray(8)), 4);
    chain = chainHash(record);
    at += record.length;
  };
  for (const entry of entries) put(entry.kind, entry.index, entry.term, entry.data);
  const seal = Buffer.alloc(seal_bytes);
  writeNumber(seal, 0, hard_state.vote);
  writeNumber(seal, 8, hard_state.commit);
  seal.writeUInt32LE(entries.length, 16);
  put('seal', last_index, hard_state.term, seal);
  return { bytes, end: { chain, batch, last_index } };
}

export interface ScannedBatch {
  readonly entries: readonly Entry[];
  readonly hard_state: HardState;
  readonly end: ChainPoint;
}

export interface ScannedSegment {
  /** The newest readable slot; null when neither is. */
  readonly slot: Slot | null;
  /** Which of the two it is. */
  readonly which: 0 | 1;
  readonly batches: readonly ScannedBatch[];
  /** Where the last sealed batch ends. */
  readonly end: number;
  /** What lies beyond `end`. `corrupt` names the first bad byte's record. */
  readonly tail:
    | { readonly type: 'clean' }
    | { readonly type: 'torn'; readonly offset: number; readonly bytes: number }
    | { readonly type: 'corrupt'; readonly offset: number; readonly index: number; readonly reason: string };
}

interface RawRecord {
  readonly kind: EntryKind | 'seal';
  readonly batch: number;
  readonly index: number;
  readonly term: number;
  readonly previous: Uint8Array;
  readonly data: Uint8Array;
  readonly bytes: Buffer;
}

/** Reads a whole segment file. Entries are copied out of `content`. */
export function scanSegment(content: Uint8Array): ScannedSegment {
  const file = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const slots = [decodeSlot(file, 0), decodeSlot(file, 1)] as const;
  const which = (slots[1]?.sequence ?? -1) > (slots[0]?.sequence ?? -1) ? 1 : 0;
  const slot = slots[which];
  if (slot === null) return { slot, which, batches: [], end: records_offset, tail: { type: 'clean' } };

  const batches: ScannedBatch[] = [];
  let sealed_end = records_offset;
  let point = slot.base;
  let at = records_offset;
  let chain = point.chain;
  let open: Entry[] = [];
  let reason = 'the record is incomplete or fails its checksum';
  while (at < file.length) {
    const record = readRecord(file, at);
    if (record === null) break;
    if (!sameBytes(record.previous, chain) || record.batch !== point.batch + 1) {
      reason = 'the record does not follow its predecessor';
      break;
    }
    at += record.bytes.length;
    chain = chainHash(record.bytes);
    if (record.kind !== 'seal') {
      open.push({ index: record.index, term: record.term, kind: record.kind, data: record.data });
      continue;
    }
    const seal = Buffer.from(record.data);
    if (seal.length !== seal_bytes || seal.readUInt32LE(16) !== open.length) {
      reason = 'the seal does not fit its batch';
      at -= record.bytes.length;
      break;
    }
    const hard_state = { term: record.term, vote: readNumber(seal, 0), commit: readNumber(seal, 8) };
    point = { chain, batch: record.batch, last_index: record.index };
    batches.push({ entries: open, hard_state, end: point });
    open = [];
    sealed_end = at;
  }
  const found = { slot, which, batches, end: sealed_end } as const;
  if (sealed_end === file.length && sealed_end >= slot.durable_end)
    return { ...found, tail: { type: 'clean' } };
  const index = (open.at(-1)?.index ?? point.last_index) + 1;
  if (sealed_end < slot.durable_end) {
    return {
      ...found,
      tail: { type: 'corrupt', offset: at, index, reason: `${reason}, and it had been synced` },
    };
  }
  if (laterBatchFollows(file, at, point.batch + 1)) {
    return {
      ...found,
      tail: { type: 'corrupt', offset: at, index, reason: `${reason}, and valid records follow` },
    };
  }
  return { ...found, tail: { type: 'torn', offset: at, bytes: file.length - sealed_end } };
}

/** A record of a later batch proves that the torn-looking one had been synced. */
function laterBatchFollows(file: Buffer, from: number, torn_batch: number): boolean {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(record_magic, 0);
  for (let at = file.indexOf(magic, from); at >= 0; at = file.indexOf(magic, at + 1)) {
    const record = readRecord(file, at);
    if (record !== null && record.batch > torn_batch) return true;
  }
  return false;
}

function readRecord(file: Buffer, at: number): RawRecord | null {
  if (at + header_bytes > file.length || file.readUInt32LE(at) !== record_magic) return null;
  const length = file.readUInt32LE(at + 8);
  if (length > max_record_bytes || at + header_bytes + length > file.length) return null;
  const bytes = file.subarray(at, at + header_bytes + length);
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return null;
  const code = bytes.readUInt32LE(12);
  const kind = kinds.get(code & 0xff);
  if (kind === undefined || code >>> 8 !== format_version) return null;
  return {
    kind,
    batch: readNumber(bytes, 16),
    index: readNumber(bytes, 24),
    term: readNumber(bytes, 32),
    previous: bytes.subarray(40, 40 + chain_bytes),
    data: new Uint8Array(bytes.subarray(header_bytes)),
    bytes,
  };
}

function writeNumber(bytes: Buffer, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`log store: ${value} is no non-negative integer`);
  bytes.writeBigUInt64LE(BigInt(value), at);
}

function readNumber(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}
