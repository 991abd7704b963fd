/**
 * Time, chance and voice for tests of this folder: the clock moves when the test says so.
 */
import type { Env } from './real-env.ts';

export interface TestEnv extends Env {
  /** Messages logged at warn and error. */
  readonly complaints: string[];
  readonly timers: number;
  /** Moves the clock, fires what comes due in order, and lets promises settle in between. */
  advance(ms: number): Promise<void>;
}

/** Lets everything that waits for no timer run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export function createTestEnv(start_ms = 1_000_000): TestEnv {
  let now_ms = start_ms;
  let ids = 0;
  const complaints: string[] = [];
  let timers: { readonly at_ms: number; readonly fn: () => void }[] = [];
  return {
    complaints,
    get timers() {
      return timers.length;
    },
    now_ms: () => now_ms,
    wall_s: () => 1_700_000_000 + now_ms / 1000,
    after(delay_ms, fn) {
      const timer = { at_ms: now_ms + Math.max(0, delay_ms), fn };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    random: () => 0.5,
    uuid: () => `uuid-${++ids}`,
    secret: (length) => new Uint8Array(length).fill(++ids),
    log(level, message, fields) {
      if (level === 'warn' || level === 'error')
        complaints.push(`${message} ${JSON.stringify(fields ?? {})}`);
    },
    fatal(reason) {
      throw new Error(`fatal: ${reason}`);
    },
    async advance(ms) {
      const end_ms = now_ms + ms;
      await settled();
      for (;;) {
        const [next] = timers.filter((timer) => timer.at_ms <= end_ms).sort((a, b) => a.at_ms - b.at_ms);
        if (!next) break;
        timers = timers.filter((other) => other !== next);
        now_ms = Math.max(now_ms, next.at_ms);
        next.fn();
        await settled();
      }
      now_ms = end_ms;
    },
  };
}
