/**
 * The log store's boundary: up to where the log lives only in the state machine's image, and which segment is the
 * first that counts. Two copies, written and synced one after the other, so that one of them is whole at any moment.
 */
import { crc32 } from './crc.ts';
import { LogCorruptError, LogMissingError } from './log-errors.ts';
import type { LogDisk, SnapshotMeta } from './types.ts';
import { packArray, packMeta, unpackArray, unpackMeta, WireError } from './wire.ts';
import { unguarded, type WriteGuard } from './write-guard.ts';

export const snapshot_files = ['snapshot-a', 'snapshot-b'] as const;
const magic = 0x504e5353;
const header_bytes = 12;
const format_version = 1;

export interface Boundary {
  readonly sequence: number;
  readonly first_segment: number;
  readonly meta: SnapshotMeta;
}

/** Writes both copies; at each moment at least one is the old or the new boundary. */
export async function writeBoundary(
  disk: LogDisk,
  boundary: Boundary,
  guard: WriteGuard = unguarded,
): Promise<void> {
  const bytes = encode(boundary);
  for (const name of snapshot_files) {
    const file = await guard(() => disk.open(name));
    try {
      await guard(async () => {
        await file.write(0, bytes);
        await file.truncate(bytes.length);
      });
      await file.sync();
    } finally {
      await file.close();
    }
    // The first copy's name must be durable before the second copy is touched.
    await disk.syncDirectory();
  }
}

/** The newest copy that is whole, and whether both copies say the same. */
export async function readBoundary(
  disk: LogDisk,
  names: readonly string[],
): Promise<{ readonly boundary: Boundary; readonly both: boolean }> {
  const present = snapshot_files.filter((name) => names.includes(name));
  if (present.length === 0) throw new LogMissingError();
  const copies: (Boundary | null)[] = [];
  for (const name of present) copies.push(decode(await readOrNothing(disk, name)));
  const newest = copies.reduce((a, b) => ((b?.sequence ?? -1) > (a?.sequence ?? -1) ? b : a), null);
  if (newest === null) throw new LogCorruptError(present.join(' and '), 0, 0, 'no copy passes its checksum');
  const both = present.length === 2 && copies.every((copy) => copy?.sequence === newest.sequence);
  return { boundary: newest, both };
}

/** A copy that cannot be read is no copy. */
async function readOrNothing(disk: LogDisk, name: string): Promise<Uint8Array> {
  try {
    return await disk.read(name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EIO') return new Uint8Array(0);
    throw error;
  }
}

function encode(boundary: Boundary): Uint8Array {
  const body = packArray([
    format_version,
    boundary.sequence,
    boundary.first_segment,
    packMeta(boundary.meta),
  ]);
  const bytes = Buffer.alloc(header_bytes + body.length);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(body.length, 8);
  bytes.set(body, header_bytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

function decode(content: Uint8Array): Boundary | null {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  if (bytes.length < header_bytes || bytes.readUInt32LE(0) !== magic) return null;
  const end = header_bytes + bytes.readUInt32LE(8);
  if (end > bytes.length || bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, end))) return null;
  try {
    const [version, sequence, first_segment, meta] = unpackArray(
      bytes.subarray(header_bytes, end),
      'snapshot file',
    );
    if (version !== format_version || typeof sequence !== 'number' || typeof first_segment !== 'number')
      return null;
    return Array.isArray(meta) ? { sequence, first_segment, meta: unpackMeta(meta) } : null;
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}
