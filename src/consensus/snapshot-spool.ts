/**
 * Where a snapshot waits while it arrives. What is read is what was appended, byte for byte, or an error. It outlives a
 * broken connection and no process: nothing is synced, since nothing is promised on it; what a former life left is removed
 * by the first `clear`. It must never touch any other file of its directory.
 */
import { crc32 } from './crc.ts';
import type { LogDisk, SnapshotSpool } from './types.ts';

const part_pattern = /^incoming-\d+$/;
/** So much of a snapshot is in memory at a time. A smaller one needs no room on the disk, which may be full. */
const default_part_bytes = 4 * 1024 * 1024;

interface Part {
  readonly name: string;
  readonly bytes: number;
  /** A disk that gives back other bytes is found out. */
  readonly crc: number;
}

/**
 * On a disk, beside whatever else is there: files `incoming-N`, each of `part_bytes` or a little more; what is less than
 * that is held in memory. Errors are the disk's.
 */
export function diskSpool(disk: LogDisk, part_bytes: number = default_part_bytes): SnapshotSpool {
  let parts: Part[] = [];
  let rest: Uint8Array[] = [];
  let rest_bytes = 0;

  async function writeRest(): Promise<void> {
    const content = Buffer.concat(rest);
    const name = `incoming-${parts.length + 1}`;
    const file = await disk.open(name);
    try {
      await file.write(0, content);
    } finally {
      await file.close();
    }
    parts.push({ name, bytes: content.length, crc: crc32(content) });
    rest = [];
    rest_bytes = 0;
  }

  return {
    async clear() {
      parts = [];
      rest = [];
      rest_bytes = 0;
      for (const name of await disk.list()) if (part_pattern.test(name)) await disk.remove(name);
    },
    async append(bytes) {
      rest.push(bytes);
      rest_bytes += bytes.length;
      if (rest_bytes >= part_bytes) await writeRest();
    },
    async *read() {
      for (const { name, bytes, crc } of parts) {
        const content = await disk.read(name);
        if (content.length !== bytes || crc32(content) !== crc)
          throw new Error(`${name} is not what was written: ${content.length} bytes, expected ${bytes}`);
        yield content;
      }
      yield* rest;
    },
  };
}

/** In memory: for those who have no disk, and for tests. */
export function memorySpool(): SnapshotSpool {
  let chunks: Uint8Array[] = [];
  return {
    async clear() {
      chunks = [];
    },
    async append(bytes) {
      chunks.push(bytes);
    },
    async *read() {
      yield* chunks;
    },
  };
}
