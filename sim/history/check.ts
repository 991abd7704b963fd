/**
 * Is a history of register operations linearizable: is there one order of all operations that agrees with what each client
 * saw and with what came strictly after what? Judged key by key, since a history is linearizable when that of each object is
 * (Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990, section 3.3).
 *
 * Pure and deterministic. A history that is called linearizable is. `checkHistory` is exact in both answers; the streaming
 * form too, except that among many operations of unknown outcome it may take one as having happened that a read finds only
 * after the known part: then it can reject a good history, and `checkHistory` on the whole of it decides.
 */
import type { CheckResult, Operation } from './operation.ts';
import { RegisterSearch } from './register-search.ts';

export type { CheckResult, Operation } from './operation.ts';

/**
 * @param initial what every key holds at first; left out: nothing (null).
 * @throws RangeError for an operation that returns before it is called.
 */
export function checkHistory(history: readonly Operation[], initial?: unknown): CheckResult {
  const checker = new HistoryChecker(initial);
  for (const op of history) checker.add(op);
  return checker.finish();
}

/**
 * The same for a history that is still being made: what is decided is forgotten. Operations may be added in any order, as
 * long as none is called before the last `advance`.
 */
export class HistoryChecker {
  readonly #initial: unknown;
  readonly #registers = new Map<string, RegisterSearch>();
  #known_to = Number.NEGATIVE_INFINITY;

  constructor(initial?: unknown) {
    this.#initial = initial;
  }

  /** @throws RangeError for an operation called before the time given to `advance`, or that returns before its call. */
  add(op: Operation): void {
    if (!(op.call >= this.#known_to)) {
      throw new RangeError(
        `an operation called at ${op.call} comes after all before ${this.#known_to} was known`,
      );
    }
    let register = this.#registers.get(op.key);
    if (register === undefined) {
      register = new RegisterSearch(this.#initial);
      this.#registers.set(op.key, register);
    }
    register.add(op);
  }

  /**
   * All operations called before `time` have been added. Answers what is known so far; a breach is final.
   *
   * Best called every some ten thousand operations: what is known ahead is what keeps the search narrow.
   */
  advance(time: number): CheckResult {
    if (time > this.#known_to) this.#known_to = time;
    for (const register of this.#registers.values()) register.advance(time);
    return this.#result();
  }

  /** All operations have been added. */
  finish(): CheckResult {
    return this.advance(Number.POSITIVE_INFINITY);
  }

  #result(): CheckResult {
    for (const [key, { failure }] of this.#registers) {
      if (failure !== null) return { ok: false, key, reason: failure };
    }
    return { ok: true };
  }
}
