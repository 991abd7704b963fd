/**
 * Image and records of a simulated host: durable when the promise resolves, the old or the new and nothing between at a
 * power cut, as image.ts and durable-file.ts promise. What is read back is a copy: two lives of an agent share nothing.
 */
import type { Change } from '../../../src/config/api.ts';
import type { Records } from '../../../src/node/host.ts';
import type { Image, ImageMeta } from '../../../src/node/image.ts';

/** Waits as a synced write does. */
export type StoreGate = () => Promise<void>;

export class SimImage {
  #meta: ImageMeta | null = null;
  /** JSON by table and key. */
  #objects = new Map<string, string>();

  wipe(): void {
    this.#meta = null;
    this.#objects = new Map();
  }

  open(gate: StoreGate): Image {
    const initial =
      this.#meta === null
        ? null
        : {
            meta: this.#meta,
            objects: [...this.#objects.keys()]
              .sort()
              .map((key) => JSON.parse(this.#objects.get(key)!) as Change),
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
      write: async (meta, changes) => {
        await gate();
        put(changes);
        this.#meta = meta;
      },
      replace: async (meta, objects) => {
        await gate();
        this.#objects = new Map();
        put(objects);
        this.#meta = meta;
      },
      close: () => Promise.resolve(),
    };
  }
}

export class SimRecords {
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

  open(gate: StoreGate): Records {
    return {
      list: async () => [...this.#texts.keys()].sort(),
      read: async (name) => {
        const text = this.#texts.get(name);
        return text === undefined ? null : (JSON.parse(text) as unknown);
      },
      write: async (name, value) => {
        const text = JSON.stringify(value);
        await gate();
        this.#texts.set(name, text);
      },
      remove: async (name) => {
        await gate();
        this.#texts.delete(name);
      },
      pathOf: (name) => `${this.#directory}/${name}`,
    };
  }
}
