/**
 * Virtual time: a clock that moves only when told to, timers in a fixed order, chance from a seed. A run with the same
 * seed and the same calls is the same run. Nodes can be frozen (their timers wait) and stopped (their timers are gone).
 */
import type { ReplicaEnv } from './types.ts';

interface Timer {
  readonly at_ms: number;
  readonly order: number;
  readonly node: VirtualNode | null;
  readonly fn: () => void;
}

/** How often promises get their turn between two timers. Nothing in a virtual run waits for anything else. */
const turns_per_event = 64;

/** mulberry32: 32 bits of state, enough for schedules. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class VirtualClock {
  readonly random: () => number;
  #now_ms = 1_000_000;
  #order = 0;
  #timers: Timer[] = [];

  constructor(seed = 1) {
    this.random = seededRandom(seed);
  }

  now_ms(): number {
    return this.#now_ms;
  }

  after(delay_ms: number, fn: () => void, node: VirtualNode | null = null): () => void {
    const at_ms = this.#now_ms + Math.max(0, delay_ms);
    const timer = { at_ms, order: this.#order++, node, fn };
    this.#insert(timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  /** Resolves after `delay_ms` of virtual time. */
  sleep(delay_ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delay_ms, resolve);
    });
  }

  /** Lets `duration_ms` pass. */
  async run(duration_ms: number): Promise<void> {
    const end_ms = this.#now_ms + duration_ms;
    await this.until(() => false, duration_ms);
    this.#now_ms = Math.max(this.#now_ms, end_ms);
  }

  /** Lets time pass until `condition` holds, at most `limit_ms`. Resolves to whether it held. */
  async until(condition: () => boolean, limit_ms: number): Promise<boolean> {
    const end_ms = this.#now_ms + limit_ms;
    await settle();
    while (!condition()) {
      const next = this.#timers[0];
      if (next === undefined || next.at_ms > end_ms) return false;
      this.#timers.shift();
      this.#now_ms = Math.max(this.#now_ms, next.at_ms);
      if (next.node?.hold(next.fn) !== true) next.fn();
      await settle();
    }
    return true;
  }

  #insert(timer: Timer): void {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#timers[middle]!.at_ms <= timer.at_ms) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < turns_per_event; i++) await null;
}

/** One process of a virtual run. */
export class VirtualNode implements ReplicaEnv {
  readonly name: string;
  readonly #clock: VirtualClock;
  /** Why it ended itself; null while it did not. */
  fatal_reason: string | null = null;
  readonly lines: string[] = [];
  #state: 'running' | 'frozen' | 'stopped' = 'running';
  #held: (() => void)[] = [];

  constructor(name: string, clock: VirtualClock) {
    this.name = name;
    this.#clock = clock;
  }

  now_ms(): number {
    return this.#clock.now_ms();
  }

  after(delay_ms: number, fn: () => void): () => void {
    return this.#clock.after(delay_ms, fn, this);
  }

  random(): number {
    return this.#clock.random();
  }

  log(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Record<string, unknown> = {},
  ): void {
    const { stack, ...shown } = fields;
    this.lines.push(`${this.now_ms()} ${this.name} ${level} ${message} ${JSON.stringify(shown)}`);
    if (typeof stack === 'string') this.lines.push(stack);
  }

  fatal(reason: string): void {
    this.fatal_reason ??= reason;
    this.stop();
  }

  /** As SIGSTOP: what comes in, and the timers, wait. */
  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const fn of this.#held.splice(0)) fn();
  }

  /** As SIGKILL: nothing of it happens any more. */
  stop(): void {
    this.#state = 'stopped';
    this.#held = [];
  }

  /** True when `fn` must not run now: it waits for the thaw, or is dropped. */
  hold(fn: () => void): boolean {
    if (this.#state === 'frozen') this.#held.push(fn);
    return this.#state !== 'running';
  }
}
