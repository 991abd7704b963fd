/** Time for measurements: one clock for all processes of this machine, so that moments of several can be compared. */
import { readFileSync } from 'node:fs';

/** Monotonic, in milliseconds; the same for every process of this machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Load average of the last minute. */
export function load1(): number {
  return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
}

/** Asks again every `every_ms` until the answer is not null. Rejects, naming `what`, after `timeout_ms`. */
export async function until<T>(
  what: string,
  timeout_ms: number,
  every_ms: number,
  ask: () => Promise<T | null> | T | null,
): Promise<T> {
  const deadline_ms = nowMs() + timeout_ms;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (nowMs() > deadline_ms) throw new Error(`waited ${timeout_ms / 1000} s in vain for ${what}`);
    await sleep(every_ms);
  }
}
