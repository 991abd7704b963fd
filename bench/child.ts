/**
 * Programs that a benchmark starts: in a namespace or not, known by the process itself, ended with the benchmark
 * whatever happens. Never signals anything by name.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { namespaceFile } from '../cli/lab/layout.ts';
import { sleep } from './clock.ts';

export interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
  running(): boolean;
  /** SIGTERM, then SIGKILL after `patience_ms`; resolves when it has ended. */
  end(patience_ms?: number): Promise<void>;
}

export interface ChildOptions {
  /** null: this process's own. */
  readonly namespace: string | null;
  /** File that gets standard error, and standard output unless `pipe`. */
  readonly log: string;
  /** Standard output is read by the caller. */
  readonly pipe?: boolean;
}

const alive = new Set<ChildProcess>();
// Last resort, when the benchmark itself fails or is ended: nothing that it started stays.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export async function startChild(argv: readonly string[], options: ChildOptions): Promise<Child> {
  const { namespace, log, pipe = false } = options;
  // nsenter becomes the program: its process id is the program's.
  const whole = namespace === null ? argv : ['nsenter', `--net=${namespaceFile(namespace)}`, '--', ...argv];
  const [program = '', ...args] = whole;
  const file = openSync(log, 'a', 0o600);
  const child = spawn(program, args, { stdio: ['ignore', pipe ? 'pipe' : file, file] });
  closeSync(file);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  alive.add(child);
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      alive.delete(child);
      resolve();
    }),
  );
  return {
    pid: child.pid ?? 0,
    process: child,
    exited,
    running: () => alive.has(child),
    async end(patience_ms = 3_000) {
      if (!alive.has(child)) return;
      child.kill('SIGTERM');
      await Promise.race([exited, sleep(patience_ms)]);
      if (alive.has(child)) child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Arguments that run a file of this folder. */
export function scriptArgv(file: string, ...args: readonly string[]): readonly string[] {
  return [process.execPath, fileURLToPath(new URL(`./${file}`, import.meta.url)), ...args];
}
