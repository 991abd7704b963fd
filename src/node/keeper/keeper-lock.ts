/**
 * One keeper a data directory: two would each believe that the other's guests do not exist. A file with the process id
 * and its start time, so that the file of a dead keeper stops nobody, not even when its id was given out again.
 */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isRunning, procStat } from './proc-stat.ts';

/** @returns gives the lock back. @throws Error naming the keeper that holds it. */
export function takeKeeperLock(path: string): () => void {
  const mine = `${process.pid} ${procStat(process.pid)?.start_ticks ?? 0}\n`;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        linkSync(temporary, path); // fails when the file exists: exactly one of two wins
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw error;
      }
      const [pid = 0, start_ticks = 0] = readFileSync(path, 'latin1').trim().split(' ').map(Number);
      if (isRunning(pid, start_ticks))
        throw new Error(`keeper ${pid} already serves this data directory (${path})`);
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(temporary, { force: true });
  }
  return () => {
    if (readFileSync(path, 'latin1') === mine) rmSync(path, { force: true });
  };
}
