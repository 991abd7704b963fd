/**
 * Which hard rules are broken, one by one, so that a move can be judged by whether it breaks anything that was not
 * broken before. Where nothing is broken, which is nearly always, only counts are looked at.
 */
import { capacityFailures } from './rule-capacity.ts';
import { othersInTheWay } from './rule-failures.ts';
import { nearEachOther, type PlacementRules, violations } from './rules.ts';

/** By instance, what is broken where it is; none: nothing is. */
export type Breaches = ReadonlyMap<number, ReadonlySet<string>>;

export function allBreaches(rules: PlacementRules): Breaches {
  const found = new Map<number, ReadonlySet<string>>();
  rules.primary.forEach((primary, instance) => {
    const secondary = rules.secondary[instance]!;
    if (primary >= 0 && violations(rules, instance, primary, secondary) > 0)
      found.set(instance, breachesAt(rules, instance, primary, secondary));
  });
  return found;
}

/** Whether anything is broken with the instance there that was not broken `before`. */
export function breaksMore(
  rules: PlacementRules,
  before: Breaches,
  instance: number,
  primary: number,
  secondary: number,
): boolean {
  if (violations(rules, instance, primary, secondary) === 0) return false;
  const known = before.get(instance);
  if (known === undefined) return true;
  for (const breach of breachesAt(rules, instance, primary, secondary)) if (!known.has(breach)) return true;
  return false;
}

/**
 * Whether anything is broken with the instance there that is not broken where it is, or more of it.
 * @param from its nodes now; -1: none, and nothing may be broken
 */
export function breaksAnew(
  rules: PlacementRules,
  instance: number,
  from: { readonly primary: number; readonly secondary: number },
  primary: number,
  secondary: number,
): boolean {
  const there = violations(rules, instance, primary, secondary);
  if (there === 0) return false;
  if (from.primary < 0 || violations(rules, instance, from.primary, from.secondary) < there) return true;
  const known = breachesAt(rules, instance, from.primary, from.secondary);
  for (const breach of breachesAt(rules, instance, primary, secondary)) if (!known.has(breach)) return true;
  return false;
}

/** Of pairs, who is in the way; of capacity, where; of all else, which rule it is. */
function breachesAt(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
): ReadonlySet<string> {
  const { model, pairs } = rules;
  const found = new Set<string>();
  for (const { instance: limited, strength, nodes, tags } of model.nodes) {
    if (limited !== instance || strength !== 'must') continue;
    if (!nodes.has(primary) || (secondary >= 0 && !nodes.has(secondary))) found.add(tags.join());
  }
  for (let at = pairs.start[instance]!; at < pairs.start[instance + 1]!; at++) {
    const index = pairs.concerns[at]! >> 1;
    const rule = pairs.rules[index]!;
    if (rule.strength !== 'must') continue;
    const carrier = (pairs.concerns[at]! & 1) === 1;
    if (carrier && model.domains.of[pairs.level[index]! + primary]! < 0) found.add(rule.tag);
    for (const other of othersInTheWay(rules, rule, instance, carrier, primary))
      found.add(`${rule.tag} ${other}`);
  }
  const group = model.cluster.nodes[primary]!.group;
  for (const rule of [...(model.spread.get(instance) ?? []), ...model.group_spread[group]!])
    if (nearEachOther(rules, rule, primary, secondary, 1)) found.add(rule.tag);
  for (const { rule } of capacityFailures(rules, instance, primary))
    found.add(`${rule} ${model.cluster.nodes[primary]!.name}`);
  return found;
}
