/**
 * What a client and a replica of this benchmark say to each other over TCP: frames of a length, the request's number, a
 * code and a body. Requests are answered in any order. Pure: bytes in, frames out.
 */
import { Buffer } from 'node:buffer';

export const op_codes = { put: 1, get: 2, leads: 3 } as const;
/** In answers. `failed` has the reason as its body. */
export const status_codes = { done: 0, failed: 1 } as const;

export interface Frame {
  readonly id: number;
  readonly code: number;
  readonly body: Buffer;
}

const head_bytes = 9;

export function encodeFrame(id: number, code: number, ...body: readonly Uint8Array[]): Buffer {
  const head = Buffer.allocUnsafe(head_bytes);
  const length = body.reduce((sum, part) => sum + part.length, 0);
  head.writeUInt32LE(length, 0);
  head.writeUInt32LE(id, 4);
  head.writeUInt8(code, 8);
  return Buffer.concat([head, ...body], head_bytes + length);
}

/** Whole frames out of a byte stream, as they are complete; bodies are views of what was pushed. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): readonly Frame[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    let at = 0;
    while (all.length - at >= head_bytes) {
      const end = at + head_bytes + all.readUInt32LE(at);
      if (end > all.length) break;
      const body = all.subarray(at + head_bytes, end);
      frames.push({ id: all.readUInt32LE(at + 4), code: all.readUInt8(at + 8), body });
      at = end;
    }
    this.#rest = all.subarray(at);
    return frames;
  }
}

/** A put: the key's length, the key, the value. It is the entry in the log, too. */
export function encodePut(key: string, value: Uint8Array): Buffer {
  const name = Buffer.from(key, 'latin1');
  return Buffer.concat([Buffer.from([name.length]), name, value]);
}

export function decodePut(data: Uint8Array): { readonly key: string; readonly value: Uint8Array } {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const begin = 1 + bytes.readUInt8(0);
  return { key: bytes.toString('latin1', 1, begin), value: bytes.subarray(begin) };
}
