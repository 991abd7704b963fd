/**
 * The durable log. What `append` resolved for survives a crash at any moment; what it did not is there in full or not
 * at all. Overlapping appends share one write and one fdatasync. It must never drop or alter a record that was
 * promised: a log found damaged at opening is set aside whole, and a new one that says so takes its place
 * (set-aside.ts). After a failed write or sync the store refuses everything (what the kernel holds is unknown then;
 * asking again would lie).
 */
import { empty_configuration } from './configuration.ts';
import { beginLog, first_segment } from './fresh-log.ts';
import { LogCorruptError, LogExistsError } from './log-errors.ts';
import { type RecoveredLog, recoverLog, segmentName, segmentNumber } from './log-recovery.ts';
import { isDiskFull, makeReserve, releaseReserve } from './reserve-file.ts';
import { records_offset } from './segment.ts';
import { SegmentWriter } from './segment-writer.ts';
import { readFault, setLogAside, tellsOfDamage } from './set-aside.ts';
import { type Boundary, readBoundary, snapshot_files, writeBoundary } from './snapshot-file.ts';
import type {
  Configuration,
  Entry,
  HardState,
  LogDisk,
  LogStore,
  SnapshotMeta,
  StorageFault,
} from './types.ts';
import type { WriteGuard } from './write-guard.ts';

export interface LogStoreOptions {
  /** A segment that reached this size is followed by a new one. Default 4 MiB. */
  readonly segment_bytes?: number;
  /** Space set aside for a full disk: one segment and one compaction. 0: none. Default 16 MiB. */
  readonly reserve_bytes?: number;
  /** Room made at the end of a segment at a time, which makes syncs cheaper. Default 0: none. */
  readonly room_bytes?: number;
  readonly warn?: (message: string, fields: Record<string, unknown>) => void;
}

/** For {@link LogStoreOptions.room_bytes} on a file system: of 4 MiB some nine syncs pay for growth. */
export const log_room_bytes = 512 * 1024;

/** A {@link LogStore} that says when its disk is full. */
export interface DiskLogStore extends LogStore {
  /** True from when the reserve had to be given up until a compaction made it anew: compact now, take on little. */
  underPressure(): boolean;
}

