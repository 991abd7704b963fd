/**
 * One table of the state: objects by key, in key order, with a hash that costs only what has changed since it was last
 * asked for. Objects are frozen when they are put, so that what is hashed later is what was put.
 *
 * The hash is the sum, modulo 2^256, of the SHA-256 of each object with its table and key: it does not depend on the
 * order of changes, and a change costs only the objects it touches (Bellare and Micciancio, "A New Paradigm for
 * Collision-Free Hashing: Incrementality at Reduced Cost", 1997, section 4: AdHASH).
 */
import { hash } from 'node:crypto';
import { canonical } from './canonical.ts';
import { deepFreeze } from './plain-data.ts';

const modulus = 1n << 256n;
const digest_hex_digits = 64;

/** The summand of one object. Lengths are written first, so that no two (table, key, value) share a text. */
export function objectDigest(table: string, key: string, value: unknown): bigint {
  const text = `${table.length}:${table}${key.length}:${key}${canonical(value)}`;
  return BigInt(`0x${hash('sha256', text, 'hex')}`);
}

/** Of objects that were hashed before: they are frozen, so a hash is theirs for good, whichever table of whichever state they are put in. */
const remembered = new WeakMap<object, { readonly of: string; readonly digest: bigint }>();

function rememberedDigest(table: string, key: string, value: unknown): bigint {
  if (typeof value !== 'object' || value === null) return objectDigest(table, key, value);
  const of = `${table}/${key}`;
  const known = remembered.get(value);
  if (known?.of === of) return known.digest;
  const digest = objectDigest(table, key, value);
  remembered.set(value, { of, digest });
  return digest;
}

export class Table<T> {
  readonly #name: string;
  readonly #objects = new Map<string, T>();
  /** The summands in {@link Table.#sum}. */
  readonly #digests = new Map<string, bigint>();
  /** Put or deleted, and not in the sum yet. */
  readonly #unsummed = new Set<string>();
  /** Always sorted by UTF-16 code unit. */
  #keys: string[] = [];
  #values: readonly T[] | null = null;
  #sum = 0n;
  /** {@link Table.#sum} as text; null: not asked since it changed. */
  #hash: string | null = null;

  constructor(name: string) {
    this.#name = name;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  /** @throws TypeError when the object is no plain data */
  digest(key: string): bigint | undefined {
    this.#sumUp(key);
    return this.#digests.get(key);
  }

  keys(): readonly string[] {
    return this.#keys;
  }

  /** In key order. The array is shared until the next change and must not be written to. */
  list(): readonly T[] {
    this.#values ??= Object.freeze(this.#keys.map((key) => this.#objects.get(key)!));
    return this.#values;
  }

  put(key: string, value: T): void {
    if (!this.#objects.has(key)) this.#insertKey(key);
    this.#objects.set(key, deepFreeze(value));
    this.#unsummed.add(key);
    this.#values = null;
  }

  delete(key: string): void {
    if (!this.#objects.delete(key)) return;
    this.#keys.splice(this.#position(key), 1);
    this.#unsummed.add(key);
    this.#values = null;
  }

  /** @throws TypeError when an object is no plain data */
  hash(): string {
    for (const key of this.#unsummed) this.#sumUp(key);
    this.#hash ??= this.#sum.toString(16).padStart(digest_hex_digits, '0');
    return this.#hash;
  }

  /** Takes the object at `key`, or its absence, into the sum. */
  #sumUp(key: string): void {
    if (!this.#unsummed.has(key)) return;
    const before = this.#digests.get(key) ?? 0n;
    const value = this.#objects.get(key);
    const after = value === undefined ? 0n : rememberedDigest(this.#name, key, value);
    if (value === undefined) this.#digests.delete(key);
    else this.#digests.set(key, after);
    this.#unsummed.delete(key);
    if (after === before) return;
    this.#sum = (this.#sum + after - before + modulus) % modulus;
    this.#hash = null;
  }

  #insertKey(key: string): void {
    const last = this.#keys.at(-1);
    // New objects mostly sort last (jobs, steps).
    if (last === undefined || last < key) this.#keys.push(key);
    else this.#keys.splice(this.#position(key), 0, key);
  }

  /** Where `key` is, or belongs. */
  #position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
