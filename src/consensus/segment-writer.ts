/**
 * Writes one segment. After a failed call the writer is in an unknown state and must not be used again, except to
 * close it; only a failed write of a record may be repeated, through the `guard`.
 */
import { segmentName } from './log-recovery.ts';
import { isDiskFull } from './reserve-file.ts';
import {
  type ChainPoint,
  encodeBatch,
  encodeSlot,
  records_offset,
  type Slot,
  slotOffset,
} from './segment.ts';
import type { Entry, HardState, LogDisk, LogFile } from './types.ts';
import { unguarded, type WriteGuard } from './write-guard.ts';

export class SegmentWriter {
  readonly number: number;
  readonly #file: LogFile;
  #slot: Slot;
  /** Where the last *synced* slot is; only the other one may be written. */
  #synced_at: 0 | 1;
  #end: number;
  /** Up to here the file has room that was written once, with zeros: see {@link append}. */
  #room_end: number;
  #point: ChainPoint;

  private constructor(file: LogFile, slot: Slot, synced_at: 0 | 1, end: number, point: ChainPoint) {
    this.number = slot.segment;
    this.#file = file;
    this.#slot = slot;
    this.#synced_at = synced_at;
    this.#end = end;
    this.#room_end = end;
    this.#point = point;
  }

  /** A new segment, durable under its name when this resolves. */
  static async create(
    disk: LogDisk,
    number: number,
    hard_state: HardState,
    base: ChainPoint,
    guard: WriteGuard = unguarded,
  ): Promise<SegmentWriter> {
    const { batch } = base;
    const end = records_offset;
    const slot: Slot = {
      segment: number,
      sequence: 2,
      hard_state,
      batch,
      durable_end: end,
      sealed: false,
      base,
    };
    const file = await guard(() => disk.open(segmentName(number)));
    try {
      await guard(async () => {
        await file.truncate(0);
        await file.write(slotOffset(0), encodeSlot(slot));
        // Term and vote are stored twice from the first moment on.
        await file.write(slotOffset(1), encodeSlot({ ...slot, sequence: 1 }));
        await file.truncate(end);
      });
      await file.sync();
      await disk.syncDirectory();
    } catch (error) {
      await file.close();
      throw error;
    }
    return new SegmentWriter(file, slot, 0, end, base);
  }

  /** Goes on with a segment that was read: drops its torn tail and makes durable what is relied on from here on. */
  static async resume(
    disk: LogDisk,
    found: {
      readonly slot: Slot;
      readonly which: 0 | 1;
      readonly end: number;
      readonly point: ChainPoint;
      readonly torn_bytes: number;
    },
    hard_state: HardState,
  ): Promise<SegmentWriter> {
    const file = await disk.open(segmentName(found.slot.segment));
    const slot = { ...found.slot, hard_state };
    const writer = new SegmentWriter(file, slot, found.which, found.end, found.point);
    try {
      if (found.torn_bytes > 0) await file.truncate(found.end);
      // What was read may so far be in the page cache only.
      await file.sync();
      await writer.markDurable(true);
    } catch (error) {
      await file.close();
      throw error;
    }
    return writer;
  }

  get hard_state(): HardState {
    return this.#slot.hard_state;
  }

  /** Where the next batch will begin. */
  get end(): number {
    return this.#end;
  }

  get point(): ChainPoint {
    return this.#point;
  }

  /**
   * One batch: durable when it resolves. The slot goes out under the same sync and says only what was durable before.
   * @param room_bytes how much room to make behind a batch that needs more than there is; at most as much as the segment
   * has by then. A sync after a write into such room takes one write of the disk; where the file grows, the file system
   * has to record that as well.
   */
  async append(
    entries: readonly Entry[],
    hard_state: HardState,
    guard: WriteGuard,
    room_bytes = 0,
  ): Promise<void> {
    const { bytes, end } = encodeBatch(entries, hard_state, this.#point, this.#end);
    await guard(() => this.#file.write(this.#end, bytes));
    await this.#makeRoom(this.#end + bytes.length, room_bytes);
    await guard(() => this.#writeSlot({ hard_state, batch: end.batch, durable_end: this.#end }));
    await this.#sync();
    this.#end += bytes.length;
    this.#point = end;
  }

  /**
   * Notes in the slot that everything written is durable, so that damage to the last batch can be told from a torn
   * write. Without `sync` it reaches the disk some time later, which is soon enough.
   */
  async markDurable(sync: boolean): Promise<void> {
    await this.#writeSlot({ batch: this.#point.batch, durable_end: this.#end });
    if (sync) await this.#sync();
  }

  /** Notes that a successor exists, and gives back the room that was not used. */
  async seal(): Promise<void> {
    if (this.#room_end > this.#end) await this.#file.truncate(this.#end);
    await this.#writeSlot({ batch: this.#point.batch, durable_end: this.#end, sealed: true });
    await this.#sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Zeros from `end` on, if it is beyond what there is. For want of space there is none: the batch itself fits. */
  async #makeRoom(end: number, room_bytes: number): Promise<void> {
    if (end <= this.#room_end) return;
    this.#room_end = end;
    const size = Math.min(room_bytes, end);
    if (size === 0) return;
    try {
      await this.#file.write(end, new Uint8Array(size));
      this.#room_end = end + size;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  async #writeSlot(change: Partial<Slot>): Promise<void> {
    const slot = { ...this.#slot, ...change, sequence: this.#slot.sequence + 1 };
    await this.#file.write(slotOffset(this.#synced_at === 0 ? 1 : 0), encodeSlot(slot));
    this.#slot = slot;
  }

  async #sync(): Promise<void> {
    await this.#file.sync();
    this.#synced_at = this.#synced_at === 0 ? 1 : 0;
  }
}
