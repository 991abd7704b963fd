/**
 * The walls of the house (docs/architecture.md): which folder may import which, and where clock, chance and I/O may
 * appear. Reads source text only; strings and comments are blanked first, so that a word in a message is no offence.
 */

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** `types`: `import type` only. A path ending in `.ts` allows that file alone. */
interface Allowed {
  readonly path: string;
  readonly types: boolean;
}

const all = (path: string): Allowed => ({ path, types: false });
const typesOf = (path: string): Allowed => ({ path, types: true });
const everything: readonly Allowed[] = [all('')];

/** The table of docs/architecture.md; a folder may always import itself. */
const import_table: readonly { readonly folder: string; readonly may: readonly Allowed[] }[] = [
  { folder: 'src/consensus/', may: [] },
  { folder: 'src/config/', may: [] },
  { folder: 'src/placement/', may: [typesOf('src/config/')] },
  { folder: 'src/drivers/', may: [typesOf('src/config/')] },
  {
    folder: 'src/ops/',
    may: [all('src/config/'), all('src/placement/'), all('src/drivers/types.ts'), typesOf('src/drivers/')],
  },
  { folder: 'src/node/', may: [all('src/')] },
  {
    folder: 'cli/htools/',
    may: [all('src/placement/'), typesOf('src/config/'), all('cli/htools-agent.ts')],
  },
  {
    folder: 'cli/',
    may: [
      all('src/node/api-types.ts'),
      all('src/placement/'),
      all('src/node/api-client.ts'),
      typesOf('src/config/'),
      all('sim/history/'),
    ],
  },
  { folder: 'sim/', may: everything },
  { folder: 'scripts/', may: everything },
  { folder: 'bench/', may: everything },
  { folder: 'test/', may: everything },
];

/** Where the outside world is allowed in. */
const io_allowed: readonly RegExp[] = [
  /^src\/drivers\//,
  /^src\/node\/(real-env|real-disk|real-host|durable-file|image|identity|agent|agent-options|main)\.ts$/,
  /^src\/node\/(api-server|api-client|who-server|console|socket-stream|keeper-client|placement-worker|placement-thread)\.ts$/,
  /^src\/node\/(mesh|keeper)\//,
  /^(cli|scripts|bench|test)\//,
  // The simulator's command line; its world may not.
  /^sim\/run[^/]*\.ts$/,
];

/** Tests and what only tests use: free of both tables. */
const test_file = /(\.test\.ts$|(^|\/)test-[^/]*\.ts$|[.-]test-helpers?\.ts$|(^|\/)testing\/)/;

/** Modules of Node that compute and nothing else; a list of names where the module holds other things too. */
const pure_modules: Readonly<Record<string, readonly string[] | 'all'>> = {
  'node:assert': 'all',
  'node:assert/strict': 'all',
  'node:buffer': 'all',
  'node:path': 'all',
  'node:util': 'all',
  'node:events': ['EventEmitter'],
  'node:crypto': ['createHash', 'hash', 'timingSafeEqual'],
  'node:net': ['isIP', 'isIPv4', 'isIPv6'],
  'node:zlib': ['crc32'],
};

/** Packages that touch disk or network by themselves. */
const io_packages = /^(level|classic-level|abstract-level|libp2p|@libp2p\/(?!interface$).+)$/;

