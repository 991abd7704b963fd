/**
 * A process keeper inside the calling process: for tests and for a single host without the separate keeper. Its
 * processes die with it (parent-death signal), which is the safe direction. It must never report a process as gone
 * while anything of its group lives.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { DriverError, type KeptProcess, type ProcessKeeper, type ProcessSpec } from '../types.ts';
import { logTail } from './log-tail.ts';
import { findProgram, requireProgram } from './program-path.ts';
import { killGroup } from './run-command.ts';

type ExitHandler = Parameters<ProcessKeeper['onExit']>[0];

export interface LocalProcessKeeper extends ProcessKeeper {
  /** Kills everything that it keeps and resolves when all of it is gone. */
  close(): Promise<void>;
}

interface Kept {
  readonly spec: ProcessSpec;
  readonly child: ChildProcess;
  readonly pid: number;
}

const exec_timeout_ms = 5_000;
const poll_ms = 5;

const pause = (delay_ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delay_ms));

function groupLives(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Reads one file of /proc/PID; '' when the process has gone. */
async function procFile(pid: number, name: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    // ENOENT or ESRCH: the process ended between two looks, which is an answer.
    return '';
  }
}

/** Creates a keeper in this process. Every kept process is SIGKILLed by the kernel when this process dies. */
export function createLocalProcessKeeper(): LocalProcessKeeper {
  const kept = new Map<string, Kept>();
  const starting = new Map<string, Promise<{ readonly pid: number }>>();
  const handlers: ExitHandler[] = [];

  async function start(spec: ProcessSpec): Promise<{ readonly pid: number }> {
    const program = await requireProgram(spec.argv[0] ?? '', spec.env.PATH);
    const setpriv = await findProgram('setpriv');
    const argv = [
      ...(setpriv === null ? [] : [setpriv, '--pdeathsig', 'KILL']),
      program,
      ...spec.argv.slice(1),
    ];
    const log = openSync(spec.log_file, 'w', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(argv[0] as string, argv.slice(1), {
        cwd: spec.cwd,
        env: { ...spec.env },
        detached: true,
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(new DriverError('failed', `cannot start ${spec.name}: ${error.message}`)),
      );
    });
    const pid = child.pid as number;
    kept.set(spec.name, { spec, child, pid });
    child.once('exit', (code, signal) => void ended(spec, pid, code, signal));
    await execDone(spec, child, pid, program);
    return { pid };
  }

  /** Waits until the wrapper has become the program itself. */
  async function execDone(
    spec: ProcessSpec,
    child: ChildProcess,
    pid: number,
    program: string,
  ): Promise<void> {
    for (let waited_ms = 0; waited_ms < exec_timeout_ms; waited_ms += poll_ms) {
      if (child.exitCode !== null || child.signalCode !== null) return; // Ran and ended: onExit tells how.
      const cmdline = await procFile(pid, 'cmdline');
      if (cmdline !== '' && !cmdline.split('\0').includes('--pdeathsig')) return;
      await pause(poll_ms);
    }
    killGroup(pid);
    throw new DriverError(
      'timeout',
      `${spec.name}: "${program}" was not executed within ${exec_timeout_ms} ms`,
    );
  }

  async function ended(
    spec: ProcessSpec,
    pid: number,
    code: number | null,
    signal: string | null,
  ): Promise<void> {
    // Children of the dead leader would still be the guest: nothing of the group may remain before we say it is gone.
    killGroup(pid);
    while (groupLives(pid)) await pause(poll_ms);
    if (kept.get(spec.name)?.pid === pid) kept.delete(spec.name);
    const log_tail = await logTail(spec.log_file);
    for (const handler of handlers) handler({ name: spec.name, tag: spec.tag, code, signal, log_tail });
  }

  async function kill(name: string, timeout_ms: number): Promise<void> {
    const entry = kept.get(name);
    if (entry === undefined) return;
    killGroup(entry.pid);
    for (let waited_ms = 0; kept.get(name)?.pid === entry.pid; waited_ms += poll_ms) {
      if (waited_ms >= timeout_ms) {
        throw new DriverError(
          'timeout',
          `${name} (process ${entry.pid}) is still there ${timeout_ms} ms after SIGKILL`,
          'it may wait for a disk that does not answer',
        );
      }
      await pause(poll_ms);
    }
  }

  return {
    async spawn(spec) {
      const existing = kept.get(spec.name);
      if (existing !== undefined) {
        if (existing.spec.tag !== spec.tag) {
          throw new DriverError(
            'exists',
            `${spec.name} runs already as ${existing.spec.tag}, not as ${spec.tag}`,
          );
        }
        return (await starting.get(spec.name)) ?? { pid: existing.pid };
      }
      const running = starting.get(spec.name);
      if (running !== undefined) return await running;
      const begun = start(spec).finally(() => starting.delete(spec.name));
      starting.set(spec.name, begun);
      return await begun;
    },
    kill,
    async list() {
      const rows: KeptProcess[] = [];
      for (const { spec, pid } of kept.values()) {
        // The state is the field after the parenthesised command name, which may itself contain parentheses.
        const state = (await procFile(pid, 'stat')).split(') ').at(-1)?.[0];
        rows.push({ name: spec.name, tag: spec.tag, pid, protected: spec.protected, frozen: state === 'T' });
      }
      return rows;
    },
    onExit(handler) {
      handlers.push(handler);
    },
    async close() {
      await Promise.all([...kept.keys()].map((name) => kill(name, 10_000)));
    },
  };
}
