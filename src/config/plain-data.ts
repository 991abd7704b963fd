/**
 * Plain data: null, booleans, finite numbers, well-formed strings, arrays and objects of these. Only this may enter
 * the replicated state: it survives encoding unchanged, so that memory, image and snapshot hash alike on every replica.
 */
import { limits } from './limits.ts';
import { refuse, shown } from './refused.ts';

interface Budget {
  values: number;
}

/**
 * A copy that is plain data; properties that are `undefined` are left out. Bounded in depth and size.
 * Throws `Refused` ('invalid') with the path of what is not plain.
 */
export function plainData(value: unknown, path = 'command'): unknown {
  return copied(value, path, 0, { values: limits.command_values });
}

function copied(value: unknown, path: string, depth: number, budget: Budget): unknown {
  budget.values -= 1;
  if (budget.values < 0) refuse('invalid', `the command holds more than ${limits.command_values} values`);
  if (depth > limits.data_depth)
    refuse('invalid', `${path} is nested deeper than ${limits.data_depth} levels`);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('invalid', `${path} is ${value}: expected a finite number`);
    // Minus zero does not survive every encoding.
    return value === 0 ? 0 : value;
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      refuse('invalid', `${path} is ${shown(value)}: expected well-formed Unicode text`);
    return value;
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item, at) => copied(item, `${path}[${at}]`, depth + 1, budget));
  }
  if (typeof value === 'object' && isPlainObject(value)) {
    const copy: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__' || !key.isWellFormed())
        refuse('invalid', `${path} has the forbidden key ${shown(key)}`);
      if (item !== undefined) copy[key] = copied(item, `${path}.${key}`, depth + 1, budget);
    }
    return copy;
  }
  return refuse('invalid', `${path} is of type ${typeof value}: expected plain data`);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Freezes deeply. What is frozen already is taken to be frozen below too, so a small change in a large object is cheap. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