interface Append {
  readonly type: 'append';
  readonly hard_state: HardState | null;
  readonly entries: readonly Entry[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Exclusive {
  readonly type: 'exclusive';
  readonly run: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One write takes at most about this much; the rest waits for the next. */
const max_batch_bytes = 8 * 1024 * 1024;

/**
 * Begins a new log: of a new group, when `configuration` has this member as its one voter; of a member that waits to
 * be added, when it is empty. @throws {@link LogExistsError} if there is a log already.
 */
export async function bootstrapLog(
  disk: LogDisk,
  configuration: Configuration = empty_configuration,
): Promise<void> {
  const found = await foundByBootstrap(disk);
  if (found !== null) throw new LogExistsError(found);
  await beginLog(disk, configuration, { term: 0, vote: 0, commit: 0 });
}

/**
 * The name of a file that a bootstrap must not touch; null: there is none. What a bootstrap that died leaves is an empty
 * first segment and at most a torn first copy of the boundary: nothing was promised on it.
 */
async function foundByBootstrap(disk: LogDisk): Promise<string | null> {
  const names = await disk.list();
  const trace = names.find(tellsOfDamage);
  if (trace !== undefined) return trace;
  const segments = names.filter((name) => segmentNumber(name) !== null);
  const [copy_a, copy_b] = snapshot_files;
  const other =
    segments.find((name) => name !== segmentName(first_segment)) ?? names.find((name) => name === copy_b);
  if (other !== undefined) return other;
  const used = segments[0];
  if (used !== undefined && (await disk.read(used)).length > records_offset) return used;
  if (!names.includes(copy_a)) return null;
  try {
    await readBoundary(disk, names);
    return copy_a;
  } catch (error) {
    if (error instanceof LogCorruptError) return null;
    throw error;
  }
}

/**
 * Opens a log. One that is damaged is set aside, and an empty one opened that carries the fault in `initial`: it is for a
 * member that listens and neither votes nor counts.
 * @throws {@link LogMissingError}; {@link LogCorruptError} when even the new log cannot be read back
 */
export async function openLogStore(disk: LogDisk, options: LogStoreOptions = {}): Promise<DiskLogStore> {
  const known = await readFault(disk);
  try {
    return await openAsFound(disk, options, known);
  } catch (error) {
    if (!(error instanceof LogCorruptError)) throw error;
    const { file, offset, index, reason } = error;
    const fault = await setLogAside(disk, { file, offset, index, reason });
    options.warn?.('the log is damaged; it is set aside, and a new one begun', { ...fault });
    return openAsFound(disk, options, fault);
  }
}

async function openAsFound(
  disk: LogDisk,
  options: LogStoreOptions,
  fault: StorageFault | null,
): Promise<DiskLogStore> {
  const recovered = await recoverLog(disk);
  const { active } = recovered;
  const warn = options.warn ?? (() => undefined);
  if (!recovered.boundary_whole) {
    warn('one copy of the snapshot file was bad or old; written anew', {
      index: recovered.boundary.meta.index,
    });
    await writeBoundary(disk, recovered.boundary);
  }
  for (const name of recovered.leftover) await disk.remove(name);
  if (recovered.leftover.length > 0) await disk.syncDirectory();
  if (active.torn_bytes > 0) {
    const fields = { file: segmentName(active.number), offset: active.end, bytes: active.torn_bytes };
    warn('the end of the log is a write that a crash cut off; dropped', fields);
  }
  const writer = await SegmentWriter.resume(disk, active, recovered.hard_state);
  const reserve_bytes = options.reserve_bytes ?? 16 * 1024 * 1024;
  const reserved = await makeReserve(disk, await disk.list(), reserve_bytes);
  if (!reserved && reserve_bytes > 0) warn('no room for the reserve of the log', { bytes: reserve_bytes });
  const room_bytes = options.room_bytes ?? 0;
  const segment_bytes = options.segment_bytes ?? 4 * 1024 * 1024;
  return new Store(
    disk,
    recovered,
    writer,
    { segment_bytes, reserve_bytes, room_bytes, warn },
    reserved,
    fault,
  );
}

class Store implements DiskLogStore {
  readonly initial: LogStore['initial'];
  readonly #disk: LogDisk;
  readonly #options: Required<LogStoreOptions>;
  readonly #queue: (Append | Exclusive)[] = [];
  #boundary: Boundary;
  /** Oldest first; the last is being written. `min_index`: the lowest index written into it. */
  #segments: { readonly number: number; min_index: number | null }[];
  #writer: SegmentWriter;
  #reserved: boolean;
  #pressure = false;
  #failure: Error | null = null;
  #closed = false;
  #working: Promise<void> | null = null;

  constructor(
    disk: LogDisk,
    recovered: RecoveredLog,
    writer: SegmentWriter,
    options: Required<LogStoreOptions>,
    reserved: boolean,
    fault: StorageFault | null,
  ) {
    this.#disk = disk;
    this.#options = options;
    this.#boundary = recovered.boundary;
    this.#segments = recovered.segments.map((segment) => ({ ...segment }));
    this.#writer = writer;
    this.#reserved = reserved;
    const { hard_state, entries } = recovered;
    const initial = { hard_state, entries, snapshot: recovered.boundary.meta };
    this.initial = fault === null ? initial : { ...initial, fault };
  }

  append(hard_state: HardState | null, entries: readonly Entry[]): Promise<void> {
    return this.#enqueue((resolve, reject) => ({ type: 'append', hard_state, entries, resolve, reject }));
  }

  compact(meta: SnapshotMeta, keep_entries: number): Promise<void> {
    return this.#exclusive(() => this.#compact(meta, keep_entries));
  }

  reset(meta: SnapshotMeta, hard_state: HardState): Promise<void> {
    return this.#exclusive(() => this.#reset(meta, hard_state));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#working !== null) await this.#working;
    if (this.#failure === null) await this.#writer.markDurable(true);
    await this.#writer.close();
  }

  underPressure(): boolean {
    return this.#pressure;
  }

  #exclusive(run: () => Promise<void>): Promise<void> {
    return this.#enqueue((resolve, reject) => ({ type: 'exclusive', run, resolve, reject }));
  }

  #enqueue(
    make: (resolve: () => void, reject: (error: unknown) => void) => Append | Exclusive,
  ): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.reject(new Error('the log store is closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push(make(resolve, reject));
      this.#working ??= this.#work();
    });
  }

  /** Takes the queue down to nothing. Never rejects: who waits is told, and the store is of no use afterwards. */
  async #work(): Promise<void> {
    // Calls of the same turn belong to the same write.
    await null;
    while (this.#queue.length > 0) {
      const taken = this.#take();
      try {
        await this.#run(taken);
        for (const call of taken) call.resolve();
        if (this.#queue.length === 0) await this.#writer.markDurable(false);
      } catch (error) {
        this.#failure = error instanceof Error ? error : new Error(String(error));
        for (const call of [...taken, ...this.#queue.splice(0)]) call.reject(this.#failure);
      }
    }
    this.#working = null;
  }

  /** One exclusive call, or as many appends as fit one write. */
  #take(): readonly (Append | Exclusive)[] {
    const first = this.#queue.shift();
    if (first === undefined) return [];
    const taken = [first];
    let bytes = first.type === 'append' ? payloadBytes(first.entries) : max_batch_bytes;
    while (bytes < max_batch_bytes) {
      const next = this.#queue[0];
      if (next?.type !== 'append') break;
      this.#queue.shift();
      taken.push(next);
      bytes += payloadBytes(next.entries);
    }
    return taken;
  }

  async #run(taken: readonly (Append | Exclusive)[]): Promise<void> {
    const appends: Append[] = [];
    for (const call of taken) {
      if (call.type === 'exclusive') await call.run();
      else appends.push(call);
    }
    if (appends.length > 0) await this.#append(appends);
  }

  async #append(calls: readonly Append[]): Promise<void> {
    let hard_state = this.#writer.hard_state;
    let last = this.#writer.point.last_index;
    let min_index: number | null = null;
    for (const call of calls) {
      if (call.hard_state !== null) {
        checkHardState(hard_state, call.hard_state);
        hard_state = call.hard_state;
      }
      const first = call.entries[0];
      if (first === undefined) continue;
      checkEntries(call.entries, last, this.#boundary.meta.index);
      min_index = Math.min(min_index ?? first.index, first.index);
      last = call.entries.at(-1)!.index;
    }
    if (this.#writer.end >= this.#options.segment_bytes) await this.#roll();
    const entries = calls.flatMap((call) => call.entries);
    await this.#writer.append(entries, hard_state, this.#withReserve, this.#options.room_bytes);
    const segment = this.#segments.at(-1)!;
    if (min_index !== null) segment.min_index = Math.min(segment.min_index ?? min_index, min_index);
  }

  /** The new segment is durable before the old one is sealed, and that before anything is written to the new one. */
  async #roll(): Promise<void> {
    const { hard_state, point, number } = this.#writer;
    const next = await SegmentWriter.create(this.#disk, number + 1, hard_state, point, this.#withReserve);
    await this.#writer.seal();
    await this.#writer.close();
    this.#writer = next;
    this.#segments.push({ number: next.number, min_index: null });
  }

  async #compact(meta: SnapshotMeta, keep_entries: number): Promise<void> {
    const last = this.#writer.point.last_index;
    if (meta.index > last) throw new Error(`log store: compaction to ${meta.index}, the log ends at ${last}`);
    if (meta.index <= this.#boundary.meta.index) return;
    const needed = Math.max(1, meta.index - keep_entries + 1);
    let keep_from = needed > last ? this.#segments.length - 1 : 0;
    this.#segments.forEach((segment, i) => {
      if (segment.min_index !== null && segment.min_index <= needed) keep_from = Math.max(keep_from, i);
    });
    await this.#moveBoundary(meta, this.#segments[keep_from]!.number);
  }

