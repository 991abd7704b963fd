/**
 * Everything a command has of its surroundings: streams, their width, the environment, signals. Handed in, so that a
 * test runs the whole command line in its own process.
 */
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';

export interface Terminal {
  /** Writes to standard output. */
  out(text: string | Uint8Array): void;
  /** Writes to standard error: notices, prompts, progress, errors. */
  err(text: string): void;
  readonly stdin: Readable & { setRawMode?: (raw: boolean) => unknown };
  readonly stdin_is_tty: boolean;
  readonly out_is_tty: boolean;
  readonly err_is_tty: boolean;
  /** Columns of standard output; 80 when it is no terminal. */
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  now_ms(): number;
  /** Calls `handler` at Ctrl-C instead of ending; returns what takes it back. */
  onInterrupt(handler: () => void): () => void;
}

let stdin_opened = false;

/** Lets the process end although standard input was read. */
export function releaseStdin(): void {
  if (stdin_opened) process.stdin.unref?.();
}

/** This process's own terminal. */
export function processTerminal(): Terminal {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    // Opened when asked for: most commands read nothing, and it takes time.
    get stdin() {
      stdin_opened = true;
      return process.stdin;
    },
    stdin_is_tty: isatty(0),
    out_is_tty: process.stdout.isTTY === true,
    err_is_tty: process.stderr.isTTY === true,
    columns: process.stdout.columns ?? 80,
    env: process.env,
    cwd: process.cwd(),
    now_ms: () => Date.now(),
    onInterrupt: (handler) => {
      process.on('SIGINT', handler);
      return () => process.removeListener('SIGINT', handler);
    },
  };
}
