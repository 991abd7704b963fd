/**
 * Reads a log directory and says what is in it. It changes nothing: damage is a {@link LogCorruptError}, found before
 * anything is written, and what a crash left behind (a torn tail, files no longer needed) is listed for the store to
 * clear away.
 */
import { sameBytes } from './crc.ts';
import { LogCorruptError } from './log-errors.ts';
import {
  type ChainPoint,
  readHardState,
  type ScannedBatch,
  type ScannedSegment,
  type Slot,
  scanSegment,
} from './segment.ts';
import { type Boundary, readBoundary, snapshot_files } from './snapshot-file.ts';
import type { Entry, HardState, LogDisk } from './types.ts';

const segment_pattern = /^segment-(\d{10})$/;

/** The file name of a segment. */
export function segmentName(number: number): string {
  return `segment-${String(number).padStart(10, '0')}`;
}

/** The number in a segment's file name; null for other files. */
export function segmentNumber(name: string): number | null {
  const match = segment_pattern.exec(name);
  return match === null ? null : Number(match[1]);
}

export interface RecoveredSegment {
  readonly number: number;
  /** The lowest index written into it; null while it has no entries. */
  readonly min_index: number | null;
}

export interface RecoveredLog {
  readonly boundary: Boundary;
  readonly boundary_whole: boolean;
  readonly hard_state: HardState;
  /** After the boundary, without gaps. */
  readonly entries: readonly Entry[];
  readonly segments: readonly RecoveredSegment[];
  /** The last segment, where appending goes on. */
  readonly active: {
    readonly number: number;
    readonly slot: Slot;
    readonly which: 0 | 1;
    readonly end: number;
    readonly point: ChainPoint;
    /** Bytes beyond `end` that a crash left. */
    readonly torn_bytes: number;
  };
  /** Segments before the boundary, or begun and never used. */
  readonly leftover: readonly string[];
}

interface Scanned {
  readonly number: number;
  readonly name: string;
  readonly scan: ScannedSegment;
}

/** @throws {@link LogCorruptError} {@link LogMissingError} */
export async function recoverLog(disk: LogDisk): Promise<RecoveredLog> {
  const names = await disk.list();
  const { boundary, both } = await readBoundary(disk, names);
  const numbers = names.map(segmentNumber).filter((n) => n !== null);
  const counting = numbers.filter((n) => n >= boundary.first_segment).sort((a, b) => a - b);
  const leftover = numbers.filter((n) => n < boundary.first_segment).map(segmentName);

  const scanned: Scanned[] = [];
  for (const [i, number] of counting.entries()) {
    const expected = boundary.first_segment + i;
    if (number !== expected) throw new LogCorruptError(segmentName(expected), 0, 0, 'the file is missing');
    const content = await readWhole(disk, segmentName(number));
    scanned.push({ number, name: segmentName(number), scan: scanSegment(content) });
  }
  if (scanned.length === 0) {
    throw new LogCorruptError(segmentName(boundary.first_segment), 0, 0, 'the file is missing');
  }
  const unused = dropUnused(scanned);
  if (unused !== null) leftover.push(unused);
  checkSegments(scanned);

  const { entries, min_indices } = collect(scanned, boundary);
  const last = scanned.at(-1)!;
  const slot = last.scan.slot!;
  const sealed = last.scan.batches.at(-1);
  const point = sealed?.end ?? slot.base;
  const last_index = entries.at(-1)?.index ?? boundary.meta.index;
  const newest = sealed !== undefined && sealed.end.batch > slot.batch ? sealed.hard_state : slot.hard_state;
  // A slot may outlive its batch. Term and vote count then, but its commit index was for entries that are gone: at the
  // same index another leader's may stand, which were never committed.
  const kept = slot.batch > point.batch ? lastSealed(scanned)?.hard_state.commit : newest.commit;
  const commit = Math.min(Math.max(kept ?? 0, boundary.meta.index), last_index);
  return {
    boundary,
    boundary_whole: both,
    hard_state: { term: newest.term, vote: newest.vote, commit },
    entries,
    segments: scanned.map(({ number }, i) => ({ number, min_index: min_indices[i] ?? null })),
    active: {
      number: last.number,
      slot,
      which: last.scan.which,
      end: last.scan.end,
      point,
      torn_bytes: last.scan.tail.type === 'torn' ? last.scan.tail.bytes : 0,
    },
    leftover,
  };
}

function lastSealed(scanned: readonly Scanned[]): ScannedBatch | undefined {
  return scanned.findLast(({ scan }) => scan.batches.length > 0)?.scan.batches.at(-1);
}

