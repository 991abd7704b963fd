/**
 * Opcode parameters as a table: name, type, default. From the table comes the parser, which refuses what it does not
 * know, by name, with the value and what was expected; it never guesses and never ignores.
 *
 * Ganeti's clients send every parameter, defaults included. A parameter of Ganeti's that Skein does not offer (yet) is
 * therefore accepted with the values that change nothing (`only`), and refused with any other.
 */
import type { Params } from '../config/model.ts';
import type { OpInput } from './types.ts';
import { OpError } from './types.ts';

export interface Param<T> {
  /** Completes "expected …". */
  readonly expected: string;
  /** The value as the opcode gets it; undefined when it is not acceptable. */
  readonly read: (value: unknown) => T | undefined;
  readonly required: boolean;
  readonly fallback?: T;
  /** Parameters of that name are checked and then dropped. */
  readonly unused?: true;
}

type Table = { readonly [name: string]: Param<unknown> };
export type Parsed<S extends Table> = { readonly [K in keyof S]: S[K] extends Param<infer T> ? T : never };

function required<T>(expected: string, read: Param<T>['read']): Param<T> {
  return { expected, read, required: true };
}

/** Absent means `fallback`. */
export function optional<T>(param: Param<T>, fallback: T): Param<T> {
  return { ...param, required: false, fallback };
}

/** Absent, or given as null, means null. */
export function nullable<T>(param: Param<T>): Param<T | null> {
  return {
    expected: `${param.expected}, or null`,
    read: (value) => (value === null ? null : param.read(value)),
    required: false,
    fallback: null,
  };
}

export const text = required<string>('a string', (value) => (typeof value === 'string' ? value : undefined));
export const name = required<string>('a non-empty string of at most 255 characters', (value) =>
  typeof value === 'string' && value.length > 0 && value.length <= 255 ? value : undefined,
);
export const flag = required<boolean>('true or false', (value) =>
  typeof value === 'boolean' ? value : undefined,
);

export function integer(least: number, most: number): Param<number> {
  return required(`an integer from ${least} to ${most}`, (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : undefined,
  );
}

export function number(least: number, most: number): Param<number> {
  return required(`a number from ${least} to ${most}`, (value) =>
    typeof value === 'number' && Number.isFinite(value) && value >= least && value <= most
      ? value
      : undefined,
  );
}

export function oneOf<T extends string>(...values: readonly T[]): Param<T> {
  return required(`one of ${values.join(', ')}`, (value) => values.find((each) => each === value));
}

export function listOf<T>(item: Param<T>, most: number): Param<readonly T[]> {
  return required(`a list of at most ${most}, each ${item.expected}`, (value) => {
    if (!Array.isArray(value) || value.length > most) return undefined;
    const items = value.map((each: unknown) => item.read(each));
    return items.every((each) => each !== undefined) ? (items as T[]) : undefined;
  });
}

/** A flat object of strings, numbers, booleans and nulls. */
export const params = required<Params>('an object of strings, numbers and booleans', (value) =>
  isObject(value) && Object.keys(value).length <= 256 && Object.values(value).every(isScalar)
    ? (value as Params)
    : undefined,
);

export const paramsByName = required<{ readonly [key: string]: Params }>('an object of objects', (value) =>
  isObject(value) && Object.values(value).every((each) => params.read(each) !== undefined)
    ? (value as { readonly [key: string]: Params })
    : undefined,
);

/** A parameter of Ganeti's that has no effect here: only these values are accepted. */
export function only(...values: readonly unknown[]): Param<null> {
  const shown = values.map((value) => JSON.stringify(value)).join(' or ');
  return {
    expected: `${shown} (anything else is not supported by this version)`,
    read: (value) => (value === null || values.some((each) => same(each, value)) ? null : undefined),
    required: false,
    fallback: null,
    unused: true,
  };
}

/** What every opcode takes. */
const base: Table = {
  dry_run: only(false),
  debug_level: { ...optional(integer(0, 100), 0), unused: true },
  priority: { ...optional(integer(-20, 19), 0), unused: true },
  depends: {
    ...nullable(required('a list', (value) => (Array.isArray(value) ? value : undefined))),
    unused: true,
  },
  comment: { ...nullable(text), unused: true },
  reason: {
    ...nullable(required('a list', (value) => (Array.isArray(value) ? value : undefined))),
    unused: true,
  },
};

/** Parses an opcode by its table. Throws {@link OpError} `wrong_input`. */
export function parser<S extends Table>(table: S): (input: OpInput) => Parsed<S> {
  const known: Table = { ...base, ...table };
  return (input) => {
    const id = input.OP_ID;
    for (const key of Object.keys(input)) {
      if (key === 'OP_ID' || Object.hasOwn(known, key)) continue;
      const hint = nearest(key, Object.keys(table));
      throw wrongInput(
        `${id}: unknown parameter ${JSON.stringify(key)}${hint ? `; did you mean ${hint}?` : ''}`,
      );
    }
    const result: Record<string, unknown> = {};
    for (const [key, param] of Object.entries(known)) {
      const value = input[key];
      if (value === undefined) {
        if (param.required)
          throw wrongInput(`${id}: parameter ${key} is missing: expected ${param.expected}`);
        if (!param.unused) result[key] = param.fallback;
        continue;
      }
      const parsed = param.read(value);
      if (parsed === undefined)
        throw wrongInput(`${id}: parameter ${key} is ${shorten(value)}: expected ${param.expected}`);
      if (!param.unused) result[key] = parsed;
    }
    return result as Parsed<S>;
  };
}

export function wrongInput(message: string): OpError {
  return new OpError('OpPrereqError', message, 'wrong_input');
}

/** A value for an error message: short, on one line. */
export function shorten(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
  return (
    value === null ||
    ['string', 'boolean'].includes(typeof value) ||
    (typeof value === 'number' && Number.isFinite(value))
  );
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The known name that shares the longest beginning, if that is at least half of it. */
function nearest(wrong: string, names: readonly string[]): string | null {
  const shared = (other: string): number => {
    let count = 0;
    while (count < other.length && other[count] === wrong[count]) count++;
    return count;
  };
  const best = [...names].sort((a, b) => shared(b) - shared(a))[0];
  return best !== undefined && shared(best) * 2 >= best.length ? best : null;
}
