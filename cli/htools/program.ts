/**
 * How an htool starts and ends: its command line, its exit status (0 well, 1 failed, 2 command line), and the world that
 * it may touch, handed in so that tests can do without one.
 */
import type { Agent } from './agent.ts';
import { type Program as CommandLine, parseCommandLine } from './getopt.ts';

export interface World {
  /** To standard output and standard error; newlines are in the text. */
  out(text: string): void;
  err(text: string): void;
  /** Throws what `fs` throws. */
  readFile(path: string): string;
  writeFile(path: string, text: string): void;
  /** The body of a successful answer; otherwise throws with the reason. */
  get(url: string): Promise<string>;
  /** The agent of this host, or the one at a socket; rejects, as all that it is asked does, with an `AgentError`. */
  openAgent(socket: string | null): Promise<Agent>;
  /** Calls `handler` at a signal instead of ending; returns what takes it back. */
  onSignal(signal: 'SIGINT' | 'SIGTERM', handler: () => void): () => void;
  /** Milliseconds, from any beginning; never backwards. */
  now_ms(): number;
}

export interface Program<O> extends Omit<CommandLine<O>, 'version'> {
  /** How many arguments it takes that are no options, at most. */
  readonly arguments: number;
  /** To the exit status. Throws {@link Failure} to end with a message. */
  run(options: O, world: World, args: readonly string[]): Promise<number>;
}

/** Ends a program: `Error: …` on standard error. */
export class Failure extends Error {
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.name = 'Failure';
    this.status = status;
  }
}

/** Why a file could not be read, in the htools' words. */
export function fileReason(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return 'openFile: does not exist (No such file or directory)';
  }
  return error instanceof Error ? error.message : String(error);
}

export const version = '0.1.0';

/** As it is shown: behind a program's name. */
export const skein_version = `(skein) version ${version}`;

/** Runs a program, to its exit status. */
export async function runProgram<O>(
  program: Program<O>,
  argv: readonly string[],
  world: World,
): Promise<number> {
  const version_text = `${skein_version}\nrunning on ${process.platform} ${process.arch} with node ${process.versions.node}`;
  const parsed = parseCommandLine({ ...program, version: version_text }, argv);
  if (parsed.done) {
    world.out(parsed.output);
    world.err(parsed.error);
    return parsed.exit;
  }
  try {
    if (parsed.arguments.length > program.arguments) {
      throw new Failure(
        program.arguments === 0 ? "This program doesn't take any arguments." : 'Too many arguments.',
      );
    }
    return await program.run(parsed.settings, world, parsed.arguments);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    world.err(`Error: ${error.message}\n`);
    return error.status;
  }
}
