/**
 * The state machine of the simulation: registers (put, compare-and-set) and lists (append), with an image that lags
 * behind and may be all that a crash leaves. It carries a running hash over every entry applied, so that two members at
 * one index can be compared, and it is restored only from an image that hashes to what it says.
 */
import { crc32 } from 'node:zlib';
import type { Configuration } from '../../src/consensus/index.ts';
import {
  configurationOf,
  type Entry,
  type SnapshotMeta,
  type StateMachine,
} from '../../src/consensus/index.ts';

export type Command =
  | { readonly id: number; readonly type: 'put'; readonly key: string; readonly value: number }
  | {
      readonly id: number;
      readonly type: 'cas';
      readonly key: string;
      readonly expected: number | null;
      readonly value: number;
    }
  | { readonly id: number; readonly type: 'append'; readonly key: string; readonly value: number };

export type Value = number | readonly number[] | null;

/** The state as bytes, and the hash over all entries that made it. */
export interface Image {
  readonly meta: SnapshotMeta;
  readonly hash: number;
  readonly state: string;
}

/** What of a member's state machine survives its process. */
export interface Stable {
  image: Image;
  /** An image that is being written in the moment of a crash may be there or not. */
  writing: Image | null;
}

export interface MachineEvents {
  readonly applied: (entry: Entry, state_hash: number) => void;
  /** An image was taken or restored. */
  readonly image: (image: Image, restored: boolean) => void;
  /** The chunks of a snapshot are no state. */
  readonly unreadable: (index: number) => void;
  /** How long a flush or a restore takes. */
  readonly write_ms: () => number;
  readonly sleep: (delay_ms: number) => Promise<void>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeCommand(command: Command): Uint8Array {
  return encoder.encode(JSON.stringify(command));
}

export function decodeCommand(data: Uint8Array): Command {
  return JSON.parse(decoder.decode(data)) as Command;
}

/** A hash over an entry, all of it. */
export function entryHash(entry: Entry): number {
  return crc32(entry.data, crc32(`${entry.index} ${entry.term} ${entry.kind}`));
}

export function emptyStable(): Stable {
  const meta = { index: 0, term: 0, configuration: configurationOf([]) };
  return { image: { meta, hash: 0, state: '[]' }, writing: null };
}

export class KvMachine implements StateMachine {
  readonly durable: SnapshotMeta;
  readonly #stable: Stable;
  readonly #events: MachineEvents;
  #values: Map<string, number | number[]>;
  #meta: SnapshotMeta;
  #hash: number;

  constructor(stable: Stable, events: MachineEvents) {
    this.#stable = stable;
    this.#events = events;
    const { meta, hash, state } = stable.image;
    this.durable = meta;
    this.#meta = meta;
    this.#hash = hash;
    this.#values = parsed(state);
  }

  get(key: string): Value {
    const value = this.#values.get(key);
    return Array.isArray(value) ? [...value] : (value ?? null);
  }

  apply(entries: readonly Entry[]): readonly unknown[] {
    return entries.map((entry) => {
      this.#hash = crc32(entry.data, crc32(`${entry.index} ${entry.term} ${entry.kind}`, this.#hash));
      this.#meta = { ...this.#meta, index: entry.index, term: entry.term };
      const result = entry.kind === 'command' ? this.#do(decodeCommand(entry.data)) : undefined;
      this.#events.applied(entry, this.#hash);
      return result;
    });
  }

  configuration(_index: number, configuration: Configuration): void {
    this.#meta = { ...this.#meta, configuration };
  }

  async flush(): Promise<SnapshotMeta> {
    const image = this.image();
    await this.#write(image);
    return image.meta;
  }

  snapshot(chunk_bytes: number): { readonly meta: SnapshotMeta; readonly chunks: AsyncIterable<Uint8Array> } {
    const image = this.image();
    const all = encoder.encode(JSON.stringify([image.hash, image.state]));
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < all.length; at += chunk_bytes) yield all.slice(at, at + chunk_bytes);
    }
    return { meta: image.meta, chunks: { [Symbol.asyncIterator]: chunks } };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const [hash, state] = this.#read(meta, Buffer.concat(parts));
    const image = { meta, hash, state };
    this.#events.image(image, true);
    await this.#write(image);
    this.#values = parsed(state);
    this.#meta = meta;
    this.#hash = hash;
  }

  /** What `snapshot` wrote. The replica has compared its hash, so that anything else is a breach. */
  #read(meta: SnapshotMeta, bytes: Uint8Array): [hash: number, state: string] {
    try {
      return JSON.parse(decoder.decode(bytes)) as [number, string];
    } catch (error) {
      this.#events.unreadable(meta.index);
      throw error;
    }
  }

  /** The state as of now. */
  image(): Image {
    const image = { meta: this.#meta, hash: this.#hash, state: JSON.stringify([...this.#values]) };
    this.#events.image(image, false);
    return image;
  }

  async #write(image: Image): Promise<void> {
    this.#stable.writing = image;
    await this.#events.sleep(this.#events.write_ms());
    this.#stable.writing = null;
    this.#stable.image = image;
  }

  #do(command: Command): unknown {
    const { key, value } = command;
    const before = this.#values.get(key);
    switch (command.type) {
      case 'put':
        this.#values.set(key, value);
        return true;
      case 'cas':
        if ((before ?? null) !== command.expected) return false;
        this.#values.set(key, value);
        return true;
      case 'append':
        if (Array.isArray(before)) before.push(value);
        else this.#values.set(key, [value]);
        return true;
    }
  }
}

function parsed(state: string): Map<string, number | number[]> {
  return new Map(JSON.parse(state) as [string, number | number[]][]);
}
