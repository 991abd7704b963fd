/**
 * Image and records of a simulated host: durable when the promise resolves, as image.ts and durable-file.ts promise. Of
 * a write that is under way when its agent or the power ends, the disk has the old or the new and nothing between. What
 * is read back is what was written: two lives of an agent share nothing but objects that nobody can change.
 */
import type { Change } from '../../../src/config/api.ts';
import { deepFreeze } from '../../../src/config/plain-data.ts';
import { diskError } from '../../../src/consensus/memory-disk.ts';
import type { Records } from '../../../src/node/host.ts';
import { type Image, ImageError, type ImageMeta } from '../../../src/node/image.ts';

/** Waits as a synced write does. */
export type StoreGate = () => Promise<void>;

export type StoreFault = 'EIO' | 'ENOSPC';

/** Writes under way, in order. */
class Flight {
  #acts: (() => void)[] = [];

  /** Waits, then does `act` unless `check` throws. */
  async write(gate: StoreGate, check: () => void, act: () => void): Promise<void> {
    this.#acts.push(act);
    await gate();
    this.#acts = this.#acts.filter((one) => one !== act);
    check();
    act();
  }

  /** Who writes is gone: some of the oldest reach the disk. */
  cut(lands: () => boolean): void {
    const acts = this.#acts;
    this.#acts = [];
    for (const act of acts) {
      if (!lands()) return;
      act();
    }
  }
}

interface ReadObject {
  readonly text: string;
  readonly change: Change;
}

export class SimImage {
  /** What the device answers; null: it works. A fault. */
  fault: StoreFault | null = null;
  readonly #flight = new Flight();
  #meta: ImageMeta | null = null;
  /** JSON by table and key. */
  #objects = new Map<string, string>();
  /** What was read before, with its text then; frozen. */
  #read = new Map<string, ReadObject>();

  wipe(): void {
    this.#meta = null;
    this.#objects = new Map();
    this.#read = new Map();
  }

  /** Most of an image is as it was when the agent started last. */
  #changes(): readonly Change[] {
    const read = new Map<string, ReadObject>();
    const changes = [...this.#objects]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, text]) => {
        const before = this.#read.get(key);
        const now = before?.text === text ? before : { text, change: deepFreeze(JSON.parse(text) as Change) };
        read.set(key, now);
        return now.change;
      });
    this.#read = read;
    return changes;
  }

  /** @param lands whether the next write that is under way reaches the disk */
  cut(lands: () => boolean): void {
    this.#flight.cut(this.fault === null ? lands : () => false);
  }

  /** @throws ImageError while the device fails */
  open(gate: StoreGate): Image {
    if (this.fault !== null) {
      const cause = diskError(this.fault, 'image');
      throw new ImageError(`the state image cannot be opened: ${cause.message}`, cause);
    }
    let failed: Error | null = null;
    // LevelDB writes nothing more once a write has failed, until it is opened anew.
    const check = () => {
      if (failed === null && this.fault !== null) failed = diskError(this.fault, 'image');
      if (failed !== null) throw failed;
    };
    const initial =
      this.#meta === null
        ? null
        : {
            meta: this.#meta,
            objects: this.#changes(),
          };
    const put = (changes: readonly Change[]) => {
      for (const change of changes) {
        const key = `${change.table}/${change.key}`;
        if (change.value === null) this.#objects.delete(key);
        else this.#objects.set(key, JSON.stringify(change));
      }
    };
    return {
      initial,
      write: (meta, changes) =>
        this.#flight.write(gate, check, () => {
          put(changes);
          this.#meta = meta;
        }),
      replace: (meta, objects) =>
        this.#flight.write(gate, check, () => {
          this.#objects = new Map();
          put(objects);
          this.#meta = meta;
        }),
      close: () => Promise.resolve(),
    };
  }
}

export class SimRecords {
  /** What the device answers; null: it works. A fault. */
  fault: StoreFault | null = null;
  readonly #flight = new Flight();
  #texts = new Map<string, string>();
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get count(): number {
    return this.#texts.size;
  }

  wipe(): void {
    this.#texts = new Map();
  }

  /** @param lands whether the next write that is under way reaches the disk */
  cut(lands: () => boolean): void {
    this.#flight.cut(this.fault === null ? lands : () => false);
  }

  open(gate: StoreGate): Records {
    const works = () => {
      if (this.fault === 'EIO') throw diskError('EIO', this.#directory);
    };
    const takes = () => {
      if (this.fault !== null) throw diskError(this.fault, this.#directory);
    };
    return {
      list: async () => {
        works();
        return [...this.#texts.keys()].sort();
      },
      read: async (name) => {
        works();
        const text = this.#texts.get(name);
        return text === undefined ? null : (JSON.parse(text) as unknown);
      },
      write: async (name, value) => {
        const text = JSON.stringify(value);
        await this.#flight.write(gate, takes, () => void this.#texts.set(name, text));
      },
      remove: (name) => this.#flight.write(gate, works, () => void this.#texts.delete(name)),
      pathOf: (name) => `${this.#directory}/${name}`,
    };
  }
}
