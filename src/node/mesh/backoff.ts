/**
 * Delays of a retry that never ends: doubling from `min_ms` to `max_ms`, each with a jitter of plus or minus a
 * quarter, so that a hundred hosts that lost the same peer do not come back in step.
 */
export class Backoff {
  readonly #min_ms: number;
  readonly #max_ms: number;
  readonly #random: () => number;
  #next_ms: number;

  constructor(min_ms: number, max_ms: number, random: () => number) {
    this.#min_ms = min_ms;
    this.#max_ms = max_ms;
    this.#random = random;
    this.#next_ms = min_ms;
  }

  /** Milliseconds until the next attempt. */
  next(): number {
    const delay_ms = this.#next_ms * (0.75 + this.#random() / 2);
    this.#next_ms = Math.min(this.#next_ms * 2, this.#max_ms);
    return delay_ms;
  }

  reset(): void {
    this.#next_ms = this.#min_ms;
  }
}
