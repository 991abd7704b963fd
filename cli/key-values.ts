/**
 * Ganeti's `key=value,…` option syntax: commas separate, a backslash makes the next comma or backslash literal, a bare
 * `key` is true, `no_key` is false, `-key` is null. `ID:key=value,…` and indexed options stand on it.
 */
import { usageError } from './exit-status.ts';

export type KeyValue = string | boolean | null;
export type KeyValues = Readonly<Record<string, KeyValue>>;

/** Splits at unescaped separators and takes the escapes out. */
export function unescapeAndSplit(text: string, separator = ','): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    const next = text[at + 1];
    if (char === '\\' && (next === separator || next === '\\')) {
      part += next;
      at++;
    } else if (char === separator) {
      parts.push(part);
      part = '';
    } else {
      part += char;
    }
  }
  parts.push(part);
  return parts;
}

/** `option` names the option in errors. */
export function parseKeyValues(text: string, option: string): KeyValues {
  const values: Record<string, KeyValue> = {};
  if (text === '') return values;
  for (const part of unescapeAndSplit(text)) {
    const [key, value] = splitOne(part);
    if (key === '') {
      throw usageError(`${option}: "${part}" in "${text}" names no key`, `${option} key=value[,key=value…]`);
    }
    if (Object.hasOwn(values, key)) {
      throw usageError(`${option}: the key "${key}" is given twice in "${text}"`, `each key once`);
    }
    values[key] = value;
  }
  return values;
}

function splitOne(part: string): readonly [string, KeyValue] {
  const at = part.indexOf('=');
  if (at >= 0) return [part.slice(0, at), part.slice(at + 1)];
  if (part.startsWith('no_')) return [part.slice(3), false];
  if (part.startsWith('-')) return [part.slice(1), null];
  return [part, true];
}

/** `ID[:key=value,…]`, e.g. `kvm:kernel_path=` or `0:size=10g`. */
export function parseIdentKeyValues(
  text: string,
  option: string,
): { readonly id: string; readonly values: KeyValues } {
  const at = text.indexOf(':');
  const id = at < 0 ? text : text.slice(0, at);
  if (id === '')
    throw usageError(`${option}: "${text}" names nothing before the colon`, `${option} ID:key=value`);
  return { id, values: parseKeyValues(at < 0 ? '' : text.slice(at + 1), option) };
}

/** `kvm:key=value`, `kvm` or, without a hypervisor, `key=value`. */
export function parseHypervisorParams(
  text: string,
  option: string,
): { readonly hypervisor: string | null; readonly values: KeyValues } {
  if (/^(kvm|fake|xen-pvm|xen-hvm|lxc|chroot)$/.test(text) || /^[a-z][a-z0-9-]*:/.test(text)) {
    const { id, values } = parseIdentKeyValues(text, option);
    return { hypervisor: id, values };
  }
  return { hypervisor: null, values: parseKeyValues(text, option) };
}

/** Indexed options such as --disk: sorted by index, 0, 1, 2 … without a gap, as instance creation needs them. */
export function parseIndexed(texts: readonly string[], option: string): readonly KeyValues[] {
  const found = new Map<number, KeyValues>();
  for (const text of texts) {
    const { id, values } = parseIdentKeyValues(text, option);
    if (!/^\d+$/.test(id)) {
      throw usageError(`${option}: "${id}" in "${text}" is no index`, `${option} 0:key=value`);
    }
    const index = Number(id);
    if (found.has(index))
      throw usageError(`${option}: index ${index} is given twice`, `${option} ${found.size}:…`);
    found.set(index, values);
  }
  return [...found.keys()]
    .sort((a, b) => a - b)
    .map((index, position) => {
      if (index !== position) {
        throw usageError(
          `${option}: index ${index} is given but ${position} is not`,
          `${option} ${position}:…`,
        );
      }
      return found.get(index) ?? {};
    });
}

/** `yes`/`no`. */
export function parseYesNo(text: string, option: string): boolean {
  if (text === 'yes' || text === 'true') return true;
  if (text === 'no' || text === 'false') return false;
  throw usageError(`${option}: "${text}" is neither yes nor no`, `${option} yes`);
}

/** A whole number of at least `least`. */
export function parseWhole(text: string, option: string, least = 0): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least) {
    throw usageError(
      `${option}: "${text}" is no whole number of at least ${least}`,
      `${option} ${Math.max(least, 1)}`,
    );
  }
  return value;
}
