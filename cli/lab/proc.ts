/**
 * Processes as /proc shows them. A process is known by its id *and* start time; membership of a lab host by network
 * namespace, or, without namespaces, by an environment variable that every process of the host inherits.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';

export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks after boot. */
  readonly start_ticks: number;
}

interface Stat extends ProcessId {
  readonly parent: number;
  readonly state: string;
}

/** Processes come and go while they are looked at. */
function unlessGone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return null;
    throw error;
  }
}

export function statOf(pid: number): Stat | null {
  const text = unlessGone(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (text === null) return null;
  // The second field is the name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid, state: fields[0] ?? '', parent: Number(fields[1]), start_ticks: Number(fields[19]) };
}

/** Runs and is still the same process; a zombie does not run. */
export function isAlive(id: ProcessId): boolean {
  const stat = statOf(id.pid);
  return stat !== null && stat.start_ticks === id.start_ticks && stat.state !== 'Z' && stat.state !== 'X';
}

function allPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function ownLine(): ReadonlySet<number> {
  const line = new Set<number>();
  for (let stat = statOf(process.pid); stat !== null && !line.has(stat.pid); stat = statOf(stat.parent))
    line.add(stat.pid);
  return line;
}

export interface Membership {
  /** Path of the namespace's file, or null. */
  readonly namespace_file: string | null;
  /** `NAME=value` that the host's processes inherit. */
  readonly environment: string;
}

/** Living processes of a host: of its namespace, with its variable, and all descendants of these. Never this one or its parents. */
export function processesOf({ namespace_file, environment }: Membership): readonly ProcessId[] {
  const inode = namespace_file === null ? null : unlessGone(() => statSync(namespace_file).ino);
  const own = ownLine();
  const stats = allPids()
    .map(statOf)
    .filter((stat) => stat !== null && stat.state !== 'Z' && stat.state !== 'X') as Stat[];
  const members = new Set<number>();
  for (const { pid } of stats) {
    const in_namespace = inode !== null && unlessGone(() => statSync(`/proc/${pid}/ns/net`).ino) === inode;
    if (in_namespace || hasVariable(pid, environment)) members.add(pid);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, parent } of stats) {
      if (members.has(parent) && !members.has(pid) && !own.has(parent)) {
        members.add(pid);
        grown = true;
      }
    }
  }
  return stats
    .filter(({ pid }) => members.has(pid) && !own.has(pid))
    .map(({ pid, start_ticks }) => ({ pid, start_ticks }));
}

function hasVariable(pid: number, environment: string): boolean {
  const text = unlessGone(() => readFileSync(`/proc/${pid}/environ`, 'utf8'));
  return text?.split('\0').includes(environment) ?? false;
}

/** Sends a signal unless the process is gone or its id belongs to another by now. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