const banned: readonly { readonly pattern: RegExp; readonly what: string; readonly instead: string }[] = [
  { pattern: /(?<![.\w])Date\s*\.\s*now\b/g, what: 'Date.now', instead: 'the time that was handed in' },
  {
    pattern: /(?<![.\w])new\s+Date\s*(\(\s*\)|(?=[;,)\]}\n]))/g,
    what: 'new Date()',
    instead: 'the time that was handed in',
  },
  {
    pattern: /(?<![.\w])(set|clear)(Timeout|Interval|Immediate)\b/g,
    what: 'a timer',
    instead: '`after` of the environment handed in',
  },
  {
    pattern: /(?<![.\w])Math\s*\.\s*random\b/g,
    what: 'Math.random',
    instead: '`random` of the environment handed in',
  },
  {
    pattern: /(?<![.\w])performance\s*\.\s*\w/g,
    what: 'performance',
    instead: '`now_ms` of the environment handed in',
  },
  { pattern: /(?<![.\w])process\s*[.[]/g, what: 'process', instead: 'a parameter' },
  { pattern: /(?<![.\w])console\s*\.\s*\w/g, what: 'console', instead: '`log` of the environment handed in' },
  {
    pattern: /(?<![.\w])crypto\s*\.\s*(randomUUID|getRandomValues|subtle)\b/g,
    what: 'the random global crypto',
    instead: 'a parameter',
  },
  {
    pattern: /(?<![.\w])(fetch\s*\((?!\s*\w+\??\s*:)|new\s+WebSocket\b)/g,
    what: 'the network',
    instead: 'an interface that is handed in',
  },
  { pattern: /(?<![.\w])globalThis\b/g, what: 'globalThis', instead: 'an interface that is handed in' },
];

/** Every breach in one file. `path` is relative to the project, with forward slashes. */
export function checkBoundaries(path: string, source: string): readonly Violation[] {
  if (test_file.test(path)) return [];
  const code = blanked(source);
  const violations: Violation[] = [];
  const report = (at: number, message: string): void => {
    violations.push({ file: path, line: source.slice(0, at).split('\n').length, message });
  };
  const io = io_allowed.some((pattern) => pattern.test(path));
  for (const found of importsOf(source, code)) {
    const wrong = found.specifier.startsWith('.')
      ? projectImport(path, found)
      : io
        ? null
        : outsideImport(found);
    if (wrong !== null) report(found.at, wrong);
  }
  if (!io) {
    for (const { pattern, what, instead } of banned) {
      for (const match of code.matchAll(pattern))
        report(match.index, `${what} is not allowed here: expected ${instead}`);
    }
  }
  return violations.sort((a, b) => a.line - b.line);
}

interface Import {
  readonly specifier: string;
  readonly at: number;
  /** Nothing of it is left at run time. */
  readonly types: boolean;
  /** null: everything (a namespace, a dynamic import, a re-export of all). */
  readonly names: readonly string[] | null;
}

const static_import = /(?<![.\w])(import|export)\s+(type\s+)?([\w*{}\s,$]*?)\bfrom\s*(["'])/g;
const bare_import = /(?<![.\w])import\s*(["'])/g;
const dynamic_import = /(?<![.\w])(import|require)\s*\(\s*(["'`])?/g;

function importsOf(source: string, code: string): readonly Import[] {
  const found: Import[] = [];
  const specifierAt = (start: number): string =>
    source.slice(start, source.indexOf(source[start - 1]!, start));
  for (const match of code.matchAll(static_import)) {
    const clause = match[3]!;
    const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? null;
    const listed =
      braces
        ?.split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '') ?? [];
    const outside = clause
      .replace(/\{[^}]*\}/, '')
      .replaceAll(',', '')
      .trim();
    const values = listed.filter((name) => !name.startsWith('type '));
    found.push({
      specifier: specifierAt(match.index + match[0].length),
      at: match.index,
      types: match[2] !== undefined || (outside === '' && listed.length > 0 && values.length === 0),
      names: outside === '' && braces !== null ? values.map((name) => name.split(/\s+as\s+/)[0]!) : null,
    });
  }
  for (const match of code.matchAll(bare_import)) {
    found.push({
      specifier: specifierAt(match.index + match[0].length),
      at: match.index,
      types: false,
      names: null,
    });
  }
  for (const match of code.matchAll(dynamic_import)) {
    if (match[2] === undefined) {
      found.push({ specifier: '(computed)', at: match.index, types: false, names: null });
      continue;
    }
    const end = match.index + match[0].length;
    // `import('x').T` in a type leaves nothing at run time; after `await` or `=` it is a real one.
    const before = code.slice(0, match.index).trimEnd();
    const types =
      match[1] === 'import' &&
      /[:|&<,]$|\bextends$|\btypeof$/.test(before) &&
      !/\?[^:]*:$/.test(before.split('\n').at(-1)!);
    found.push({ specifier: specifierAt(end), at: match.index, types, names: null });
  }
  return found;
}

function projectImport(path: string, found: Import): string | null {
  const target = resolved(path, found.specifier);
  const rule = import_table.find(({ folder }) => path.startsWith(folder));
  if (rule === undefined || target.startsWith(rule.folder)) return null;
  if (rule.may.some((allowed) => target.startsWith(allowed.path) && (!allowed.types || found.types)))
    return null;
  const types = rule.may.some((allowed) => target.startsWith(allowed.path) && allowed.types);
  if (types) return `${rule.folder} imports ${target} by value: expected \`import type\``;
  const may = rule.may.map((allowed) => (allowed.types ? `types of ${allowed.path}` : allowed.path));
  return `${rule.folder} must not import ${target}: expected only itself${may.map((one) => ` or ${one}`).join('')}`;
}

function outsideImport(found: Import): string | null {
  const { specifier, types, names } = found;
  if (types) return null;
  if (specifier === '(computed)') return 'an import of a computed name is not allowed here';
  if (io_packages.test(specifier)) return `${specifier} does I/O, which is not allowed here`;
  const bare = bareBuiltin(specifier);
  if (bare === null) return null;
  const pure = Object.hasOwn(pure_modules, bare) ? pure_modules[bare]! : [];
  if (pure === 'all') return null;
  const impure = names === null ? ['*'] : names.filter((name) => !pure.includes(name));
  return impure.length === 0
    ? null
    : `${specifier} (${impure.join(', ')}) is not allowed here: expected an interface that is handed in`;
}

const builtins = new Set([
  'assert',
  'async_hooks',
  'buffer',
  'child_process',
  'cluster',
  'crypto',
  'dgram',
  'dns',
  'events',
  'fs',
  'fs/promises',
  'http',
  'http2',
  'https',
  'inspector',
  'module',
  'net',
  'os',
  'path',
  'perf_hooks',
  'process',
  'readline',
  'repl',
  'stream',
  'timers',
  'timers/promises',
  'tls',
  'tty',
  'url',
  'util',
  'v8',
  'vm',
  'worker_threads',
  'zlib',
]);

function bareBuiltin(specifier: string): string | null {
  if (specifier.startsWith('node:')) return specifier;
  return builtins.has(specifier) ? `node:${specifier}` : null;
}

function resolved(path: string, specifier: string): string {
  const parts = path.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/**
 * The source with the insides of comments, strings, templates and regular expressions replaced by spaces, every
 * offset and line kept. Code inside a template's `${}` stays visible.
 */
export function blanked(source: string): string {
  const out = source.split('');
  const blank = (from: number, to: number): void => {
    for (let i = from; i < to && i < out.length; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  const template = (): void => {
    const from = at;
    while (at < source.length && source[at] !== '`' && !source.startsWith('${', at))
      at += source[at] === '\\' ? 2 : 1;
    blank(from, at);
    if (source[at] === '`') {
      at += 1;
    } else {
      at += 2;
      templates.push(depth);
      depth += 1;
    }
  };
  while (at < source.length) {
    const char = source[at]!;
    if (source.startsWith('//', at) || source.startsWith('/*', at)) {
      const end = char + source[at + 1] === '//' ? source.indexOf('\n', at) : source.indexOf('*/', at) + 2;
      const to = end < at + 2 ? source.length : end;
      blank(at, to);
      at = to;
    } else if (char === '"' || char === "'") {
      const from = ++at;
      while (at < source.length && source[at] !== char && source[at] !== '\n')
        at += source[at] === '\\' ? 2 : 1;
      blank(from, at);
      at += 1;
    } else if (char === '`') {
      at += 1;
      template();
    } else if (char === '}' && templates.at(-1) === depth - 1) {
      templates.pop();
      depth -= 1;
      at += 1;
      template();
    } else if (char === '/' && startsRegExp(source, at)) {
      const from = ++at;
      let inClass = false;
      while (at < source.length && source[at] !== '\n' && (inClass || source[at] !== '/')) {
        if (source[at] === '\\') at += 1;
        else if (source[at] === '[') inClass = true;
        else if (source[at] === ']') inClass = false;
        at += 1;
      }
      blank(from, at);
      at += 1;
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      at += 1;
    }
  }
  return out.join('');
}

/** A slash after a value divides; anywhere else it begins a regular expression. */
function startsRegExp(source: string, at: number): boolean {
  const before = source.slice(Math.max(0, at - 40), at).trimEnd();
  return (
    before === '' ||
    /[(,=:[!&|?{};+\-*%~^<>]$/.test(before) ||
    /\b(return|typeof|case|in|of|void|delete|await)$/.test(before)
  );
}
