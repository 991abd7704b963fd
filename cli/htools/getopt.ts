/**
 * Command lines as the htools take them: options before, between and after arguments, short ones in bundles, long ones
 * by any beginning that fits only one. Messages and exit codes are the htools' own: 2 for what is no option, 1 for a
 * value that makes no sense. Every program says what its options do to its settings; `--version`, `--help` and
 * `--help-completion` come with it.
 */

/** What a value is not; the text is for the operator. */
export class BadValue extends Error {}

interface OptionCommon {
  readonly short?: string;
  readonly long: string;
  /** Taken too, if given in full; in no help. */
  readonly alias?: string;
  readonly help: string;
  /** For `--help-completion`. */
  readonly completion: string;
}

export type OptionSpec<Settings> = OptionCommon &
  (
    | { readonly kind: 'flag'; readonly apply: (settings: Settings) => Settings }
    | {
        readonly kind: 'required';
        readonly value: string;
        readonly apply: (settings: Settings, value: string) => Settings;
      }
    | {
        readonly kind: 'optional';
        readonly value: string;
        readonly apply: (settings: Settings, value: string | null) => Settings;
      }
  );

export interface Program<Settings> {
  readonly name: string;
  readonly version: string;
  readonly options: readonly OptionSpec<Settings>[];
  readonly defaults: Settings;
  /** For `--help-completion`, e.g. `file 1 1`. */
  readonly argument_completion: readonly string[];
}

/** `done`: there is nothing more to do than to print. */
export type ParsedCommandLine<Settings> =
  | { readonly done: false; readonly settings: Settings; readonly arguments: readonly string[] }
  | { readonly done: true; readonly output: string; readonly error: string; readonly exit: number };

type Found<Settings> = readonly [OptionSpec<Settings>, string | null];

