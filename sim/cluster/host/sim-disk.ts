/**
 * The log's disk of a simulated host. What a real disk may lose at a power cut this one loses, by chance: names since
 * the last `syncDirectory`, contents since the last `sync`, in part or torn. Contents are kept in pages, and pages of
 * zeros not at all, so that a cluster of hundreds of hosts with a reserve file each fits into memory.
 */
import { diskError } from '../../../src/consensus/memory-disk.ts';
import type { LogDisk, LogFile } from '../../../src/consensus/types.ts';

const page_bytes = 4096;
/** What a disk writes at once: it is there as a whole or not at all. */
const sector_bytes = 512;
/** Longer than what is written at a time when room is set aside. */
const zeros = Buffer.alloc(256 * page_bytes);

/** Waits as the disk does; throws a disk's error. */
export type DiskGate = (act: 'read' | 'write' | 'sync') => Promise<void> | undefined;

type Pending =
  | { readonly type: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'truncate'; readonly size: number };

interface Applied {
  readonly change: Pending;
  /** What was there before, newest last. */
  readonly undo: (() => void)[];
}

class Inode {
  size = 0;
  readonly pages = new Map<number, Uint8Array>();
  /** Changes that are not synced, oldest first: taken back at a power cut. */
  #unsynced: Applied[] = [];

  get unsynced(): number {
    return this.#unsynced.length;
  }

  apply(change: Pending): void {
    const undo: (() => void)[] = [];
    this.#unsynced.push({ change, undo });
    if (change.type === 'write') this.#write(change.offset, change.bytes, undo);
    else this.#truncate(change.size, undo);
  }

  /** The oldest `count` changes are durable. */
  synced(count: number): void {
    this.#unsynced = this.#unsynced.slice(count);
  }

  /** Back to what was synced, then as much of each later change as `keep` says (0 nothing, 1 all, between: torn). */
  crash(keep: () => number): void {
    const lost = this.#unsynced;
    for (const { undo } of lost.toReversed()) for (const back of undo.toReversed()) back();
    for (const { change } of lost) {
      const share = keep();
      if (share <= 0) continue;
      if (change.type === 'truncate') this.apply(change);
      else {
        this.apply({ ...change, bytes: change.bytes.subarray(0, tornAt(change, share)) });
      }
    }
    this.#unsynced = [];
  }

  /** A bit of that page, among the bytes that are not zero: blank sectors hold nothing. */
  flip(page: number, at: number): void {
    const before = this.pages.get(page);
    if (before === undefined) return;
    const filled = [...before.keys()].filter((index) => before[index] !== 0);
    const index = filled[Math.floor(at * filled.length)] ?? 0;
    const next = before.slice();
    next[index] = next[index]! ^ (1 << (Math.floor(at * 8_191) % 8));
    this.pages.set(page, next);
  }

  read(): Uint8Array {
    const all = new Uint8Array(this.size);
    for (const [page, bytes] of this.pages) {
      const at = page * page_bytes;
      if (at < this.size) all.set(bytes.subarray(0, this.size - at), at);
    }
    return all;
  }

  #write(offset: number, bytes: Uint8Array, undo: (() => void)[]): void {
    const size_before = this.size;
    for (let done = 0; done < bytes.length; ) {
      const page = Math.floor((offset + done) / page_bytes);
      const from = offset + done - page * page_bytes;
      const part = bytes.subarray(done, done + page_bytes - from);
      done += part.length;
      const before = this.pages.get(page);
      if (before === undefined && zeros.subarray(0, part.length).equals(part)) continue;
      undo.push(() => this.#put(page, before));
      // A new page each time: the old one is what a power cut brings back.
      const next = before === undefined ? new Uint8Array(page_bytes) : before.slice();
      next.set(part, from);
      this.pages.set(page, next);
    }
    this.size = Math.max(this.size, offset + bytes.length);
    undo.push(() => {
      this.size = size_before;
    });
  }

  #truncate(size: number, undo: (() => void)[]): void {
    const size_before = this.size;
    const first_gone = Math.ceil(size / page_bytes);
    for (const [page, bytes] of [...this.pages]) {
      const tail = size - page * page_bytes;
      if (tail >= page_bytes) continue;
      undo.push(() => this.#put(page, bytes));
      if (page >= first_gone) this.pages.delete(page);
      else {
        const next = bytes.slice();
        next.fill(0, tail);
        this.pages.set(page, next);
      }
    }
    this.size = size;
    undo.push(() => {
      this.size = size_before;
    });
  }

