/** Runs an htool in this process, in a world of a few files, and keeps what it says. */
import { type Program, runProgram } from './program.ts';

/** What a program said, and its exit status. */
export interface Said {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/** @param readFile throws for files that are not there */
export async function runHtool<O>(
  program: Program<O>,
  argv: readonly string[],
  readFile: (path: string) => string,
  writeFile: (path: string, text: string) => void = () => undefined,
): Promise<Said> {
  let out = '';
  let err = '';
  const status = await runProgram(program, argv, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readFile,
    writeFile,
    get: () => Promise.reject(new Error('no network in this test')),
  });
  return { out, err, status };
}
