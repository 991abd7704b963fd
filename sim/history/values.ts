/**
 * The values of one register, each as one object: equal values are the same object, so the search compares by identity.
 * Objects and arrays are equal when their JSON with sorted keys is; undefined and null are both "nothing there".
 */
import type { Step } from './step.ts';

/** A value, and what is still to come of it: all counts are of operations that are known and have not returned. */
export interface Value {
  readonly shown: unknown;
  /** Operations that must find it, among those whose end is known. */
  seen: number;
  /** Operations to which it matters whether it is there: those that found it, or did not. */
  mentions: number;
  /** Operations that set it. */
  sources: number;
  /** Begun operations of unknown outcome that may set it, oldest first. */
  readonly unknowns: Step[];
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}

export class Values {
  #primitive = new Map<unknown, Value>();
  #composed = new Map<string, Value>();

  get size(): number {
    return this.#primitive.size + this.#composed.size;
  }

  of(raw: unknown): Value {
    const shown = raw ?? null;
    if (typeof shown === 'object' && shown !== null)
      return this.#known(this.#composed, canonical(shown), shown);
    return this.#known(this.#primitive, shown, shown);
  }

  /** Forgets all values of which nothing is to come, except those in `kept`. */
  sweep(kept: ReadonlySet<Value>): void {
    for (const map of [this.#primitive, this.#composed]) {
      for (const [key, value] of map as Map<unknown, Value>) {
        const idle = value.mentions === 0 && value.sources === 0 && value.unknowns.length === 0;
        if (idle && !kept.has(value)) map.delete(key as never);
      }
    }
  }

  #known<K>(map: Map<K, Value>, key: K, shown: unknown): Value {
    let value = map.get(key);
    if (value === undefined) {
      value = { shown, seen: 0, mentions: 0, sources: 0, unknowns: [] };
      map.set(key, value);
    }
    return value;
  }
}
