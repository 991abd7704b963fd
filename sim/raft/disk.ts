/**
 * A disk that a crash treats as badly as a real one may: of what was not synced each 512-byte sector survives or not,
 * in any order, and of names a prefix of the changes. What was synced stays. Latency and errors come from outside, per
 * operation. The bytes are kept once, with an undo record for each write since the last sync. What is at rest changes only
 * when asked to: a rotten place, a write that goes astray.
 */
import type { LogDisk, LogFile } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';

const sector_bytes = 512;

export type DiskOperation =
  | 'list'
  | 'read'
  | 'open'
  | 'rename'
  | 'remove'
  | 'directory'
  | 'write'
  | 'truncate'
  | 'sync';

interface Pending {
  readonly offset: number;
  /** null: a truncation to `offset`. */
  readonly bytes: Uint8Array | null;
  readonly before: Uint8Array;
  readonly size_before: number;
}

interface Inode {
  content: Uint8Array;
  size: number;
  pending: Pending[];
}

/** What of a disk holds the log; the rest is its reserve, and what was set aside. */
const log_file = /^(segment|snapshot)-/;

/** An error as the operating system would give it. */
export function diskError(code: 'EIO' | 'ENOSPC' | 'ENOENT', what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export class SimDisk {
  /** Bytes that fit. */
  capacity_bytes = Number.POSITIVE_INFINITY;
  used_bytes = 0;
  /** Asked with the size of a log file for each write to it: where else it goes, null: where it should. */
  astray: ((name: string, offset: number, size: number) => number | null) | null = null;
  #names = new Map<string, Inode>();
  #durable_names = new Map<string, Inode>();
  /** Changes of names since the directory was synced. */
  #name_changes: ((names: Map<string, Inode>) => void)[] = [];

  /**
   * The disk as one process sees it.
   * @param before awaited before each operation; throws what the operation fails with
   */
  attach(before: (operation: DiskOperation, name: string) => Promise<void> | null): LogDisk {
    const enter = async (operation: DiskOperation, name: string): Promise<void> => {
      const wait = before(operation, name);
      if (wait !== null) await wait;
    };
    return {
      list: async () => {
        await enter('list', '');
        return [...this.#names.keys()].sort();
      },
      read: async (name) => {
        await enter('read', name);
        const inode = this.#find(name);
        return inode.content.slice(0, inode.size);
      },
      open: async (name) => {
        await enter('open', name);
        let inode = this.#names.get(name);
        if (inode === undefined) {
          inode = { content: new Uint8Array(16_384), size: 0, pending: [] };
          const created = inode;
          this.#changeNames((names) => names.set(name, created));
        }
        return this.#file(name, inode, enter);
      },
      rename: async (from, to) => {
        await enter('rename', from);
        const inode = this.#find(from);
        this.#changeNames((names) => names.set(to, inode).delete(from));
      },
      remove: async (name) => {
        await enter('remove', name);
        this.#find(name);
        this.#changeNames((names) => names.delete(name));
      },
      syncDirectory: async () => {
        await enter('directory', '');
        this.#durable_names = new Map(this.#names);
        this.#name_changes = [];
      },
    };
  }

  /** Something would be at risk if the power went now. */
  get dirty(): boolean {
    if (this.#name_changes.length > 0) return true;
    for (const inode of this.#names.values()) if (inode.pending.length > 0) return true;
    return false;
  }

  /** The power goes and comes back: what was not synced survives in part. */
  crash(draws: Knobs): void {
    const names = new Map(this.#durable_names);
    const kept = draws.integer(0, this.#name_changes.length);
    for (const change of this.#name_changes.slice(0, kept)) change(names);
    const inodes = new Set([...this.#durable_names.values(), ...this.#names.values()]);
    for (const inode of inodes) tear(inode, draws);
    this.#names = names;
    this.#durable_names = new Map(names);
    this.#name_changes = [];
    this.#measure();
  }

  /**
   * Changes one place of what is at rest in the log: a bit, or a few bytes in a row. What the operating system holds is
   * what a later start reads. @returns which; null: there is no log yet
   */
  rot(draws: Knobs): string | null {
    const files = [...this.#names].filter(([name, { size }]) => log_file.test(name) && size > 0);
    if (files.length === 0) return null;
    const [name, inode] = draws.pick(files);
    // Mostly where something is: much of a segment is blank.
    let at = draws.integer(0, inode.size - 1);
    for (let tries = 0; tries < 6 && inode.content[at] === 0; tries++) at = draws.integer(0, inode.size - 1);
    const length = draws.chance(0.7) ? 1 : Math.min(draws.integer(2, 64), inode.size - at);
    for (let i = at; i < at + length; i++) {
      const bits = length === 1 ? 1 << draws.integer(0, 7) : draws.integer(1, 255);
      inode.content[i] = inode.content[i]! ^ bits;
    }
    return `${name} at ${at}, ${length === 1 ? 'one bit' : `${length} bytes`}`;
  }

  #file(
    name: string,
    inode: Inode,
    enter: (operation: DiskOperation, name: string) => Promise<void>,
  ): LogFile {
    return {
      write: async (wanted, bytes) => {
        const copy = bytes.slice();
        await enter('write', name);
        const offset = (log_file.test(name) ? this.astray?.(name, wanted, inode.size) : null) ?? wanted;
        const growth = Math.max(0, offset + copy.length - inode.size);
        if (growth > 0 && this.used_bytes + growth > this.capacity_bytes)
          throw diskError('ENOSPC', `write ${name}`);
        this.used_bytes += growth;
        inode.pending.push({
          offset,
          bytes: copy,
          before: inode.content.slice(offset, Math.min(inode.size, offset + copy.length)),
          size_before: inode.size,
        });
        place(inode, offset, copy);
      },
      truncate: async (size) => {
        await enter('truncate', name);
        inode.pending.push({
          offset: size,
          bytes: null,
          before: inode.content.slice(size, inode.size),
          size_before: inode.size,
        });
        resize(inode, size);
        this.#measure();
      },
      sync: async () => {
        // Only what was written before it began.
        const covered = inode.pending.length;
        await enter('sync', name);
        inode.pending.splice(0, covered);
      },
      close: () => Promise.resolve(),
    };
  }

  #find(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw diskError('ENOENT', name);
    return inode;
  }

  #changeNames(change: (names: Map<string, Inode>) => void): void {
    change(this.#names);
    this.#name_changes.push(change);
    this.#measure();
  }

  #measure(): void {
    this.used_bytes = 0;
    for (const inode of this.#names.values()) this.used_bytes += inode.size;
  }
}

function resize(inode: Inode, size: number): void {
  if (size > inode.content.length) {
    const larger = new Uint8Array(Math.max(size, 2 * inode.content.length));
    larger.set(inode.content.subarray(0, inode.size));
    inode.content = larger;
  }
  if (size < inode.size) inode.content.fill(0, size, inode.size);
  inode.size = size;
}

function place(inode: Inode, offset: number, bytes: Uint8Array): void {
  if (offset + bytes.length > inode.size) resize(inode, offset + bytes.length);
  inode.content.set(bytes, offset);
}

/** Takes back what was not synced, then lets part of it happen after all. */
function tear(inode: Inode, draws: Knobs): void {
  const pending = inode.pending;
  inode.pending = [];
  for (const { offset, bytes, before, size_before } of pending.toReversed()) {
    if (bytes === null) resize(inode, size_before);
    place(inode, offset, before);
    resize(inode, size_before);
  }
  for (const { offset, bytes } of pending) {
    const fate = draws.random();
    if (fate < 0.3) continue;
    if (bytes === null) {
      resize(inode, offset);
    } else if (fate < 0.5) {
      place(inode, offset, bytes);
    } else {
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + sector_bytes - ((offset + at) % sector_bytes));
        if (draws.chance(0.6)) place(inode, offset + at, bytes.subarray(at, end));
        at = end;
      }
    }
  }
}
