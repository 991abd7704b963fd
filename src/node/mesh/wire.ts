/**
 * The one encoding of the mesh: msgpack without records, so that every frame can be read by itself. Encoded bytes
 * own their memory.
 */
import { Packr } from 'msgpackr';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Throws on what cannot be encoded. */
export function encodeWire(value: unknown): Uint8Array {
  // pack() returns a view of a shared buffer that later calls write into.
  return new Uint8Array(packr.pack(value));
}

/** Throws on truncated, trailing or malformed bytes. Buffers inside the result alias `bytes`. */
export function decodeWire(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
