/** Where an htool reads and writes. A program ends by returning its exit code, or with a {@link ToolError}. */
import { readFileSync, writeFileSync } from 'node:fs';
import { InputError } from '../../src/placement/input-error.ts';

export interface ToolIo {
  /** A whole file; `-` is the standard input. */
  readonly read: (path: string) => string;
  readonly write: (path: string, text: string) => void;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Ends a program: the message on the standard error, and the exit code 1. */
export class ToolError extends Error {}

export const process_io: ToolIo = {
  read: (path) => readFileSync(path === '-' ? 0 : path, 'utf8'),
  write: (path, text) => writeFileSync(path, text),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

/** What went wrong with a file or its contents, in one line; other errors are passed on. */
export function reasonOf(error: unknown, path: string): string {
  if (error instanceof InputError) return error.message;
  if (!(error instanceof Error) || !('code' in error)) throw error;
  const [short, long] = known_errors[String(error.code)] ?? ['failed', error.message];
  return `${path}: openFile: ${short} (${long})`;
}

const known_errors: { readonly [code: string]: readonly [string, string] } = {
  ENOENT: ['does not exist', 'No such file or directory'],
  EACCES: ['permission denied', 'Permission denied'],
  EISDIR: ['inappropriate type', 'is a directory'],
};

/** Runs a program; what it throws becomes a message and an exit code. */
export function runTool(io: ToolIo, program: () => number): number {
  try {
    return program();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    io.err(`${error.message}\n`);
    return 1;
  }
}
