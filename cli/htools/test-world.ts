/** A world for tests of the htools: nothing outside of it is touched, and what was printed and written is kept. */
import { type Agent, AgentError } from './agent.ts';
import { type Program, runProgram, type World } from './program.ts';

export interface TestWorld extends World {
  readonly printed: { out: string; err: string };
  readonly written: Map<string, string>;
  /** As if the process was sent one. */
  raise(signal: 'SIGINT' | 'SIGTERM'): void;
}

export interface TestWorldParts {
  /** Throws where there is no such file. */
  readonly read?: (path: string) => string;
  /** The body of an answer. */
  readonly answer?: (url: string) => string;
  readonly agent?: (socket: string | null) => Agent;
}

export function testWorld({ read, answer, agent }: TestWorldParts): TestWorld {
  const printed = { out: '', err: '' };
  const written = new Map<string, string>();
  const handlers = new Set<{ readonly signal: string; readonly handler: () => void }>();
  let now_ms = 0;
  return {
    printed,
    written,
    out: (text) => {
      printed.out += text;
    },
    err: (text) => {
      printed.err += text;
    },
    readFile: (path) => {
      const own = written.get(path);
      if (own !== undefined) return own;
      if (read !== undefined) return read(path);
      throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    },
    writeFile: (path, text) => {
      written.set(path, text);
    },
    get: async (url) => {
      if (answer === undefined) throw new Error('connection refused');
      return answer(url);
    },
    openAgent: async (socket) => {
      if (agent === undefined) throw new AgentError('no agent answers');
      return agent(socket);
    },
    onSignal: (signal, handler) => {
      const entry = { signal, handler };
      handlers.add(entry);
      return () => handlers.delete(entry);
    },
    raise: (signal) => {
      for (const entry of handlers) if (entry.signal === signal) entry.handler();
    },
    // One further with each look at it: what takes time takes the same everywhere.
    now_ms: () => ++now_ms,
  };
}

/** What a program said, and its exit status. */
export interface Said {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/**
 * Runs an htool in this process, and keeps what it says.
 * @param readFile throws for files that are not there
 * @param writeFile is told of each file that it writes
 */
export async function runHtool<O>(
  program: Program<O>,
  argv: readonly string[],
  readFile: (path: string) => string,
  writeFile: (path: string, text: string) => void = () => undefined,
): Promise<Said> {
  const world = { ...testWorld({ read: readFile }), writeFile };
  const status = await runProgram(program, argv, world);
  return { ...world.printed, status };
}
