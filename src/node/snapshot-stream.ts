/**
 * A state as a stream of bytes: a header, every object, and an end that counts them; each a msgpack record behind its
 * length, cut into chunks of any size. Reading checks everything but the hash, which the machine compares.
 */
import { Packr } from 'msgpackr';
import type { Change } from '../config/api.ts';
import { table_names } from '../config/draft.ts';
import type { TableName, Tables } from '../config/model.ts';

const snapshot_version = 1;
const length_bytes = 4;
/** No object comes near this; a length beyond it is damage. */
const record_bytes_max = 64 * 1024 * 1024;
const packr = new Packr({ useRecords: false });

export interface SnapshotHeader {
  readonly index: number;
  readonly hash: string;
}

/** Chunks of `chunk_bytes` each, the last one of what is left. `objects` must not change while it is read. */
export async function* writeSnapshot(
  header: SnapshotHeader,
  objects: readonly Change[],
  chunk_bytes: number,
): AsyncGenerator<Uint8Array> {
  if (!Number.isSafeInteger(chunk_bytes) || chunk_bytes < 1) {
    throw new RangeError(`chunk_bytes is ${chunk_bytes}: expected a whole number of 1 or more`);
  }
  let chunk = Buffer.alloc(chunk_bytes);
  let used = 0;
  for (const record of records(header, objects)) {
    for (let at = 0; at < record.length; ) {
      const taken = Math.min(chunk_bytes - used, record.length - at);
      chunk.set(record.subarray(at, at + taken), used);
      used += taken;
      at += taken;
      if (used < chunk_bytes) continue;
      yield chunk;
      chunk = Buffer.alloc(chunk_bytes);
      used = 0;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}

function* records(header: SnapshotHeader, objects: readonly Change[]): Generator<Uint8Array> {
  yield framed(['skein-snapshot', snapshot_version, header.index, header.hash]);
  for (const { table, key, value } of objects) yield framed([table, key, value]);
  yield framed(['end', objects.length]);
}

function framed(value: unknown): Uint8Array {
  const body = packr.pack(value);
  const frame = Buffer.alloc(length_bytes + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, length_bytes);
  return frame;
}

/** Throws an Error that says what is wrong with the stream. */
export async function readSnapshot(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ readonly header: SnapshotHeader; readonly objects: readonly Change[] }> {
  let header: SnapshotHeader | null = null;
  const objects: Change[] = [];
  let ended = false;
  for await (const record of unframed(chunks)) {
    if (ended) throw new Error('the snapshot goes on after its end');
    if (header === null) {
      header = headerOf(record);
    } else if (Array.isArray(record) && record.length === 2 && record[0] === 'end') {
      if (record[1] !== objects.length)
        throw new Error(`the snapshot has ${objects.length} objects: expected ${record[1]}`);
      ended = true;
    } else {
      objects.push(objectOf(record));
    }
  }
  if (header === null || !ended) throw new Error('the snapshot ends early');
  return { header, objects };
}

async function* unframed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  let waiting: Uint8Array[] = [];
  let have = 0;
  let need = length_bytes;
  for await (const chunk of chunks) {
    waiting.push(chunk);
    have += chunk.length;
    if (have < need) continue;
    const bytes = Buffer.concat(waiting);
    let at = 0;
    for (;;) {
      need = length_bytes;
      if (bytes.length - at < need) break;
      const length = bytes.readUInt32BE(at);
      if (length > record_bytes_max)
        throw new Error(`the snapshot has a record of ${length} bytes: expected ${record_bytes_max} at most`);
      need = length_bytes + length;
      if (bytes.length - at < need) break;
      yield packr.unpack(bytes.subarray(at + length_bytes, at + need));
      at += need;
    }
    waiting = [bytes.subarray(at)];
    have = bytes.length - at;
  }
  if (have > 0) throw new Error('the snapshot ends in the middle of a record');
}

function headerOf(record: unknown): SnapshotHeader {
  if (!Array.isArray(record) || record[0] !== 'skein-snapshot')
    throw new Error('these bytes are no snapshot');
  const [, version, index, hash] = record as [string, unknown, unknown, unknown];
  if (version !== snapshot_version)
    throw new Error(`the snapshot has version ${String(version)}: expected ${snapshot_version}`);
  if (!Number.isSafeInteger(index) || typeof hash !== 'string')
    throw new Error('the snapshot has a bad header');
  return { index: index as number, hash };
}

function objectOf(record: unknown): Change {
  if (!Array.isArray(record) || record.length !== 3)
    throw new Error('the snapshot has a record that is no object');
  const [table, key, value] = record as [unknown, unknown, unknown];
  if (
    !table_names.includes(table as TableName) ||
    typeof key !== 'string' ||
    typeof value !== 'object' ||
    value === null
  ) {
    throw new Error(
      `the snapshot has a record of the unknown table ${String(table)} or without key or value`,
    );
  }
  return { table: table as TableName, key, value: value as Tables[TableName] };
}
