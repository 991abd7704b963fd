/** The parameter `balancing` of a cluster: `on`, `off`, or some of its settings, which turn it on. */
import { default_balancing } from '../../config/defaults.ts';
import type { Balancing } from '../../config/model.ts';
import { isObject, type Param, shorten, wrongInput } from '../params.ts';

export type BalancingChange = 'on' | 'off' | Partial<Balancing>;

const settings = Object.keys(default_balancing) as (keyof Balancing)[];

export const balancingChange: Param<BalancingChange> = {
  expected: `"on", "off", or an object with some of ${settings.join(', ')}`,
  required: true,
  read: (value) => {
    if (value === 'on' || value === 'off') return value;
    if (!isObject(value)) return undefined;
    for (const [key, setting] of Object.entries(value)) checkSetting(key, setting);
    return value as Partial<Balancing>;
  },
};

/** Names and types here; bounds, and what fits together, are the state's to judge. */
function checkSetting(key: string, value: unknown): void {
  const known = settings.find((each) => each === key);
  if (known === undefined)
    throw wrongInput(
      `unknown balancing parameter ${JSON.stringify(key)}: expected one of ${settings.join(', ')}`,
    );
  const type = typeof default_balancing[known];
  if (typeof value !== type || (typeof value === 'number' && !(value >= 0)))
    throw wrongInput(
      `balancing parameter ${key} is ${shorten(value)}: expected ${type === 'boolean' ? 'true or false' : 'a number, 0 or above'}`,
    );
}

/** @param before null: it was off, and what it was before that is not known any more */
export function changedBalancing(before: Balancing | null, change: BalancingChange): Balancing | null {
  if (change === 'off') return null;
  return { ...default_balancing, ...before, ...(change === 'on' ? {} : change) };
}
