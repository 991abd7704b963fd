/**
 * Writes one segment. After a failed call the writer is in an unknown state and must not be used again, except to
 * close it; only a failed write of a record may be repeated, through the `guard`.
 */
import { segmentName } from './log-recovery.ts';
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
  #point: ChainPoint;

  private constructor(file: LogFile, slot: Slot, synced_at: 0 | 1, end: number, point: ChainPoint) {
    this.number = slot.segment;
    this.#file = file;
    this.#slot = slot;
    this.#synced_at = synced_at;
    this.#end = end;
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

  /** The size of the file. */
  get end(): number {
    return this.#end;
  }

  get point(): ChainPoint {
    return this.#point;
  }

  /** One batch: durable when it resolves. The slot goes out under the same sync and says only what was durable before. */
  async append(entries: readonly Entry[], hard_state: HardState, guard: WriteGuard): Promise<void> {
    const { bytes, end } = encodeBatch(entries, hard_state, this.#point, this.#end);
    await guard(() => this.#file.write(this.#end, bytes));
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

  /** Notes that a successor exists. */
  async seal(): Promise<void> {
    await this.#writeSlot({ batch: this.#point.batch, durable_end: this.#end, sealed: true });
    await this.#sync();
  }

  close(): Promise<void> {
    return this.#file.close();
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
