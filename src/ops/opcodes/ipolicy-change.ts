/**
 * The `ipolicy` parameter of opcodes: a change of an instance policy in Ganeti's form. Each key replaces what was there;
 * `default` (or null) takes it back, so that it is inherited again; `std` may name some of its amounts only.
 */
import { checkIPolicyParts, default_ipolicy, ipolicyNames } from '../../config/ipolicy.ts';
import type { GroupIPolicy, IPolicy } from '../../config/model.ts';
import { isObject, type Param, wrongInput } from '../params.ts';

export type IPolicyChange = { readonly [key: string]: unknown };

/** Only the outer shape: what is in it is checked when it is merged, with an error that names the part. */
export const ipolicyChange: Param<IPolicyChange> = {
  expected: 'an object with parts of an instance policy',
  required: true,
  read: (value) => (isObject(value) && Object.keys(value).length > 0 ? value : undefined),
};

/** What the cluster says of its policy after a change. Throws naming the part that is wrong. */
export function changedClusterIPolicy(before: Partial<IPolicy>, change: IPolicyChange): Partial<IPolicy> {
  const std = isObject(change.std) ? { ...(before.std ?? default_ipolicy.std), ...change.std } : change.std;
  return merged(before, std === undefined ? change : { ...change, std }, 'cluster');
}

/** What a group says of its policy after a change. Throws naming the part that is wrong. */
export function changedGroupIPolicy(before: GroupIPolicy, change: IPolicyChange): GroupIPolicy {
  return merged(before, change, 'group');
}

function merged<T extends GroupIPolicy>(before: T, change: IPolicyChange, of: 'cluster' | 'group'): T {
  const after: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(change)) {
    // A key that nobody knows is not to pass because it is taken back.
    if (isReset(value) && ipolicyNames(of).includes(key)) delete after[key];
    else after[key] = value;
  }
  const wrong = checkIPolicyParts(after, of);
  if (wrong !== null) throw wrongInput(wrong);
  return after as T;
}

function isReset(value: unknown): boolean {
  return value === null || value === 'default' || (Array.isArray(value) && value.join() === 'default');
}
