/** Where a search stands: one way in which the history may have gone so far, and which such ways it has met. */
import type { Value } from './values.ts';

export interface Configuration {
  readonly state: Value;
  /** Slots of open operations that have taken effect. */
  readonly done: number;
  /** Operations of unknown outcome that have taken effect, by their slots among those. */
  readonly used: number;
}

/** The configurations met so far in one search: by state and what is done, then by what is used. */
export class Seen {
  readonly #by_state = new Map<Value, Map<number, number[]>>();

  isNew(c: Configuration): boolean {
    let by_done = this.#by_state.get(c.state);
    if (by_done === undefined) {
      by_done = new Map();
      this.#by_state.set(c.state, by_done);
    }
    const used = by_done.get(c.done);
    if (used === undefined) by_done.set(c.done, [c.used]);
    else if (used.includes(c.used)) return false;
    else used.push(c.used);
    return true;
  }

  /** What is used in those that are as this one otherwise. */
  alike(c: Configuration): readonly number[] {
    return this.#by_state.get(c.state)?.get(c.done) ?? [];
  }
}
