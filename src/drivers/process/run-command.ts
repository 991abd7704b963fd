/**
 * Runs one external program to its end. Guarantees: an argument list, never a shell string; a timeout; the whole
 * process group is killed on timeout and abort; the error carries the tail of what the program said. It never waits
 * for a grandchild that merely kept our pipes open.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { DriverError } from '../types.ts';
import { default_path, missingProgram } from './program-path.ts';

export interface RunOptions {
  readonly timeout_ms: number;
  /** The complete environment; by default only PATH and LC_ALL=C. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Written to standard input, which is empty otherwise. */
  readonly input?: string | Uint8Array | undefined;
  /** Sees each line of stdout and stderr as it comes. If it throws, the program is killed and the error passed on. */
  readonly onLine?: ((line: string, stream: 'stdout' | 'stderr') => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of each stream the last so many bytes are kept (default 1 MiB). */
  readonly max_output_bytes?: number | undefined;
  /** true: an exit status other than 0 is a result, not an error. */
  readonly allow_failure?: boolean | undefined;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const default_max_output_bytes = 1 << 20;
const max_line_bytes = 64 << 10;
/** How long we wait for pipes to close once the program itself has ended, and for SIGKILL to work. */
const close_grace_ms = 100;
const kill_grace_ms = 5_000;
const tail_lines = 12;

/** The last lines of some output, for an error message. */
export function outputTail(text: string, lines = tail_lines): string {
  return text.trimEnd().split('\n').slice(-lines).join('\n').slice(-4_000);
}

/** SIGKILL to a process group; a group that is gone already is fine. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

class Collector {
  text = '';
  #line = '';
  readonly #max: number;
  readonly #onLine: (line: string) => void;

  constructor(max: number, onLine: (line: string) => void) {
    this.#max = max;
    this.#onLine = onLine;
  }

  add(chunk: string): void {
    this.text += chunk;
    if (this.text.length > 2 * this.#max) this.text = this.text.slice(-this.#max);
    this.#line += chunk;
    const parts = this.#line.split('\n');
    this.#line = parts.pop() ?? '';
    for (const part of parts) this.#onLine(part);
    if (this.#line.length > max_line_bytes) this.end();
  }

  end(): void {
    if (this.#line !== '') this.#onLine(this.#line);
    this.#line = '';
    this.text = this.text.slice(-this.#max);
  }
}

function spawnError(argv: readonly string[], cwd: string, error: NodeJS.ErrnoException): DriverError {
  const program = argv[0] ?? '';
  if (error.code === 'ENOENT') {
    // spawn reports a missing directory with the same code as a missing program.
    if (!existsSync(cwd))
      return new DriverError('not-found', `cannot run "${program}": its directory "${cwd}" does not exist`);
    return missingProgram(program);
  }
  return new DriverError(
    'failed',
    `cannot run "${program}": ${error.message}`,
    'check that it is executable',
  );
}

/**
 * Runs `argv` and resolves with its exit status and output.
 *
 * Rejects with a DriverError: `missing-program`; `timeout`; `failed` for a status other than 0 (unless
 * `allow_failure`), a death by signal, or an abort by `signal`.
 */
export async function runCommand(argv: readonly string[], options: RunOptions): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined || program === '')
    throw new DriverError('invalid', 'empty command: expected a program');
  if (!(options.timeout_ms > 0))
    throw new DriverError('invalid', `timeout_ms ${options.timeout_ms}: expected more than 0`);
  const aborted = (): DriverError => new DriverError('failed', `"${argv.join(' ')}" was canceled`);
  if (options.signal?.aborted) throw aborted();

  const cwd = options.cwd ?? '/';
  const env = options.env ?? { PATH: process.env.PATH ?? default_path, LC_ALL: 'C' };
  const child = await startChild(program, args, argv, cwd, env, options.input !== undefined);
  const pid = child.pid as number;

  return await new Promise<CommandResult>((resolve, reject) => {
    let verdict: Error | null = null;
    let settled = false;
    let exit: { code: number | null; signal: NodeJS.Signals | null } | null = null;
    let grace: NodeJS.Timeout | undefined;

    const kill = (why: Error): void => {
      if (verdict !== null || exit !== null) return;
      verdict = why;
      killGroup(pid);
      // A process in uninterruptible sleep does not even die of SIGKILL: do not wait for it for ever.
      grace = setTimeout(finish, kill_grace_ms);
    };
    const guarded = (line: string, stream: 'stdout' | 'stderr'): void => {
      try {
        options.onLine?.(line, stream);
      } catch (error) {
        kill(error instanceof Error ? error : new Error(String(error)));
      }
    };
    const max = options.max_output_bytes ?? default_max_output_bytes;
    const stdout = new Collector(max, (line) => guarded(line, 'stdout'));
    const stderr = new Collector(max, (line) => guarded(line, 'stderr'));
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => stdout.add(chunk));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => stderr.add(chunk));

    const timer = setTimeout(
      () =>
        kill(
          new DriverError(
            'timeout',
            `"${argv.join(' ')}" did not end within ${options.timeout_ms} ms and was killed`,
          ),
        ),
      options.timeout_ms,
    );
    const onAbort = (): void => kill(aborted());
    options.signal?.addEventListener('abort', onAbort, { once: true });

    function finish(): void {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      clearTimeout(grace);
      options.signal?.removeEventListener('abort', onAbort);
      child.stdout?.destroy();
      child.stderr?.destroy();
      stdout.end();
      stderr.end();
      const said = outputTail(stderr.text || stdout.text);
      if (verdict instanceof DriverError) {
        const alive = exit === null ? ' (it does not die: perhaps it waits for a disk)' : '';
        reject(
          new DriverError(
            verdict.code,
            `${verdict.message}${alive}${said === '' ? '' : `: ${said}`}`,
            verdict.hint,
          ),
        );
      } else if (verdict !== null) {
        reject(verdict);
      } else if (exit?.code === 0 || (options.allow_failure === true && typeof exit?.code === 'number')) {
        resolve({ code: exit.code as number, stdout: stdout.text, stderr: stderr.text });
      } else {
        const how = exit?.signal ? `was ended by ${exit.signal}` : `failed with status ${exit?.code}`;
        reject(new DriverError('failed', `"${argv.join(' ')}" ${how}${said === '' ? '' : `: ${said}`}`));
      }
    }

    child.on('exit', (code, signal) => {
      exit = { code, signal };
      clearTimeout(timer);
      clearTimeout(grace);
      grace = setTimeout(finish, close_grace_ms);
    });
    child.on('close', finish);

    if (options.input !== undefined) {
      // A program that ends without reading its input is judged by its exit status, not by the broken pipe.
      child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') kill(error);
      });
      child.stdin?.end(options.input);
    }
  });
}

function startChild(
  program: string,
  args: readonly string[],
  argv: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  input: boolean,
): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    // Its own session and process group, so that everything it starts can be ended together.
    const child = spawn(program, args, {
      cwd,
      env,
      detached: true,
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    child.once('error', (error) => reject(spawnError(argv, cwd, error)));
    child.once('spawn', () => resolve(child));
  });
}
