/**
 * A process of a simulated host: what it waits for comes to it on its host's clock, later while it stands still, never
 * once it has ended. Guarantees: after `end` nothing of it happens any more, whatever it was waiting for.
 */
import type { VirtualTime } from '../virtual-time.ts';

/** A host's boot-time clock: begins at each boot, and runs at its own rate. */
export interface HostClock {
  /** Milliseconds of this clock in one millisecond of true time. */
  readonly rate: number;
  now_ms(): number;
}

export class SimProcess {
  readonly name: string;
  readonly #time: VirtualTime;
  readonly #clock: HostClock;
  /** How many reasons there are to stand still: itself, its host. */
  #stops = 0;
  #ended = false;
  #held: (() => void)[] = [];
  /** Timers that were neither canceled nor came; `null` once they have. */
  readonly #timers = new Set<{ fn: (() => void) | null }>();

  constructor(name: string, time: VirtualTime, clock: HostClock) {
    this.name = name;
    this.#time = time;
    this.#clock = clock;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get frozen(): boolean {
    return this.#stops > 0;
  }

  now_ms(): number {
    return this.#clock.now_ms();
  }

  /** A timer of this process: `delay_ms` on its host's clock. */
  after(delay_ms: number, fn: () => void): () => void {
    const timer: { fn: (() => void) | null } = { fn };
    this.#timers.add(timer);
    const due = () => {
      const call = timer.fn;
      timer.fn = null;
      this.#timers.delete(timer);
      call?.();
    };
    const cancel = this.#time.after(delay_ms / this.#clock.rate, () => this.deliver(due));
    return () => {
      timer.fn = null;
      this.#timers.delete(timer);
      cancel();
    };
  }

  /** What the outside world answers after `delay_ms`: `act` happens then, unless this process has ended. */
  answer<T>(delay_ms: number, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.after(delay_ms, () => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  sleep(delay_ms: number): Promise<void> {
    return this.answer(delay_ms, () => undefined);
  }

  /** Something comes in: now, at the thaw, or never. */
  deliver(fn: () => void): void {
    if (this.#ended) return;
    if (this.#stops > 0) this.#held.push(fn);
    else fn();
  }

  freeze(): void {
    this.#stops += 1;
  }

  thaw(): void {
    if (this.#stops === 0) throw new Error(`${this.name} is thawed, and did not stand still`);
    this.#stops -= 1;
    if (this.#stops > 0 || this.#ended) return;
    for (const fn of this.#held.splice(0)) this.deliver(fn);
  }

  end(): void {
    this.#ended = true;
    this.#held = [];
    // What they would have called holds all of an agent: a run with many restarts must not keep each of its lives.
    for (const timer of this.#timers) timer.fn = null;
    this.#timers.clear();
  }
}
