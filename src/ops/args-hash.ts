/**
 * The fingerprint of what a step was asked to do. A replay that asks for something else under the same number must be
 * noticed, so equal requests give equal hashes whatever the order of their keys, and different ones differ.
 */
import { createHash } from 'node:crypto';

/** JSON with sorted keys; `undefined` members are left out, as they are when recorded. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}

/** 32 hex digits over verb, node and arguments. */
export function argsHash(verb: string, node: string, args: unknown): string {
  return createHash('sha256')
    .update(canonicalJson([verb, node, args]))
    .digest('hex')
    .slice(0, 32);
}

/** What a value is after it was recorded: plain data, so that the first run sees exactly what a replay will see. */
export function toPlain<T>(value: T): T {
  if (value === undefined || value === null) return null as T;
  return JSON.parse(JSON.stringify(value)) as T;
}