/** A sector that cannot be read is damage like any other. */
async function readWhole(disk: LogDisk, name: string): Promise<Uint8Array> {
  try {
    return await disk.read(name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EIO')
      throw new LogCorruptError(name, 0, 0, `it cannot be read: ${error.message}`);
    throw error;
  }
}

/**
 * What is left of a damaged log, for the report: where its longest good prefix ends, and term and vote. Each segment
 * counts as far as it follows the one before.
 */
export async function assessDamage(
  disk: LogDisk,
): Promise<{ readonly good_to: number; readonly hard_state: HardState | null }> {
  const names = await disk.list();
  const numbers = names.map(segmentNumber).filter((n) => n !== null);
  let point: ChainPoint | null = null;
  let whole = true;
  let hard_state: HardState | null = null;
  for (const number of numbers.sort((a, b) => a - b)) {
    const content = await readWhole(disk, segmentName(number)).catch((error: unknown) => {
      if (error instanceof LogCorruptError) return null;
      throw error;
    });
    hard_state = content === null ? null : readHardState(content);
    const { slot, batches, tail } = scanSegment(content ?? new Uint8Array(0));
    const follows: boolean = point === null || (slot !== null && sameBytes(point.chain, slot.base.chain));
    whole &&= slot !== null && follows;
    if (whole && slot !== null) point = batches.at(-1)?.end ?? slot.base;
    whole &&= tail.type === 'clean';
  }
  return { good_to: point?.last_index ?? 0, hard_state };
}

/**
 * A crash while the log moved on to a new segment leaves one that nothing was written to and that the segment before
 * does not know of. Takes it off the list; returns its name.
 */
function dropUnused(scanned: Scanned[]): string | null {
  const last = scanned.at(-1);
  const before = scanned.at(-2);
  if (last === undefined || before === undefined) return null;
  if (before.scan.slot?.sealed !== false || last.scan.batches.length > 0) return null;
  if (last.scan.tail.type === 'corrupt') return null;
  scanned.pop();
  return last.name;
}

/** Each segment is whole and continues the one before; only the last may have a torn tail. */
function checkSegments(scanned: readonly Scanned[]): void {
  let previous: ChainPoint | null = null;
  for (const [i, { number, name, scan }] of scanned.entries()) {
    const { slot, tail } = scan;
    if (slot === null)
      throw new LogCorruptError(name, 0, 0, 'neither copy of its header passes its checksum');
    if (slot.segment !== number)
      throw new LogCorruptError(name, 0, 0, `it says that it is segment ${slot.segment}`);
    const is_last = i === scanned.length - 1;
    if (tail.type === 'corrupt') throw new LogCorruptError(name, tail.offset, tail.index, tail.reason);
    if (tail.type === 'torn' && !is_last) {
      const index = (scan.batches.at(-1)?.end ?? slot.base).last_index + 1;
      throw new LogCorruptError(name, tail.offset, index, 'a bad record, and a later segment follows');
    }
    if (is_last && slot.sealed) {
      const index = (scan.batches.at(-1)?.end ?? slot.base).last_index + 1;
      throw new LogCorruptError(segmentName(number + 1), 0, index, 'the file is missing');
    }
    const continues =
      previous === null || (sameBytes(previous.chain, slot.base.chain) && previous.batch === slot.base.batch);
    if (!continues) {
      throw new LogCorruptError(name, 0, slot.base.last_index + 1, 'it does not continue the segment before');
    }
    previous = scan.batches.at(-1)?.end ?? slot.base;
  }
}

/** Replays the batches: an entry at an index that exists replaces it and everything after it. */
function collect(
  scanned: readonly Scanned[],
  boundary: Boundary,
): { readonly entries: readonly Entry[]; readonly min_indices: readonly (number | null)[] } {
  const { index: from, term: boundary_term } = boundary.meta;
  const min_indices: (number | null)[] = [];
  let base = scanned[0]?.scan.slot?.base.last_index ?? 0;
  const kept: Entry[] = [];
  for (const { name, scan } of scanned) {
    let min_index: number | null = null;
    for (const batch of scan.batches) {
      for (const entry of batch.entries) {
        const last = base + kept.length;
        const bad = (reason: string) => new LogCorruptError(name, 0, entry.index, reason);
        if (entry.index > last + 1) throw bad(`entry ${entry.index} follows entry ${last}: there is a hole`);
        if (entry.index <= base) base = entry.index - 1;
        kept.length = entry.index - 1 - base;
        const before = kept.at(-1);
        if (before !== undefined && entry.term < before.term)
          throw bad(`its term ${entry.term} is below ${before.term}`);
        kept.push(entry);
        min_index = Math.min(min_index ?? entry.index, entry.index);
      }
      const end = base + kept.length;
      if (batch.end.last_index !== end) {
        throw new LogCorruptError(name, 0, end, `a seal says that the log ends at ${batch.end.last_index}`);
      }
    }
    min_indices.push(min_index);
  }
  const last = base + kept.length;
  const name = scanned.at(-1)?.name ?? snapshot_files[0];
  if (base > from || last < from) {
    throw new LogCorruptError(
      name,
      0,
      from + 1,
      `it holds entries ${base + 1} to ${last}, the snapshot ends at ${from}`,
    );
  }
  const at_boundary = kept[from - 1 - base];
  if (at_boundary !== undefined && at_boundary.term !== boundary_term) {
    throw new LogCorruptError(name, 0, from, `term ${at_boundary.term}, the snapshot says ${boundary_term}`);
  }
  return { entries: kept.slice(from - base), min_indices };
}
