/**
 * Plain data: null, booleans, finite numbers, well-formed strings, arrays and objects of these. Only this may enter
 * the replicated state: it survives encoding unchanged, so that memory, image and snapshot hash alike on every replica.
 */
import { limits } from './limits.ts';
import { refuse, shown } from './refused.ts';

/** A copy under way: what it may still take in, and where it is; the path becomes text only for an error. */
interface Walk {
  values_left: number;
  readonly path: (string | number)[];
}

/**
 * A copy that is plain data; properties that are `undefined` are left out. Bounded in depth and size.
 * Throws `Refused` ('invalid') with the path of what is not plain.
 */
export function plainData(value: unknown, path = 'command'): unknown {
  return copied(value, { values_left: limits.command_values, path: [path] });
}

function copied(value: unknown, walk: Walk): unknown {
  walk.values_left -= 1;
  if (walk.values_left < 0) refuse('invalid', `the command holds more than ${limits.command_values} values`);
  // The first part of the path names the whole.
  if (walk.path.length - 1 > limits.data_depth)
    refuse('invalid', `${pathText(walk)} is nested deeper than ${limits.data_depth} levels`);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('invalid', `${pathText(walk)} is ${value}: expected a finite number`);
    // Minus zero does not survive every encoding.
    return value === 0 ? 0 : value;
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      refuse('invalid', `${pathText(walk)} is ${shown(value)}: expected well-formed Unicode text`);
    return value;
  }
  if (Array.isArray(value)) return Array.from(value, (item, at) => copiedAt(at, item, walk));
  if (typeof value === 'object' && isPlainObject(value)) {
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      if (key === '__proto__' || !key.isWellFormed())
        refuse('invalid', `${pathText(walk)} has the forbidden key ${shown(key)}`);
      const item = (value as Record<string, unknown>)[key];
      if (item !== undefined) copy[key] = copiedAt(key, item, walk);
    }
    return copy;
  }
  return refuse('invalid', `${pathText(walk)} is of type ${typeof value}: expected plain data`);
}

function copiedAt(at: string | number, item: unknown, walk: Walk): unknown {
  walk.path.push(at);
  const copy = copied(item, walk);
  walk.path.pop();
  return copy;
}

function pathText({ path: [whole, ...parts] }: Walk): string {
  return `${whole}${parts.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')}`;
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Freezes deeply. What is frozen already is taken to be frozen below too, so a small change in a large object is cheap. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Array.isArray(value) ? value : Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