  #put(page: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) this.pages.delete(page);
    else this.pages.set(page, bytes);
  }
}

/** What lies on the platter; `open` gives an agent's life its view of it. */
export class SimDisk {
  #durable_names = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  /** Errors of the device: reads, writes and syncs fail while it is set. A fault. */
  broken = false;
  /** What all files may take together; null: as much as they like. A fault. */
  room_bytes: number | null = null;

  /** Bytes of all files. */
  get used_bytes(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode.size;
    return used;
  }

  #takeRoom(name: string, bytes: number): void {
    if (this.room_bytes !== null && bytes > 0 && this.used_bytes + bytes > this.room_bytes)
      throw diskError('ENOSPC', name);
  }

  wipe(): void {
    this.#names = new Map();
    this.#durable_names = new Map();
  }

  /** @param keep from 0 to 1: how much of a change that was not synced reached the disk. */
  powerCut(keep: () => number): void {
    const names = new Map(this.#durable_names);
    // Directory changes reach the disk in order (a journal), so that only the last ones can be lost.
    if (keep() >= 0.5) for (const [name, inode] of this.#names) names.set(name, inode);
    for (const inode of new Set([...names.values(), ...this.#names.values()])) inode.crash(keep);
    this.#names = names;
    this.#durable_names = new Map(names);
  }

  /**
   * One bit of what lies on the platter turns over, wherever something was written: `at` from 0 to 1 says where.
   * Answers in which file; null: there is nothing.
   */
  rot(at: number): string | null {
    const written = [...this.#names]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([name, inode]) =>
        [...inode.pages.keys()].sort((a, b) => a - b).map((page) => ({ name, inode, page })),
      );
    const place = at * written.length;
    const found = written[Math.floor(place)];
    if (found === undefined) return null;
    found.inode.flip(found.page, place % 1);
    return found.name;
  }

  open(given: DiskGate): LogDisk {
    const gate: DiskGate = async (act) => {
      await given(act);
      if (this.broken) throw diskError('EIO', act);
    };
    const find = (name: string) => {
      const inode = this.#names.get(name);
      if (inode === undefined) throw diskError('ENOENT', name);
      return inode;
    };
    return {
      list: async () => {
        await gate('read');
        return [...this.#names.keys()].sort();
      },
      read: async (name) => {
        await gate('read');
        return find(name).read();
      },
      open: async (name) => {
        await gate('write');
        const inode = this.#names.get(name) ?? new Inode();
        this.#names.set(name, inode);
        return file(inode, gate, (bytes) => this.#takeRoom(name, bytes));
      },
      rename: async (from, to) => {
        await gate('write');
        this.#names.set(to, find(from));
        this.#names.delete(from);
      },
      remove: async (name) => {
        await gate('write');
        find(name);
        this.#names.delete(name);
      },
      syncDirectory: async () => {
        await gate('sync');
        this.#durable_names = new Map(this.#names);
      },
    };
  }
}

/** What the caller may write over. Zeros are shared: a reserve file would cost each host as much as it holds. */
function copyOf(bytes: Uint8Array): Uint8Array {
  const same = zeros.subarray(0, bytes.length);
  return same.equals(bytes) ? same : bytes.slice();
}

function file(inode: Inode, gate: DiskGate, takeRoom: (bytes: number) => void): LogFile {
  return {
    async write(offset, bytes) {
      const copy = copyOf(bytes);
      await gate('write');
      takeRoom(Math.max(0, offset + copy.length - inode.size));
      inode.apply({ type: 'write', offset, bytes: copy });
    },
    async truncate(size) {
      await gate('write');
      inode.apply({ type: 'truncate', size });
    },
    async sync() {
      // What is written while the sync is under way may be left out of it.
      const count = inode.unsynced;
      await gate('sync');
      inode.synced(count);
    },
    async close() {
      await gate('write');
    },
  };
}

/** How many bytes of a write arrive when the power goes: whole sectors, and its last ones may be missing. */
function tornAt({ offset, bytes }: Extract<Pending, { type: 'write' }>, share: number): number {
  if (share >= 1) return bytes.length;
  const end = offset + Math.ceil(bytes.length * share);
  return Math.max(0, Math.min(bytes.length, end - (end % sector_bytes) - offset));
}
