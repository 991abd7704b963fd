/**
 * A {@link LogDisk} in memory that fails on purpose: for tests and for the simulator. It keeps apart what is durable
 * and what a crash may lose, in part or torn, and it never behaves better than a real disk is allowed to: names need
 * `syncDirectory`, contents need `sync`. No clock and no chance of its own; both come through the {@link DiskFaults}.
 */
import type { LogDisk, LogFile } from './types.ts';

export type DiskOperation =
  | 'list'
  | 'read'
  | 'open'
  | 'rename'
  | 'remove'
  | 'sync-directory'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'close';

export interface DiskFaults {
  /**
   * Called before each operation, numbered from 1. It may wait (a slow disk), throw (see {@link diskError}), or call
   * {@link MemoryDisk.powerOff}.
   */
  before?: (operation: DiskOperation, name: string, count: number) => Promise<void> | void;
  /** Bytes that fit; more is ENOSPC. */
  capacity_bytes?: number;
}

type Pending =
  | { readonly type: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'truncate'; readonly size: number };

interface Inode {
  durable: Uint8Array;
  pending: Pending[];
  current: Uint8Array;
}

/** An error as the operating system would give it. */
export function diskError(code: 'EIO' | 'ENOSPC' | 'ENOENT', what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export class MemoryDisk implements LogDisk {
  /** May be changed at any time. */
  faults: DiskFaults;
  #durable_names = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  #count = 0;
  #off = false;

  constructor(faults: DiskFaults = {}) {
    this.faults = faults;
  }

  /** Operations so far. */
  get count(): number {
    return this.#count;
  }

  async list(): Promise<readonly string[]> {
    await this.#enter('list', '');
    return [...this.#names.keys()].sort();
  }

  async read(name: string): Promise<Uint8Array> {
    await this.#enter('read', name);
    return this.#find(name).current.slice();
  }

  async open(name: string): Promise<LogFile> {
    await this.#enter('open', name);
    let inode = this.#names.get(name);
    if (inode === undefined) {
      inode = { durable: new Uint8Array(0), pending: [], current: new Uint8Array(0) };
      this.#names.set(name, inode);
    }
    return this.#file(name, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#enter('rename', from);
    this.#names.set(to, this.#find(from));
    this.#names.delete(from);
  }

  async remove(name: string): Promise<void> {
    await this.#enter('remove', name);
    this.#find(name);
    this.#names.delete(name);
  }

  async syncDirectory(): Promise<void> {
    await this.#enter('sync-directory', '');
    this.#durable_names = new Map(this.#names);
  }

  /** From now on every call fails, also those under way; go on with {@link afterCrash}. */
  powerOff(): void {
    this.#off = true;
  }

  /**
   * What is found after a crash. Of what was not synced `keep` decides, write by write: how much of it reached the
   * disk, from 0 (nothing) to 1 (all); in between it is torn. `keep` is asked for names (0 or 1) as well.
   */
  afterCrash(keep: () => number, faults: DiskFaults = {}): MemoryDisk {
    this.#off = true;
    const next = new MemoryDisk(faults);
    const names = new Map(this.#durable_names);
    // Directory changes reach the disk in order (a journal), so that only the last ones can be lost.
    if (keep() >= 0.5) for (const [name, inode] of this.#names) names.set(name, inode);
    if (names.size > 0 && keep() >= 1) {
      for (const name of [...names.keys()]) if (!this.#names.has(name)) names.delete(name);
    }
    for (const [name, inode] of names) {
      const content = survivingContent(inode, keep);
      next.#names.set(name, { durable: content, pending: [], current: content.slice() });
    }
    next.#durable_names = new Map(next.#names);
    return next;
  }

  /** The same disk after the process ended but the machine did not: all that was written is there, nothing more is synced. */
  afterKill(faults: DiskFaults = {}): MemoryDisk {
    this.#off = true;
    const next = new MemoryDisk(faults);
    next.#names = new Map(this.#names);
    next.#durable_names = new Map(this.#durable_names);
    return next;
  }

  /** Another disk with the same contents, all of it durable. */
  clone(): MemoryDisk {
    const next = new MemoryDisk();
    for (const [name, { current }] of this.#names) {
      next.#names.set(name, { durable: current.slice(), pending: [], current: current.slice() });
    }
    next.#durable_names = new Map(next.#names);
    return next;
  }

  /** Rot: flips one bit of what is stored. */
  flipBit(name: string, offset: number, bit: number): void {
    const inode = this.#find(name);
    for (const bytes of [inode.current, inode.durable]) {
      if (offset < bytes.length) bytes[offset] = bytes[offset]! ^ (1 << bit);
    }
  }

  /** Loses a file. */
  lose(name: string): void {
    this.#find(name);
    this.#names.delete(name);
    this.#durable_names.delete(name);
  }

  /** What all files take. */
  get used_bytes(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode.current.length;
    return used;
  }

  /** The size of a file; -1 if there is none. */
  size(name: string): number {
    return this.#names.get(name)?.current.length ?? -1;
  }

  #find(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw diskError('ENOENT', name);
    return inode;
  }

  async #enter(operation: DiskOperation, name: string): Promise<void> {
    this.#count += 1;
    if (!this.#off) await this.faults.before?.(operation, name, this.#count);
    if (this.#off) throw diskError('EIO', `${operation} ${name}: the power is off`);
  }

  #file(name: string, inode: Inode): LogFile {
    return {
      write: async (offset, bytes) => {
        const copy = bytes.slice();
        const pending = { type: 'write', offset, bytes: copy } as const;
        const before = this.faults.before;
        try {
          await this.#enter('write', name);
        } catch (error) {
          // A write cut off by the power may have reached the disk in part.
          if (this.#off && before !== undefined) inode.pending.push(pending);
          throw error;
        }
        const growth = Math.max(0, offset + bytes.length - inode.current.length);
        if (
          growth > 0 &&
          this.used_bytes + growth > (this.faults.capacity_bytes ?? Number.POSITIVE_INFINITY)
        ) {
          throw diskError('ENOSPC', `write ${name}`);
        }
        inode.pending.push(pending);
        inode.current = applied(inode.current, pending);
      },
      truncate: async (size) => {
        await this.#enter('truncate', name);
        inode.pending.push({ type: 'truncate', size });
        inode.current = applied(inode.current, { type: 'truncate', size });
      },
      sync: async () => {
        await this.#enter('sync', name);
        inode.durable = inode.current.slice();
        inode.pending = [];
      },
      close: async () => {
        await this.#enter('close', name);
      },
    };
  }
}

function applied(content: Uint8Array, change: Pending): Uint8Array {
  const size =
    change.type === 'truncate' ? change.size : Math.max(content.length, change.offset + change.bytes.length);
  const next = size === content.length ? content : new Uint8Array(size);
  if (next !== content) next.set(content.subarray(0, size));
  if (change.type === 'write') next.set(change.bytes, change.offset);
  return next;
}

function survivingContent(inode: Inode, keep: () => number): Uint8Array {
  let content: Uint8Array = inode.durable.slice();
  for (const change of inode.pending) {
    const share = keep();
    if (change.type === 'truncate') {
      if (share > 0) content = applied(content, change);
    } else if (share > 0) {
      const bytes = change.bytes.subarray(0, Math.ceil(change.bytes.length * Math.min(1, share)));
      content = applied(content, { ...change, bytes });
    }
  }
  return content;
}
