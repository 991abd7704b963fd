/**
 * Cuts a byte stream into frames: u32 big-endian length, then that many bytes. Each frame handed out owns its memory,
 * so that keeping one does not keep a whole receive buffer. A length over the limit is an error before any of it is
 * read; the stream cannot be used after that.
 */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

export const frame_header_bytes = 4;

export class FrameReader {
  readonly #max_bytes: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #header = new Uint8Array(frame_header_bytes);
  #header_have = 0;
  #body: Uint8Array | null = null;
  #body_have = 0;
  #stopped = false;

  constructor(max_bytes: number, onFrame: (frame: Uint8Array) => void) {
    this.#max_bytes = max_bytes;
    this.#onFrame = onFrame;
  }

  /** No frame is handed out after this, even from a chunk that is being read. */
  stop(): void {
    this.#stopped = true;
    this.#body = null;
  }

  /** Throws {@link FrameError} on a frame over the limit. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength && !this.#stopped) {
      if (this.#body === null) {
        const end = this.#header_have === 0 ? this.#endOfWhole(chunk, at) : 0;
        if (end > 0) {
          const frame = new Uint8Array(chunk.subarray(at + frame_header_bytes, end));
          at = end;
          this.#onFrame(frame);
          continue;
        }
        const take = Math.min(frame_header_bytes - this.#header_have, chunk.byteLength - at);
        this.#header.set(chunk.subarray(at, at + take), this.#header_have);
        this.#header_have += take;
        at += take;
        if (this.#header_have < frame_header_bytes) return;
        this.#begin();
      } else {
        const take = Math.min(this.#body.byteLength - this.#body_have, chunk.byteLength - at);
        this.#body.set(chunk.subarray(at, at + take), this.#body_have);
        this.#body_have += take;
        at += take;
      }
      if (this.#body !== null && this.#body_have === this.#body.byteLength) {
        const frame = this.#body;
        this.#body = null;
        this.#header_have = 0;
        this.#onFrame(frame);
      }
    }
  }

  /** Where the frame that begins at `at` ends, if all of it is in `chunk` as mostly it is; otherwise 0. */
  #endOfWhole(chunk: Uint8Array, at: number): number {
    if (at + frame_header_bytes > chunk.byteLength) return 0;
    const length = frameLength(chunk, at);
    const end = at + frame_header_bytes + length;
    return length <= this.#max_bytes && end <= chunk.byteLength ? end : 0;
  }

  #begin(): void {
    const length = frameLength(this.#header, 0);
    if (length > this.#max_bytes) {
      this.stop();
      throw new FrameError(`frame of ${length} bytes, expected at most ${this.#max_bytes}`);
    }
    this.#body = new Uint8Array(length);
    this.#body_have = 0;
  }
}

function frameLength(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x1000000 + bytes[at + 1]! * 0x10000 + bytes[at + 2]! * 0x100 + bytes[at + 3]!;
}

/** One buffer holding all the frames with their lengths. */
export function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const frame of frames) total += frame_header_bytes + frame.byteLength;
  const out = new Uint8Array(total);
  let at = 0;
  for (const frame of frames) {
    const length = frame.byteLength;
    out[at] = length >>> 24;
    out[at + 1] = length >>> 16;
    out[at + 2] = length >>> 8;
    out[at + 3] = length;
    out.set(frame, at + frame_header_bytes);
    at += frame_header_bytes + length;
  }
  return out;
}
