/**
 * The one true clock of a simulated world, and its queue of events: a binary heap in order of time, then of making.
 * Guarantees: between two events everything that waits for no event has run (promises are drained fully), so that the
 * same calls give the same run. It must never read a real clock; the turn of the real event loop that drains promises
 * is handed in.
 */

/** Runs `next` once, after all promise reactions that can run have run. */
export type Turn = (next: () => void) => void;

export interface Timer {
  readonly at_ms: number;
  readonly order: number;
  fn: (() => void) | null;
}

/** Turns asked for at a time: the event loop serves them in one round. */
const turns_ahead = 64;

export class VirtualTime {
  readonly #turn: Turn;
  #now_ms = 0;
  #order = 0;
  #events = 0;
  readonly #heap: Timer[] = [];

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  get now_ms(): number {
    return this.#now_ms;
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  /** Calls `fn` once, in `delay_ms`; returns what cancels it. */
  after(delay_ms: number, fn: () => void): () => void {
    const timer: Timer = { at_ms: this.#now_ms + Math.max(0, delay_ms), order: this.#order++, fn };
    this.#push(timer);
    return () => {
      timer.fn = null;
    };
  }

  /** Resolves after `delay_ms`. */
  sleep(delay_ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delay_ms, resolve);
    });
  }

  /**
   * Lets time pass until `reached` holds, looked at after each event, at most `limit_ms`. Resolves to whether it held.
   * Rejects with what an event threw; the world is not to be used after that.
   */
  run(limit_ms: number, reached: () => boolean = () => false): Promise<boolean> {
    const end_ms = this.#now_ms + limit_ms;
    return new Promise((resolve, reject) => {
      let ahead = 0;
      let over = false;
      const end = (held: boolean) => {
        over = true;
        resolve(held);
      };
      const step = () => {
        ahead -= 1;
        if (over) return;
        try {
          if (reached()) return end(true);
          const next = this.#pop(end_ms);
          if (next === null) {
            this.#now_ms = end_ms;
            return end(false);
          }
          this.#now_ms = Math.max(this.#now_ms, next.at_ms);
          this.#events += 1;
          next.fn?.();
        } catch (error) {
          over = true;
          reject(error);
          return;
        }
        if (ahead === 0) ask();
      };
      const ask = () => {
        for (; ahead < turns_ahead; ahead += 1) this.#turn(step);
      };
      ask();
    });
  }

  /** The next that was not canceled, if it is due by `end_ms`. */
  #pop(end_ms: number): Timer | null {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || (top.fn !== null && top.at_ms > end_ms)) return null;
      const last = this.#heap.pop()!;
      if (this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#sink(0);
      }
      if (top.fn !== null) return top;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const up = (at - 1) >>> 1;
      const parent = heap[up]!;
      if (before(parent, timer)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = timer;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const timer = heap[from]!;
    let at = from;
    for (;;) {
      let down = 2 * at + 1;
      let child = heap[down];
      if (child === undefined) break;
      const right = heap[down + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        down += 1;
      }
      if (before(timer, child)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = timer;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);
}