  async #reset(meta: SnapshotMeta, hard_state: HardState): Promise<void> {
    checkHardState(this.#writer.hard_state, hard_state);
    const { number, point } = this.#writer;
    const base = { ...point, last_index: meta.index };
    const next = await SegmentWriter.create(this.#disk, number + 1, hard_state, base, this.#withReserve);
    await this.#writer.close();
    this.#writer = next;
    this.#segments.push({ number: next.number, min_index: null });
    await this.#moveBoundary(meta, next.number);
  }

  /** First the boundary, durably; then what lies before it goes. */
  async #moveBoundary(meta: SnapshotMeta, first_segment: number): Promise<void> {
    const boundary = { sequence: this.#boundary.sequence + 1, first_segment, meta };
    await writeBoundary(this.#disk, boundary, this.#withReserve);
    this.#boundary = boundary;
    const gone = this.#segments.filter((segment) => segment.number < first_segment);
    this.#segments = this.#segments.filter((segment) => segment.number >= first_segment);
    for (const segment of gone) await this.#disk.remove(segmentName(segment.number));
    if (gone.length > 0) await this.#disk.syncDirectory();
    if (!this.#reserved && this.#options.reserve_bytes > 0) {
      this.#reserved = await makeReserve(this.#disk, await this.#disk.list(), this.#options.reserve_bytes);
      this.#pressure &&= !this.#reserved;
    }
  }

  /**
   * Does `write`; on a full disk gives the reserve up and does it once more. Only for writes that are whole again when
   * repeated, never for a sync.
   */
  readonly #withReserve: WriteGuard = async (write) => {
    try {
      return await write();
    } catch (error) {
      if (!isDiskFull(error) || !this.#reserved) throw error;
      this.#options.warn('the disk is full; the reserve of the log is given up', {
        reserve_bytes: this.#options.reserve_bytes,
      });
      this.#reserved = false;
      this.#pressure = true;
      await releaseReserve(this.#disk);
      return await write();
    }
  };
}

function payloadBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length, 0);
}

/** A term never falls, and a vote once given in a term stays (thesis, figure 3.1). */
function checkHardState(before: HardState, after: HardState): void {
  const changed_vote = after.term === before.term && before.vote !== 0 && after.vote !== before.vote;
  if (after.term < before.term || changed_vote) {
    const show = (h: HardState) => `term ${h.term}, vote ${h.vote}`;
    throw new Error(`log store: hard state would go back from ${show(before)} to ${show(after)}`);
  }
}

function checkEntries(entries: readonly Entry[], last: number, boundary: number): void {
  const first = entries[0]!.index;
  if (first > last + 1) throw new Error(`log store: entry ${first} would leave a hole after ${last}`);
  if (first <= boundary)
    throw new Error(`log store: entry ${first} is within the snapshot up to ${boundary}`);
  entries.forEach((entry, i) => {
    if (entry.index !== first + i) throw new Error(`log store: entry ${entry.index}, expected ${first + i}`);
    const before = entries[i - 1];
    if (before !== undefined && entry.term < before.term) {
      throw new Error(
        `log store: entry ${entry.index} of term ${entry.term} follows one of term ${before.term}`,
      );
    }
  });
}
