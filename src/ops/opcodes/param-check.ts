/**
 * Checks and merges of parameter sets (hvparams, beparams, ...): names and types after the table of defaults, the
 * value `default` takes a setting back. Ganeti's spellings are understood: numbers as text, sizes like `256m`,
 * yes and no.
 */
import {
  default_beparams,
  default_hvparams,
  default_ndparams,
  default_nicparams,
} from '../../config/defaults.ts';
import type { Params } from '../../config/model.ts';
import { shorten, wrongInput } from '../params.ts';

type Scalar = Params[string];

const size_units: Readonly<Record<string, number>> = { '': 1, m: 1, g: 1024, t: 1024 * 1024 };

/** MiB from a number, or from text such as `512`, `512m`, `2g`; null when it is neither. */
export function sizeMib(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value > 0 ? value : null;
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*([mgt]?)(?:i?b)?$/i.exec(value.trim()) : null;
  if (!match) return null;
  const size = Number(match[1]) * size_units[match[2]!.toLowerCase()]!;
  return Number.isSafeInteger(size) && size > 0 ? size : null;
}

function readLike(model: Scalar, value: Scalar): Scalar | undefined {
  switch (typeof model) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (value === 'yes' || value === 'true') return true;
      return value === 'no' || value === 'false' ? false : undefined;
    case 'number': {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : undefined;
    }
    default:
      if (typeof value === 'number') return String(value);
      return typeof value === 'string' ? value : undefined;
  }
}

function checkLike(what: string, model: Params, given: Params): Params {
  const checked: Record<string, Scalar> = {};
  for (const [key, value] of Object.entries(given)) {
    const like = Object.hasOwn(model, key) ? model[key] : undefined;
    if (like === undefined)
      throw wrongInput(
        `unknown ${what} parameter ${JSON.stringify(key)}: expected one of ${Object.keys(model).join(', ')}`,
      );
    const read = value === 'default' || value === null ? 'default' : readLike(like, value);
    if (read === undefined)
      throw wrongInput(`${what} parameter ${key} is ${shorten(value)}: expected a ${typeof like}`);
    checked[key] = read;
  }
  return checked;
}

/** For hypervisors that have a table of defaults; others' parameters are their driver's to check. */
export function checkHvParams(hypervisor: string, given: Params): Params {
  const model = default_hvparams[hypervisor];
  return model ? checkLike(`${hypervisor} hypervisor`, model, given) : given;
}

/** `memory` stays as it is: it stands for both. Sizes become MiB. */
export function checkBeParams(given: Params): Params {
  const memory = ['memory', 'maxmem', 'minmem'];
  const sizes: Record<string, Scalar> = {};
  for (const key of memory) {
    const value = given[key];
    if (value === undefined) continue;
    const mib = value === 'default' || value === null ? 'default' : sizeMib(value);
    if (mib === null)
      throw wrongInput(
        `backend parameter ${key} is ${shorten(value)}: expected a size in MiB, or such as 512m or 2g`,
      );
    sizes[key] = mib;
  }
  const { memory: both, ...exact } = sizes;
  const spread = both === undefined ? exact : { maxmem: both, minmem: both, ...exact };
  const rest = Object.fromEntries(Object.entries(given).filter(([key]) => !memory.includes(key)));
  const checked = { ...spread, ...checkLike('backend', { ...default_beparams }, rest) };
  if (
    typeof checked.vcpus === 'number' &&
    (!Number.isSafeInteger(checked.vcpus) || checked.vcpus < 1 || checked.vcpus > 1024)
  ) {
    throw wrongInput(`backend parameter vcpus is ${checked.vcpus}: expected an integer from 1 to 1024`);
  }
  return checked;
}

export function checkNicParams(given: Params): Params {
  const checked = checkLike('nic', { ...default_nicparams }, given);
  const modes = ['bridged', 'routed', 'openvswitch', 'user', 'default'];
  if (checked.mode !== undefined && !modes.includes(String(checked.mode))) {
    throw wrongInput(`nic parameter mode is ${shorten(checked.mode)}: expected one of ${modes.join(', ')}`);
  }
  return checked;
}

export function checkNdParams(given: Params): Params {
  return checkLike('node', default_ndparams, given);
}

/** The set after a change; `default` (and null) removes a key, so that it is inherited again. */
export function mergeParams(before: Params, changes: Params): Params {
  const merged: Record<string, Scalar> = { ...before };
  for (const [key, value] of Object.entries(changes)) {
    if (value === 'default' || value === null) delete merged[key];
    else merged[key] = value;
  }
  return merged;
}

/** Ganeti's way of reporting a change: [`group/key`, new value]. */
export function changedParams(group: string, changes: Params): readonly (readonly [string, unknown])[] {
  return Object.entries(changes).map(([key, value]) => [`${group}/${key}`, value] as const);
}
