/**
 * Checksums of what is written to disk. CRC32 finds torn and rotted bytes; the chain hash ties each record to all that
 * came before it, so that a record that is missing, old or in the wrong place is found too.
 */
import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';

/** Bytes of a chain hash: SHA-256, cut to 128 bits. */
export const chain_bytes = 16;

/** CRC32 (IEEE 802.3) of `bytes`. */
export function crc32(bytes: Uint8Array): number {
  return zlibCrc32(bytes);
}

/** The chain hash of a record whose bytes include its predecessor's chain hash. */
export function chainHash(record: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(record).digest().subarray(0, chain_bytes));
}

/** Whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
