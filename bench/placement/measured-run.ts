/**
 * A program run to its end, with what the kernel counted of it: CPU seconds in user and system mode, and the most memory
 * that it had. Node reports that of itself only, so a few lines of Python start the program and wait for it (`wait4`).
 */
import { spawnSync } from 'node:child_process';
import { nowMs } from '../clock.ts';

export interface MeasuredRun {
  readonly cpu_s: number;
  readonly wall_s: number;
  readonly peak_rss_mib: number;
  readonly output: string;
}

const waiter = `
import os, sys
pid = os.fork()
if pid == 0:
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    finally:
        os._exit(127)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.WEXITSTATUS(status), file=sys.stderr)
`;

/** @throws Error unless the program ends well */
export function measuredRun(argv: readonly string[]): MeasuredRun {
  const begun_ms = nowMs();
  const { stdout, stderr, error } = spawnSync('python3', ['-S', '-c', waiter, ...argv], {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  const wall_s = (nowMs() - begun_ms) / 1000;
  if (error !== undefined) throw error;
  const [cpu_s = Number.NaN, peak_rss_mib = Number.NaN, status] = (stderr.trimEnd().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return { cpu_s, wall_s, peak_rss_mib, output: stdout };
}
