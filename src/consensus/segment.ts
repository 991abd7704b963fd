/**
 * The bytes of one log segment. Pure: it encodes, decodes and scans, and does no I/O.
 *
 *     0        slot A  \  hard state and how far the file is known to be durable, written alternately
 *     4,096    slot B  /
 *     8,192    records: the entries of a batch, closed by the batch's seal; then the next batch …
 *
 * A *batch* is what one write and one sync made durable. All of it counts or nothing. The next batch is written only
 * after the sync of the one before, hence: a bad record that the slot calls durable, or that a later batch follows, is
 * corruption. In the last batch it is a torn write, which nobody was promised, if a part of the write is missing: whole
 * sectors, or the end. Where all of it is there, and some of it wrong, that is corruption too.
 * A sector that is missing reads as zeros, and so may one that was written. Hence the seal says how many of its batch
 * are blank by themselves, and no sector that holds part of the seal is: it begins and ends with a byte that is not zero.
 * The hard state is in the seal and, a page or more away, in the slot; both go out under the same sync.
 * Zeros at the end of a file are room that was made for later batches: nothing that was written ends with one.
 */
import { chain_bytes, chainHash, crc32, sameBytes } from './crc.ts';
import type { Entry, EntryKind, HardState } from './types.ts';

/** Where the records of a segment begin. */
export const records_offset = 8192;
const slot_offsets = [0, 4096] as const;
const record_magic = 0x4c4e4b53;
const slot_magic = 0x544f4c53;
const format_version = 1;
/** The unit in which a disk writes: of a torn write whole ones are missing, the first and last as far as it goes. */
const sector_bytes = 512;
const header_bytes = 56;
const seal_bytes = 20;
const seal_record_bytes = header_bytes + seal_bytes;
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

/** The bytes of one batch that begins at `offset` of the file, and what the next one follows. */
export function encodeBatch(
  entries: readonly Entry[],
  hard_state: HardState,
  after: ChainPoint,
  offset: number,
): { readonly bytes: Uint8Array; readonly end: ChainPoint } {
  const batch = after.batch + 1;
  const last_index = entries.at(-1)?.index ?? after.last_index;
  const size = entries.reduce((sum, e) => sum + header_bytes + e.data.length, seal_record_bytes);
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
  // The sector in which the seal begins is not blank. Inverted, so that the last byte is not zero.
  const before_seal = Math.max(offset, sectorStart(offset + at));
  seal.writeUInt32LE(~blankSectors(bytes.subarray(0, before_seal - offset), offset) >>> 0, 16);
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
  const written_end = endOfWritten(file);
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
  while (at < written_end) {
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
    // Its chain hash says that all entries of the batch came before it.
    if (record.data.length !== seal_bytes) {
      reason = 'the seal has a wrong length';
      at -= record.bytes.length;
      break;
    }
    const hard_state = sealedState(record);
    point = { chain, batch: record.batch, last_index: record.index };
    batches.push({ entries: open, hard_state, end: point });
    open = [];
    sealed_end = at;
  }
  const found = { slot, which, batches, end: sealed_end } as const;
  if (sealed_end === written_end && sealed_end >= slot.durable_end)
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
  if (isAllThere(file, written_end, sealed_end, at, point.batch + 1)) {
    return {
      ...found,
      tail: { type: 'corrupt', offset: at, index, reason: `${reason}, and no part is missing` },
    };
  }
  return { ...found, tail: { type: 'torn', offset: at, bytes: written_end - sealed_end } };
}

/** Where the room at the end of a segment begins. */
function endOfWritten(file: Buffer): number {
  let end = file.length;
  while (end > records_offset && file[end - 1] === 0) end--;
  return end;
}

/**
 * Whether the last batch, `batch` from `start` on, reached the disk in full although the record at `bad` is wrong. What
 * is missing of it is a blank sector that was not blank when written, or the end.
 */
function isAllThere(file: Buffer, written_end: number, start: number, bad: number, batch: number): boolean {
  // If it is the end of the seal that is wrong, it may be zeros now, and look like room.
  const ends = [written_end, Math.max(written_end, bad + seal_record_bytes)];
  return ends.some((end) => isWholeUpTo(file.subarray(0, end), start, bad, batch));
}

function isWholeUpTo(file: Buffer, start: number, bad: number, batch: number): boolean {
  const seal_at = file.length - seal_record_bytes;
  if (seal_at < bad) return false;
  const seal = readRecord(file, seal_at);
  if (seal?.kind === 'seal' && seal.batch === batch) {
    return blankSectors(file.subarray(start), start) <= ~Buffer.from(seal.data).readUInt32LE(16) >>> 0;
  }
  // Blank sectors before the bad record are data: the checksums of theirs are right.
  const from = Math.max(start, sectorStart(bad));
  if (blankSectors(file.subarray(from), from) > 0) return false;
  // Is it the seal that is wrong, or was an entry cut off at just this length?
  const is_seal = (file.readUInt32LE(bad + 12) & 0xff) === kind_codes.seal;
  return bad === seal_at && (is_seal || file.readUInt32LE(bad + 8) === seal_bytes);
}

/** How many sectors of the file hold nothing but zeros of `bytes`, which begin at its `offset`. */
function blankSectors(bytes: Uint8Array, offset: number): number {
  let blank = 0;
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(sectorStart(offset + from) + sector_bytes - offset, bytes.length);
    if (bytes.subarray(from, to).every((byte) => byte === 0)) blank += 1;
    from = to;
  }
  return blank;
}

function sectorStart(offset: number): number {
  return offset - (offset % sector_bytes);
}

/**
 * The newest term and vote that can be read from a segment, whatever else of it is damaged. null when no slot is whole:
 * a seal alone may be an old one.
 */
export function readHardState(content: Uint8Array): HardState | null {
  const file = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const slots = [decodeSlot(file, 0), decodeSlot(file, 1)].filter((slot) => slot !== null);
  if (slots.length === 0) return null;
  const newest = slots.reduce((a, b) => (b.sequence > a.sequence ? b : a));
  let { batch, hard_state } = newest;
  for (const record of recordsAfter(file, records_offset)) {
    if (record.kind !== 'seal' || record.batch <= batch || record.data.length !== seal_bytes) continue;
    batch = record.batch;
    hard_state = sealedState(record);
  }
  return hard_state;
}

function sealedState(record: RawRecord): HardState {
  const seal = Buffer.from(record.data);
  return { term: record.term, vote: readNumber(seal, 0), commit: readNumber(seal, 8) };
}

/** A record of a later batch proves that the torn-looking one had been synced. */
function laterBatchFollows(file: Buffer, from: number, torn_batch: number): boolean {
  return recordsAfter(file, from).some((record) => record.batch > torn_batch);
}

/** All records from `from` on that pass their checksum, wherever they are. */
function recordsAfter(file: Buffer, from: number): readonly RawRecord[] {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(record_magic, 0);
  const records: RawRecord[] = [];
  for (let at = file.indexOf(magic, from); at >= 0; at = file.indexOf(magic, at + 1)) {
    const record = readRecord(file, at);
    if (record !== null) records.push(record);
  }
  return records;
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
