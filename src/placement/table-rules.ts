/**
 * Skein's own rules beside a table: they follow where its instances are, and what is broken is part of its score.
 *
 * A table of a cluster without rules has none of this, and nothing is asked. What broken rules add is kept as a running
 * sum; it is made of whole numbers, so it is always that of {@link totalPenalty}, to the bit. It is of the whole
 * cluster, whichever group's score it is added to: a rule may hold between instances of two groups.
 */
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import type { RuleError } from './failure-domains.ts';
import { breaksAnew } from './rule-breaches.ts';
import { overCapacity, overCapacityOf, takeSize } from './rule-capacity.ts';
import { ruleFailures } from './rule-failures.ts';
import {
  compileRules,
  copyRules,
  nearEachOther,
  type PlacementRules,
  penalty,
  placed,
  placeViolations,
  removed,
  rule_weights,
  totalPenalty,
  violations,
} from './rules.ts';

export interface TableRules {
  readonly rules: PlacementRules;
  /** {@link totalPenalty} of the rules as they are. */
  penalty: number;
  /** Those that are leaving together just now: where one of them goes, nothing may be broken. */
  readonly together: Set<number>;
  /** Instances of mere sizes, which no rule names but which take of a node's capacity; the newest last. */
  readonly sizes: { readonly size: PlacementInstance; readonly node: number }[];
}

/** @param rules are copied; null or empty: there is nothing to keep to */
export function openTableRules(rules: PlacementRules | null): TableRules | null {
  if (rules === null || rules.empty) return null;
  return { rules: copyRules(rules), penalty: totalPenalty(rules), together: new Set(), sizes: [] };
}

/** A copy to try things on. Sizes stay taken in it, but cannot be given back. */
export function copyTableRules(own: TableRules | null): TableRules | null {
  return own === null
    ? null
    : { rules: copyRules(own.rules), penalty: own.penalty, together: new Set(), sizes: [] };
}

export type ReadRules =
  /** null: nobody asks for anything. */
  | { readonly rules: PlacementRules | null; readonly warnings: readonly string[] }
  | { readonly errors: readonly RuleError[] };

/** The rules of a cluster; whether there are any is seen without reading them. */
export function readRules(cluster: PlacementCluster): ReadRules {
  if (!mentionsRules(cluster)) return { rules: null, warnings: [] };
  const compiled = compileRules(cluster);
  if ('errors' in compiled) return compiled;
  return { rules: compiled.rules.empty ? null : compiled.rules, warnings: compiled.warnings };
}

function mentionsRules({ tags, groups, nodes, instances }: PlacementCluster): boolean {
  const named = (one: { readonly tags: readonly string[] }): boolean =>
    one.tags.some((tag) => tag.startsWith('skein:'));
  return (
    groups.some((group) => group.policy.memory_ratio !== 1 || named(group)) ||
    named({ tags }) ||
    nodes.some(named) ||
    instances.some(named)
  );
}

/** Whether anything about where the instance is can matter to anybody. */
export function isConcerned({ rules }: TableRules, instance: number): boolean {
  return rules.asks[instance] === 1 || rules.spread.any || rules.capacity.any;
}

/** The instance is there from now on. @param primary -1: nowhere, so that others are asked about as if it were not */
export function moveTo(own: TableRules, instance: number, primary: number, secondary: number): void {
  const { rules } = own;
  if (rules.primary[instance]! >= 0) {
    const [from, other] = [rules.primary[instance]!, rules.secondary[instance]!];
    const with_it = penalty(rules, instance, from, other);
    removed(rules, instance);
    own.penalty -= with_it - capacityPenalty(rules, from);
  }
  if (primary >= 0) {
    own.penalty += addedPenalty(own, instance, primary, secondary);
    placed(rules, instance, primary, secondary);
  }
}

/** What the score gains if an instance that is nowhere is there. */
export function addedPenalty(
  { rules }: TableRules,
  instance: number,
  primary: number,
  secondary: number,
): number {
  return penalty(rules, instance, primary, secondary) - capacityPenalty(rules, primary);
}

function capacityPenalty(rules: PlacementRules, node: number): number {
  return rules.capacity.any ? rule_weights.must * overCapacity(rules, -1, node) : 0;
}

/**
 * Whether a hard rule forbids the instance to be there. One that is on nodes may take with it what is broken where it
 * is; a new one may break nothing.
 * @param from where it is now; -1: nowhere
 */
export function refuses(
  { rules, together }: TableRules,
  instance: number,
  from: { readonly primary: number; readonly secondary: number },
  primary: number,
  secondary: number,
): boolean {
  // Where it is it may miss those that have gone before it: that is no leave to miss them elsewhere.
  if (primary !== from.primary && together.has(instance))
    return violations(rules, instance, primary, secondary) > 0;
  return breaksAnew(rules, instance, from, primary, secondary);
}

/** Why, in words; one sentence for each rule. */
export function reasonsOf(
  { rules }: TableRules,
  instance: number,
  primary: number,
  secondary: number,
): readonly string[] {
  return ruleFailures(rules, instance, primary, secondary)
    .filter(({ strength }) => strength === 'must')
    .map(({ text }) => text);
}

/** An instance that no tag speaks of is put on a node, or the newest one is taken off again. */
export function addSize(own: TableRules, size: PlacementInstance, node: number): void {
  changeSize(own, size, node, 1);
  own.sizes.push({ size, node });
}

export function removeNewestSize(own: TableRules): void {
  const newest = own.sizes.pop();
  if (newest !== undefined) changeSize(own, newest.size, newest.node, -1);
}

function changeSize(own: TableRules, size: PlacementInstance, node: number, by: 1 | -1): void {
  const { rules } = own;
  if (!rules.capacity.any) return;
  own.penalty -= capacityPenalty(rules, node);
  takeSize(rules, size, node, by);
  own.penalty += capacityPenalty(rules, node);
}

/** Whether the group's and the cluster's rules forbid such an instance there; what is free is another matter. */
export function spreadRefusesSize({ rules }: TableRules, primary: number, secondary: number): boolean {
  if (secondary < 0 || !rules.spread.any) return false;
  return spreadBroken(rules, primary, secondary, 1) > 0;
}

/** What the score gains for a size's two copies. */
export function sizePenalty({ rules }: TableRules, primary: number, secondary: number): number {
  if (secondary < 0 || !rules.spread.any) return 0;
  return rule_weights.should * spreadBroken(rules, primary, secondary, 0);
}

function spreadBroken(rules: PlacementRules, primary: number, secondary: number, must: number): number {
  const group = rules.model.cluster.nodes[primary]!.group;
  return rules.model.group_spread[group]!.filter((rule) =>
    nearEachOther(rules, rule, primary, secondary, must),
  ).length;
}

/** What a node has too little of to give; null: nothing. @param instance -1: it is a mere size */
export function lacks(
  { rules }: TableRules,
  instance: number,
  size: PlacementInstance,
  node: number,
): 'memory' | 'cpu' | null {
  if (!rules.capacity.any) return null;
  const over = overCapacityOf(rules, instance, size, node);
  return over.memory ? 'memory' : over.cpus || over.numa ? 'cpu' : null;
}

/** Whether a rule other than those of capacity lets an instance restart there, no worse than where it was. */
export function mayRestart({ rules }: TableRules, instance: number, from: number, to: number): boolean {
  if (instance < 0) return true;
  const there = placeViolations(rules, instance, to, -1);
  return there === 0 || there <= placeViolations(rules, instance, from, -1);
}
