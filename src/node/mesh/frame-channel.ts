/**
 * Frames over one carrier stream. All frames sent in one turn leave in one write: each write costs an encryption, a
 * muxer frame and a system call, and joining was measured to be worth a factor of seven. The queue in front of the
 * stream is bounded; what happens when it is full is the owner's choice. Never holds more than one batch in the stream.
 */
import type { CarrierStream } from './carrier.ts';
import { FrameError, FrameReader, frame_header_bytes, joinFrames } from './frame-reader.ts';
import { mesh_limits } from './limits.ts';

export interface FrameChannelOptions {
  readonly max_frame_bytes: number;
  readonly queue_bytes: number;
  readonly onFrame: (frame: Uint8Array) => void;
  /** The remote broke the framing; the owner ends the connection. */
  readonly onBad: (reason: string) => void;
}

export class FrameChannel {
  readonly #stream: CarrierStream;
  readonly #options: FrameChannelOptions;
  readonly #reader: FrameReader;
  #queue: Uint8Array[] = [];
  #head = 0;
  #queued_bytes = 0;
  #writes = 0;
  #scheduled = false;
  #flushing = false;
  #closing = false;
  #ended = false;
  #onEmpty: (() => void) | null = null;

  constructor(stream: CarrierStream, options: FrameChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new FrameReader(options.max_frame_bytes, options.onFrame);
    stream.onDrain(() => this.#flush());
    stream.onData((chunk) => this.#receive(chunk));
  }

  get queued_bytes(): number {
    return this.#queued_bytes;
  }

  /** Batches that the stream took so far: what was dropped from the queue does not count. */
  get writes(): number {
    return this.#writes;
  }

  /** Called whenever the queue has become empty. */
  onEmpty(handler: () => void): void {
    this.#onEmpty = handler;
  }

  /**
   * Queues a frame. Returns false, having done nothing, when it is over the frame limit, the queue would exceed
   * `queue_bytes` (or `limit_bytes`), or the channel has ended.
   */
  send(frame: Uint8Array, limit_bytes: number = this.#options.queue_bytes): boolean {
    if (this.#ended || this.#closing) return false;
    const size = frame.byteLength + frame_header_bytes;
    if (frame.byteLength > this.#options.max_frame_bytes || this.#queued_bytes + size > limit_bytes)
      return false;
    this.#queue.push(frame);
    this.#queued_bytes += size;
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return true;
  }

  /** Queues a frame, dropping the oldest ones for it. Returns how many were dropped. */
  sendDroppingOldest(frame: Uint8Array): number {
    if (this.#ended || this.#closing || frame.byteLength > this.#options.max_frame_bytes) return 0;
    let dropped = 0;
    while (!this.send(frame) && this.#head < this.#queue.length) {
      this.#shift();
      dropped++;
    }
    return dropped;
  }

  /** Sends what is queued, then ends the stream. */
  close(): void {
    if (this.#ended || this.#closing) return;
    this.#closing = true;
    this.#flush();
  }

  /** Nothing is sent or delivered after this. */
  end(): void {
    this.#ended = true;
    this.#reader.stop();
    this.#queue = [];
    this.#head = 0;
    this.#queued_bytes = 0;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#options.onBad(error.message);
    }
  }

  #shift(): Uint8Array {
    const frame = this.#queue[this.#head]!;
    this.#head++;
    this.#queued_bytes -= frame.byteLength + frame_header_bytes;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return frame;
  }

  #flush(): void {
    // A write may report "drained" before it returns; without this it would recurse.
    if (this.#flushing || this.#ended) return;
    this.#flushing = true;
    const had = this.#queued_bytes > 0;
    try {
      while (this.#head < this.#queue.length && this.#stream.writable) {
        const batch: Uint8Array[] = [];
        let bytes = 0;
        while (this.#head < this.#queue.length && bytes < mesh_limits.write_batch_bytes) {
          const frame = this.#shift();
          batch.push(frame);
          bytes += frame.byteLength + frame_header_bytes;
        }
        this.#writes += 1;
        this.#stream.send(joinFrames(batch));
      }
    } finally {
      this.#flushing = false;
    }
    if (this.#ended || this.#queued_bytes > 0) return;
    if (had) this.#onEmpty?.();
    if (this.#closing) {
      this.#ended = true;
      this.#stream.close();
    }
  }
}