export function parseCommandLine<Settings>(
  program: Program<Settings>,
  line: readonly string[],
): ParsedCommandLine<Settings> {
  const options = [...program.options, ...standardOptions<Settings>()];
  const found: Found<Settings>[] = [];
  const errors: string[] = [];
  const operands: string[] = [];
  for (let at = 0; at < line.length; at++) {
    const word = line[at]!;
    if (word === '--') {
      operands.push(...line.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    const taken = word.startsWith('--')
      ? longOption(options, word.slice(2), line[at + 1], found, errors)
      : shortOptions(options, word.slice(1), line[at + 1], found, errors);
    if (taken) at += 1;
  }
  const unknown = errors.filter((error) => error.startsWith('unrecognized'));
  const wrong = [...errors.filter((error) => !error.startsWith('unrecognized')), ...unknown];
  if (wrong.length > 0) {
    const error = `Command line error: ${wrong.join('')}\n${usage(program, options)}`;
    return { done: true, output: '', error, exit: 2 };
  }
  return settle(program, options, found, operands);
}

function settle<Settings>(
  program: Program<Settings>,
  options: readonly OptionSpec<Settings>[],
  found: readonly Found<Settings>[],
  operands: readonly string[],
): ParsedCommandLine<Settings> {
  let settings = program.defaults;
  try {
    for (const [option, value] of found) settings = applied(option, settings, value);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    const text = `Error while parsing command line arguments:\n${error.message}\n`;
    return { done: true, output: '', error: text, exit: 1 };
  }
  const asked = (long: string): boolean => found.some(([option]) => option.long === long);
  const printed = (output: string): ParsedCommandLine<Settings> => ({
    done: true,
    output,
    error: '',
    exit: 0,
  });
  if (asked('help')) return printed(usage(program, options));
  if (asked('version')) return printed(`${program.name} ${program.version}\n`);
  if (asked('help-completion')) return printed(completion(program, options));
  return { done: false, settings, arguments: operands };
}

function applied<Settings>(option: OptionSpec<Settings>, settings: Settings, value: string | null): Settings {
  switch (option.kind) {
    case 'flag':
      return option.apply(settings);
    case 'required':
      return option.apply(settings, value ?? '');
    case 'optional':
      return option.apply(settings, value);
  }
}

function standardOptions<Settings>(): readonly OptionSpec<Settings>[] {
  const flag = (long: string, help: string, short?: string): OptionSpec<Settings> => ({
    kind: 'flag',
    long,
    help,
    completion: 'none',
    apply: (settings) => settings,
    ...(short === undefined ? {} : { short }),
  });
  return [
    flag('version', 'show the version of the program', 'V'),
    flag('help', 'show help', 'h'),
    flag('help-completion', 'show completion info'),
  ];
}

/** Whether the next word was its value. */
function longOption<Settings>(
  options: readonly OptionSpec<Settings>[],
  word: string,
  next: string | undefined,
  found: Found<Settings>[],
  errors: string[],
): boolean {
  const equals = word.indexOf('=');
  const name = equals === -1 ? word : word.slice(0, equals);
  const value = equals === -1 ? null : word.slice(equals + 1);
  const exact = options.filter(({ long, alias }) => long === name || alias === name);
  const fitting = exact.length > 0 ? exact : options.filter((option) => option.long.startsWith(name));
  const [option] = fitting;
  if (option === undefined) {
    errors.push(`unrecognized option \`--${word}'\n`);
    return false;
  }
  if (fitting.length > 1) {
    errors.push(
      `option \`--${word}' is ambiguous; could be one of:\n${optionTable(fitting)
        .map((line) => `${line}\n`)
        .join('')}`,
    );
    return false;
  }
  if (option.kind === 'flag') {
    if (value === null) found.push([option, null]);
    else errors.push(`option \`--${name}' doesn't allow an argument\n`);
    return false;
  }
  if (option.kind === 'optional' || value !== null) {
    found.push([option, value]);
    return false;
  }
  return withNext(option, `--${name}`, next, found, errors);
}

function withNext<Settings>(
  option: OptionSpec<Settings>,
  shown: string,
  next: string | undefined,
  found: Found<Settings>[],
  errors: string[],
): boolean {
  if (next === undefined) {
    const what = option.kind === 'flag' ? '' : option.value;
    errors.push(`option \`${shown}' requires an argument ${what}\n`);
    return false;
  }
  found.push([option, next]);
  return true;
}

function shortOptions<Settings>(
  options: readonly OptionSpec<Settings>[],
  letters: string,
  next: string | undefined,
  found: Found<Settings>[],
  errors: string[],
): boolean {
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at]!;
    const rest = letters.slice(at + 1);
    const option = options.find(({ short }) => short === letter);
    if (option === undefined) {
      errors.push(`unrecognized option \`-${letter}'\n`);
    } else if (option.kind === 'flag') {
      found.push([option, null]);
    } else if (rest !== '' || option.kind === 'optional') {
      found.push([option, rest === '' ? null : rest]);
      return false;
    } else {
      return withNext(option, `-${letter}`, next, found, errors);
    }
  }
  return false;
}

function usage<Settings>(program: Program<Settings>, options: readonly OptionSpec<Settings>[]): string {
  const head = `${program.name} ${program.version.split('\n')[0] ?? ''}\nUsage: ${program.name} [OPTION...]\n`;
  return (
    head +
    optionTable(options)
      .map((line) => `${line}\n`)
      .join('')
  );
}

/** Three columns, each as wide as its widest. */
function optionTable<Settings>(options: readonly OptionSpec<Settings>[]): readonly string[] {
  const rows = options.map((option) => {
    const { short, long, help } = option;
    if (option.kind === 'flag') return [short === undefined ? '' : `-${short}`, `--${long}`, help];
    const { value } = option;
    const optional = option.kind === 'optional';
    const brief = short === undefined ? '' : optional ? `-${short}[${value}]` : `-${short} ${value}`;
    return [brief, optional ? `--${long}[=${value}]` : `--${long}=${value}`, help];
  });
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]!.length));
  const [first, second] = [width(0), width(1)];
  return rows.map(
    ([brief = '', name = '', help = '']) => `  ${brief.padEnd(first)}  ${name.padEnd(second)}  ${help}`,
  );
}

function completion<Settings>(program: Program<Settings>, options: readonly OptionSpec<Settings>[]): string {
  const lines = options.map(
    ({ short, long, completion: how }) => `${short === undefined ? '' : `-${short},`}--${long} ${how}`,
  );
  return [...lines, ...program.argument_completion].map((line) => `${line}\n`).join('');
}
