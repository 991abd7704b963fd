/**
 * Reads a process's state from /proc. `kill(pid, 0)` is no proof: a zombie answers it, and a process id may have been
 * given to another since.
 */
import { readFileSync } from 'node:fs';

export interface ProcStat {
  /** One letter of proc(5): R, S, D, Z, T, ... */
  readonly state: string;
  readonly process_group: number;
  readonly session: number;
  /** Clock ticks after boot: with the id it names one process for ever. */
  readonly start_ticks: number;
}

/** null: no such process. */
export function procStat(pid: number): ProcStat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
  // The second field is the name in brackets and may itself hold spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] ?? '?',
    process_group: Number(fields[2]),
    session: Number(fields[3]),
    start_ticks: Number(fields[19]),
  };
}

/** Whether the very process that had this id and start time still executes anything; a zombie does not. */
export function isRunning(pid: number, start_ticks: number): boolean {
  const stat = procStat(pid);
  return stat !== null && stat.start_ticks === start_ticks && stat.state !== 'Z' && stat.state !== 'X';
}

/** Its command line, arguments separated by NUL; '' when it is gone or a zombie. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
