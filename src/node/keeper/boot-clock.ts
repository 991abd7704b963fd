/**
 * The host's boot-time clock and identity. `/proc/uptime` counts suspended time, which `process.hrtime` does not; its
 * resolution of 10 ms is far below every margin that is built on it.
 */
import { openSync, readFileSync, readSync } from 'node:fs';

const buffer = Buffer.alloc(64);
/** Opened once and kept: the keeper asks for the time several times a second, and must be able to without descriptors. */
let uptime_fd: number | null = null;

/** Milliseconds since the host booted, suspended time included. */
export function bootTimeMs(): number {
  uptime_fd ??= openSync('/proc/uptime', 'r');
  const text = buffer.toString('latin1', 0, readSync(uptime_fd, buffer, 0, buffer.length, 0));
  const ms = Math.round(Number.parseFloat(text) * 1000);
  if (!Number.isFinite(ms)) throw new Error(`/proc/uptime says '${text.trim()}', expected seconds`);
  return ms;
}

/** This boot's id: the kernel's, or the content of the file that stands for a lab host's power. */
export function readBootId(env: Readonly<Record<string, string | undefined>>): string {
  const file = env.SKEIN_BOOT_ID_FILE || '/proc/sys/kernel/random/boot_id';
  const id = readFileSync(file, 'utf8').trim();
  if (id === '' || id.length > 128)
    throw new Error(`boot id in ${file} is '${id.slice(0, 40)}', expected 1 to 128 characters`);
  return id;
}
