/**
 * The real world's time, chance and voice, made once per process and handed to everything else.
 * The clock is Linux boot time: it counts suspended time, as leases require (docs/ha.md, "Clocks").
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { fatalStatus } from './fatal-error.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Env {
  /** Boot-time clock in milliseconds; never goes back. */
  now_ms(): number;
  /** Wall clock in seconds, for timestamps shown to people. */
  wall_s(): number;
  after(delay_ms: number, fn: () => void): () => void;
  random(): number;
  uuid(): string;
  /** So many bytes that nobody can guess. */
  secret(length: number): Uint8Array;
  log(level: LogLevel, message: string, fields?: Record<string, unknown>): void;
  /**
   * Writes the reason and ends the process. Status 70: the keeper will not start it into the same failure again and
   * again. Status 71, when `cause` is a full disk: the keeper tries until there is space.
   */
  fatal(reason: string, cause?: unknown): void;
}

const longest_delay_ms = 2 ** 31 - 1;

const level_rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * `/proc/uptime` counts suspends but has a resolution of 10 ms; the monotonic clock is fine but stands still in a
 * suspend. Their difference only grows (by suspends), so its largest reading makes one clock out of both.
 */
export function bootClock(): () => number {
  const fd = openSync('/proc/uptime', 'r');
  const buffer = Buffer.alloc(64);
  let offset_ms = Number.NEGATIVE_INFINITY;
  let last_ms = 0;
  process.once('exit', () => closeSync(fd));
  return () => {
    const length = readSync(fd, buffer, 0, buffer.length, 0);
    const uptime_ms = Number.parseFloat(buffer.toString('latin1', 0, length)) * 1000;
    const monotonic_ms = performance.now();
    offset_ms = Math.max(offset_ms, uptime_ms - monotonic_ms);
    last_ms = Math.max(last_ms, monotonic_ms + offset_ms);
    return last_ms;
  };
}

/** @param name shown in every log line: which agent speaks. */
export function createRealEnv(name: string, minimum: LogLevel = 'info'): Env {
  const now_ms = bootClock();
  const log: Env['log'] = (level, message, fields) => {
    if (level_rank[level] < level_rank[minimum]) return;
    const line = { time: new Date().toISOString(), level, agent: name, message, ...fields };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  };
  return {
    now_ms,
    wall_s: () => Date.now() / 1000,
    after(delay_ms, fn) {
      // Beyond the largest delay a timer would fire at once.
      const timer = setTimeout(fn, Math.min(longest_delay_ms, Math.max(0, delay_ms)));
      return () => clearTimeout(timer);
    },
    random: () => Math.random(),
    uuid: () => randomUUID(),
    secret: (length) => randomBytes(length),
    log,
    fatal(reason, cause) {
      log('error', 'fatal', { reason });
      process.exit(fatalStatus(cause));
    },
  };
}
