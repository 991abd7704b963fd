/** A world for tests of the htools: nothing outside of it is touched, and what was printed and written is kept. */
import type { World } from './program.ts';

export interface TestWorld extends World {
  readonly printed: { out: string; err: string };
  readonly written: Map<string, string>;
}

export interface TestWorldParts {
  /** Throws where there is no such file. */
  readonly read?: (path: string) => string;
  /** The body of an answer. */
  readonly answer?: (url: string) => string;
}

export function testWorld({ read, answer }: TestWorldParts): TestWorld {
  const printed = { out: '', err: '' };
  const written = new Map<string, string>();
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
  };
}
