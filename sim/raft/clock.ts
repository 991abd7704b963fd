/**
 * Virtual time for processes that can be frozen, slowed, skewed and killed. Events run one at a time in the order of
 * their moments, ties in the order they were asked for; between two of them promises get their turns. It never runs an
 * event of a process that is dead, and none of a frozen one before the thaw.
 */
import type { ReplicaEnv } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';

interface Timer {
  at_ms: number;
  order: number;
  readonly owner: SimProcess | null;
  /** null: cancelled, or it ran. */
  fn: (() => void) | null;
}

/**
 * Promises' turns between two events; a chain that is longer goes on after the next event, as on a busy machine. Most
 * events stir nothing (a tick sets the next one and is over): they get few, and nobody looks at what they did.
 */
const turns_per_event = 24;
const quiet_turns = 6;
const turns_when_idle = 10_000;
/** Where the clocks of processes begin: not at zero, which code may take for "never". */
const epoch_ms = 1_000_000;

export class SimClock {
  now_ms = 0;
  /** Events that ran. */
  events = 0;
  #order = 0;
  /** Whose doings are to be looked at when the event under way is over. */
  #stirred: SimProcess[] = [];
  readonly #heap: Timer[] = [];

  /** In the event under way `process` does more than to set a timer: it sends, writes, applies, is asked or answers. */
  stir(process: SimProcess): void {
    if (!this.#stirred.includes(process)) this.#stirred.push(process);
  }

  /** Calls `fn` in `delay_ms`, as an event of `owner`; returns what cancels it. */
  after(delay_ms: number, fn: () => void, owner: SimProcess | null = null): () => void {
    const timer: Timer = { at_ms: this.now_ms + Math.max(0, delay_ms), order: this.#order++, owner, fn };
    this.#push(timer);
    return () => {
      timer.fn = null;
    };
  }

  /** Resolves after `delay_ms`. */
  sleep(delay_ms: number): Promise<void> {
    return new Promise((resolve) => this.after(delay_ms, resolve));
  }

  /**
   * Runs events until `done` or `end_ms`. After each, `ran` is told who did more than to set a timer; it may throw to
   * end the run.
   * @returns whether `done` held
   */
  async run(end_ms: number, done: () => boolean, ran: (process: SimProcess) => void): Promise<boolean> {
    for (let turn = 0; turn < turns_per_event; turn++) await null;
    while (!done()) {
      // Without an event that could go on with them, promises get all the turns they want.
      for (let turn = 0; this.#heap.length === 0 && turn < turns_when_idle; turn++) await null;
      const timer = this.#heap[0];
      if (timer === undefined || timer.at_ms > end_ms) {
        this.now_ms = Math.max(this.now_ms, end_ms);
        return false;
      }
      this.#pop();
      if (timer.fn === null) continue;
      this.now_ms = Math.max(this.now_ms, timer.at_ms);
      if (timer.owner?.defers(timer) === true) continue;
      const { fn } = timer;
      timer.fn = null;
      this.events++;
      fn();
      for (let turn = 0; turn < quiet_turns || (turn < turns_per_event && this.#stirred.length > 0); turn++)
        await null;
      if (this.#stirred.length === 0) continue;
      const stirred = this.#stirred;
      this.#stirred = [];
      for (const process of stirred) ran(process);
    }
    return true;
  }

  /** Puts an event off to `at_ms`, behind what is there already. */
  defer(timer: Timer, at_ms: number): void {
    timer.at_ms = at_ms;
    timer.order = this.#order++;
    this.#push(timer);
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!before(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);
}

export type LogSink = (level: string, message: string, fields: Record<string, unknown>) => void;

export interface ProcessOptions {
  /** Its clock gains (above 1) or loses. */
  readonly rate: number;
  /** Time that each event takes. */
  readonly cost_ms: number;
  readonly knobs: Knobs;
  readonly log: LogSink;
  readonly fatal: (reason: string, cause: unknown) => void;
}

/** One life of one process; the environment of its replica. */
export class SimProcess implements ReplicaEnv {
  readonly id: number;
  readonly #clock: SimClock;
  readonly #options: ProcessOptions;
  #state: 'running' | 'frozen' | 'stopped' = 'running';
  #busy_until_ms = 0;
  #held: Timer[] = [];

  constructor(id: number, clock: SimClock, options: ProcessOptions) {
    this.id = id;
    this.#clock = clock;
    this.#options = options;
  }

  get state(): 'running' | 'frozen' | 'stopped' {
    return this.#state;
  }

  now_ms(): number {
    return epoch_ms + this.#clock.now_ms * this.#options.rate;
  }

  after(delay_ms: number, fn: () => void): () => void {
    return this.#clock.after(delay_ms / this.#options.rate, fn, this);
  }

  random(): number {
    return this.#options.knobs.random();
  }

  log(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Record<string, unknown> = {},
  ): void {
    if (this.#state !== 'stopped') this.#options.log(level, message, fields);
  }

  fatal(reason: string, cause?: unknown): void {
    if (this.#state !== 'stopped') this.#options.fatal(reason, cause);
  }

  /** SIGSTOP: what comes in, and the timers, wait. */
  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const timer of this.#held.splice(0)) this.#clock.defer(timer, this.#clock.now_ms);
  }

  /** Its event loop gets no turn for `duration_ms`. */
  block(duration_ms: number): void {
    this.#busy_until_ms = Math.max(this.#busy_until_ms, this.#clock.now_ms + duration_ms);
  }

  /** SIGKILL. */
  stop(): void {
    this.#state = 'stopped';
    this.#held = [];
  }

  /** For the clock: true when `timer` must not run now; it is kept for later, or dropped. */
  defers(timer: Timer): boolean {
    if (this.#state === 'stopped') return true;
    if (this.#state === 'frozen') {
      this.#held.push(timer);
      return true;
    }
    const now_ms = this.#clock.now_ms;
    if (this.#busy_until_ms > now_ms) {
      this.#clock.defer(timer, this.#busy_until_ms);
      return true;
    }
    if (this.#options.cost_ms > 0) this.#busy_until_ms = now_ms + this.#options.cost_ms;
    return false;
  }
}
