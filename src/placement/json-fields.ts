/**
 * Fields of JSON objects, checked as they are read. What is wrong is told as the htools tell it (`key 'x' not found`,
 * `Unable to read String`), then with the value that was found and what was expected.
 */
import { InputError, quoted } from './input-error.ts';
import { known } from './names.ts';

/** An object, and what to call it: e.g. `invalid data for node 'node1'`. */
export interface Fields {
  readonly where: string;
  readonly object: { readonly [key: string]: unknown };
}

export function fieldsOf(value: unknown, where: string): Fields {
  if (isObject(value)) return { where, object: value };
  throw new InputError(where, `Unable to read JSObject from ${shown(value)}`, 'an object');
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Undefined also where it is null. */
export function optional<T>(
  fields: Fields,
  key: string,
  read: (fields: Fields, key: string) => T,
): T | undefined {
  const value = fields.object[key];
  return value === undefined || value === null ? undefined : read(fields, key);
}

export function textField(fields: Fields, key: string): string {
  const value = present(fields, key);
  return typeof value === 'string' ? value : unreadable(fields, key, 'String', value, 'a string');
}

export function flagField(fields: Fields, key: string): boolean {
  const value = present(fields, key);
  return typeof value === 'boolean' ? value : unreadable(fields, key, 'Bool', value, 'true or false');
}

/** A whole number; fractions are rounded, as the htools do. @param least the smallest that makes sense */
export function wholeField(fields: Fields, key: string, least: number = Number.NEGATIVE_INFINITY): number {
  const value = numberField(fields, key, 'Int', least);
  return Number.isInteger(value) ? value : Math.round(value);
}

export function numberField(fields: Fields, key: string, type: string, least: number): number {
  const value = present(fields, key);
  if (typeof value === 'number' && value >= least) return value;
  const expected = Number.isFinite(least) ? `a number from ${least}` : 'a number';
  if (typeof value !== 'number') return unreadable(fields, key, type, value, expected);
  throw new InputError(fields.where, `key '${key}': ${value} is too small`, expected);
}

export function textsField(fields: Fields, key: string): readonly string[] {
  const values = listField(fields, key);
  const wrong = values.find((value) => typeof value !== 'string');
  return wrong === undefined
    ? (values as readonly string[])
    : unreadable(fields, key, 'String', wrong, 'a list of strings');
}

/** One of Ganeti's words. */
export function wordField<T extends string>(
  fields: Fields,
  key: string,
  type: string,
  words: readonly T[],
): T {
  const text = textField(fields, key);
  const word = known(words, text);
  if (word !== undefined) return word;
  const problem = `key '${key}': Invalid string value for type ${type}: ${quoted(text)}`;
  throw new InputError(fields.where, problem, words.join(' or '));
}

export function wordsField<T extends string>(
  fields: Fields,
  key: string,
  type: string,
  words: readonly T[],
): readonly T[] {
  return textsField(fields, key).map((text) => {
    const word = known(words, text);
    if (word !== undefined) return word;
    const problem = `key '${key}': Invalid string value for type ${type}: ${quoted(text)}`;
    throw new InputError(fields.where, problem, `a list of ${words.join(' or ')}`);
  });
}

export function childField(fields: Fields, key: string): Fields {
  const value = present(fields, key);
  return isObject(value)
    ? { where: `${fields.where}: key '${key}'`, object: value }
    : unreadable(fields, key, 'JSObject', value, 'an object');
}

export function childrenField(fields: Fields, key: string): readonly Fields[] {
  return listField(fields, key).map((value, at) =>
    fieldsOf(value, `${fields.where}: key '${key}', item ${at}`),
  );
}

/** The entries of an object of objects, in their order. @param where what to call one of them */
export function entriesField(
  fields: Fields,
  key: string,
  where: (name: string) => string,
): readonly (readonly [string, Fields])[] {
  return Object.entries(childField(fields, key).object).map(([name, value]) => [
    name,
    fieldsOf(value, where(name)),
  ]);
}

export function listField(fields: Fields, key: string): readonly unknown[] {
  const value = present(fields, key);
  return Array.isArray(value) ? value : unreadable(fields, key, 'list', value, 'a list');
}

function present(fields: Fields, key: string): unknown {
  const value = fields.object[key];
  if (value !== undefined) return value;
  const keys = Object.keys(fields.object);
  const some = keys.length > 30 ? [...keys.slice(0, 30), '...'] : keys;
  throw new InputError(
    fields.where,
    `key '${key}' not found, object contains only ${JSON.stringify(some)}`,
    `a key '${key}'`,
  );
}

function unreadable(fields: Fields, key: string, type: string, value: unknown, expected: string): never {
  throw new InputError(fields.where, `key '${key}': Unable to read ${type} from ${shown(value)}`, expected);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
