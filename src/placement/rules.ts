/**
 * Skein's own placement rules, as the engine asks for them: may this instance be on this node, what would it cost, and
 * what may not be, in words. One engine for allocation, evacuation, repair, balancing and maintenance.
 *
 * Built once from a cluster; then each question is answered in time that depends on the rules of the one instance
 * asked about, not on the size of the cluster. Whoever moves an instance says so with {@link placed} and
 * {@link removed}. A question about an instance that is placed is answered as if it were not there: nobody is in its
 * own way. docs/design/placement-rules.md says what each rule means.
 */
import type { PlacementCluster } from './cluster.ts';
import type { RuleError } from './failure-domains.ts';
import { type CapacityTable, capacityTable, copyCapacity, overCapacity, take } from './rule-capacity.ts';
import { ruleConflicts } from './rule-conflicts.ts';
import { type RuleModel, ruleModel, type SpreadRule } from './rule-model.ts';
import { type NodeTable, nodeTable, type PairTable, pairTable } from './rule-tables.ts';

/** What a broken rule adds to the score: a `should` as much as one of Ganeti's location conflicts. */
export const rule_weights = { should: 1, must: 16 };

/** Changed only by {@link placed} and {@link removed}. */
export interface PlacementRules {
  readonly model: RuleModel;
  /** Nobody asks for anything: every answer is yes and 0, callers need not ask, and nobody keeps count. */
  readonly empty: boolean;
  /** Where each instance is, as long as anybody asks for anything; -1: nowhere. */
  readonly primary: Int32Array;
  readonly secondary: Int32Array;
  /** By instance: whether a tag of its own asks for anything. */
  readonly asks: Uint8Array;
  readonly pairs: PairTable;
  readonly nodes: NodeTable;
  readonly spread: SpreadTable;
  readonly capacity: CapacityTable;
}

interface SpreadTable {
  readonly of_instance: ReadonlyMap<number, readonly SpreadRule[]>;
  readonly of_group: readonly (readonly SpreadRule[])[];
  readonly any: boolean;
}

export type CompiledRules =
  | { readonly rules: PlacementRules; readonly warnings: readonly string[] }
  /** Rules that cannot be read, or that contradict each other. */
  | { readonly errors: readonly RuleError[] };

/** Every instance of the cluster is placed where the cluster has it; one whose primary is negative, nowhere. */
export function compileRules(cluster: PlacementCluster): CompiledRules {
  const model = ruleModel(cluster);
  const errors = [...model.errors, ...ruleConflicts(model)];
  if (errors.length > 0) return { errors };
  const count = cluster.instances.length;
  const pairs = pairTable(model);
  const nodes = nodeTable(model);
  const spread: SpreadTable = {
    of_instance: model.spread,
    of_group: model.group_spread,
    any: model.spread.size > 0 || model.group_spread.some((rules) => rules.length > 0),
  };
  const capacity = capacityTable(model);
  const asks = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const tagged =
      pairs.start[i + 1]! > pairs.start[i]! || nodes.must[i]! >= 0 || nodes.start[i + 1]! > nodes.start[i]!;
    if (tagged) asks[i] = 1;
  }
  const rules: PlacementRules = {
    model,
    empty: !capacity.any && !spread.any && !asks.includes(1),
    primary: new Int32Array(count).fill(-1),
    secondary: new Int32Array(count).fill(-1),
    asks,
    pairs,
    nodes,
    spread,
    capacity,
  };
  if (rules.empty) return { rules, warnings: model.warnings };
  cluster.instances.forEach(({ primary, secondary }, instance) => {
    if (primary >= 0) placed(rules, instance, primary, secondary);
  });
  return { rules, warnings: model.warnings };
}

/** A copy to try things on. */
export function copyRules(rules: PlacementRules): PlacementRules {
  const { pairs } = rules;
  return {
    ...rules,
    primary: rules.primary.slice(),
    secondary: rules.secondary.slice(),
    pairs: {
      ...pairs,
      carriers: pairs.carriers.slice(),
      members: pairs.members.slice(),
      placed_carriers: pairs.placed_carriers.slice(),
      placed_members: pairs.placed_members.slice(),
    },
    capacity: copyCapacity(rules.capacity),
  };
}

/** The instance is there from now on, wherever it was before. @param secondary -1: none */
export function placed(rules: PlacementRules, instance: number, primary: number, secondary: number): void {
  if (rules.empty) return;
  removed(rules, instance);
  rules.primary[instance] = primary;
  rules.secondary[instance] = secondary;
  count(rules, instance, primary, 1);
}

/** The instance is nowhere from now on. */
export function removed(rules: PlacementRules, instance: number): void {
  const primary = rules.primary[instance]!;
  if (primary < 0) return;
  count(rules, instance, primary, -1);
  rules.primary[instance] = -1;
  rules.secondary[instance] = -1;
}

/** Whether no `must` rule is broken with the instance there. @param secondary -1: none, or not chosen yet */
export function allows(rules: PlacementRules, instance: number, primary: number, secondary: number): boolean {
  return rules.empty || broken(rules, instance, primary, secondary, 1, 0) === 0;
}

/**
 * Whether a placed instance may go there: nothing is broken there, or less than where it is. So a cluster whose rules
 * were broken when its tags were set can be mended step by step.
 */
export function allowsMove(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
): boolean {
  if (rules.empty) return true;
  const there = violations(rules, instance, primary, secondary);
  if (there === 0) return true;
  const from = rules.primary[instance]!;
  return from >= 0 && there < violations(rules, instance, from, rules.secondary[instance]!);
}

/** How many `must` rules are broken with the instance there; each other instance that is in the way counts. */
export function violations(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
): number {
  return rules.empty ? 0 : broken(rules, instance, primary, secondary, 1, Number.POSITIVE_INFINITY);
}

/** {@link violations} without those of CPUs and memory. */
export function placeViolations(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
): number {
  let found = 0;
  if (rules.asks[instance] === 1) {
    found += brokenNodes(rules, instance, primary, secondary, 1);
    found += brokenUnknown(rules, instance, primary);
    found += brokenPairs(rules, instance, primary, 1, Number.POSITIVE_INFINITY);
  }
  return rules.spread.any ? found + brokenSpread(rules, instance, primary, secondary, 1) : found;
}

/** What it adds to the score to have the instance there. The difference of two is what a move gains. */
export function penalty(rules: PlacementRules, instance: number, primary: number, secondary: number): number {
  if (rules.empty) return 0;
  const should = broken(rules, instance, primary, secondary, 0, Number.POSITIVE_INFINITY);
  return rule_weights.should * should + rule_weights.must * violations(rules, instance, primary, secondary);
}

/** What all instances together add to the score; two that are in each other's way count once. */
export function totalPenalty(rules: PlacementRules): number {
  if (rules.empty) return 0;
  let total = 0;
  for (let i = 0; i < rules.primary.length; i++) {
    const [primary, secondary] = [rules.primary[i]!, rules.secondary[i]!];
    if (primary < 0) continue;
    const weigh = (must: number): number =>
      brokenPairs(rules, i, primary, must, Number.POSITIVE_INFINITY) / 2 +
      brokenNodes(rules, i, primary, secondary, must) +
      brokenSpread(rules, i, primary, secondary, must);
    total +=
      rule_weights.should * weigh(0) + rule_weights.must * (weigh(1) + brokenUnknown(rules, i, primary));
  }
  if (!rules.capacity.any) return total;
  for (let node = 0; node < rules.capacity.cpus.length; node++)
    total += rule_weights.must * overCapacity(rules, -1, node);
  return total;
}

/**
 * The instances that a `must` affinity binds to this one's node, itself among them, ascending: none of them can leave
 * alone. Remove them all, place the first, and the others are allowed where it is.
 */
export function boundTo(rules: PlacementRules, instance: number): readonly number[] {
  const bound = new Set([instance]);
  for (const each of bound) {
    for (let at = rules.pairs.start[each]!; at < rules.pairs.start[each + 1]!; at++) {
      const { kind, strength, level, members } = rules.pairs.rules[rules.pairs.concerns[at]! >> 1]!;
      if (kind === 'affinity' && strength === 'must' && level === 0)
        for (const member of members) bound.add(member);
    }
  }
  return [...bound].sort((a, b) => a - b);
}

/** The hard rules between instances that concern this one, by index. */
export function hardPairRules({ pairs }: PlacementRules, instance: number): readonly number[] {
  const found: number[] = [];
  for (let at = pairs.start[instance]!; at < pairs.start[instance + 1]!; at++) {
    const rule = pairs.concerns[at]! >> 1;
    if (pairs.must[rule] === 1) found.push(rule);
  }
  return found;
}

/** `must` 1: broken hard rules, 0: broken soft ones. Stops counting above `most`. */
function broken(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
  must: number,
  most: number,
): number {
  let found = 0;
  if (rules.asks[instance] === 1) {
    found += brokenNodes(rules, instance, primary, secondary, must);
    if (must === 1) found += brokenUnknown(rules, instance, primary);
    if (found > most) return found;
    found += brokenPairs(rules, instance, primary, must, most);
    if (found > most) return found;
  }
  if (rules.spread.any) found += brokenSpread(rules, instance, primary, secondary, must);
  if (must === 1 && rules.capacity.any) found += overCapacity(rules, instance, primary);
  return found;
}

function brokenPairs(
  rules: PlacementRules,
  instance: number,
  node: number,
  must: number,
  most: number,
): number {
  const { pairs, primary } = rules;
  const { of } = rules.model.domains;
  const from = primary[instance]!;
  let found = 0;
  for (let at = pairs.start[instance]!; at < pairs.start[instance + 1]!; at++) {
    const concern = pairs.concerns[at]!;
    const rule = concern >> 1;
    if (pairs.must[rule] !== must) continue;
    const carrier = concern & 1;
    const level = pairs.level[rule]!;
    const domain = of[level + node]!;
    const others = carrier === 1 ? pairs.members : pairs.carriers;
    // It counts itself, where it is and is one of those that it looks for.
    const itself = carrier === 1 && from >= 0 ? 1 : 0;
    const itself_there = itself === 1 && of[level + from] === domain ? 1 : 0;
    const there = others[pairs.first[rule]! + domain + 1]! - itself_there;
    if (pairs.anti[rule] === 1) found += there;
    else {
      const all = (carrier === 1 ? pairs.placed_members : pairs.placed_carriers)[rule]! - itself;
      found += domain < 0 ? all : all - there;
    }
    if (found > most) return found;
  }
  return found;
}

/** Where it is not known what domain a node is in, a hard rule cannot be known to be kept. */
function brokenUnknown({ pairs, model }: PlacementRules, instance: number, node: number): number {
  let found = 0;
  for (let at = pairs.start[instance]!; at < pairs.start[instance + 1]!; at++) {
    const concern = pairs.concerns[at]!;
    const rule = concern >> 1;
    if ((concern & 1) === 1 && pairs.must[rule] === 1 && model.domains.of[pairs.level[rule]! + node]! < 0)
      found += 1;
  }
  return found;
}

function brokenNodes(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
  must: number,
): number {
  const { nodes } = rules;
  let found = 0;
  const outside = (set: number, node: number): number =>
    (nodes.sets[set * nodes.words + (node >>> 5)]! >>> (node & 31)) & 1 ? 0 : 1;
  if (must === 1) {
    const set = nodes.must[instance]!;
    if (set < 0) return 0;
    found += outside(set, primary);
    if (secondary >= 0) found += outside(set, secondary);
  } else {
    for (let at = nodes.start[instance]!; at < nodes.start[instance + 1]!; at++)
      found += outside(nodes.should[at]!, primary);
  }
  return found;
}

function brokenSpread(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
  must: number,
): number {
  if (secondary < 0) return 0;
  const { of_instance, of_group } = rules.spread;
  const group = rules.model.cluster.nodes[primary]!.group;
  let found = 0;
  for (const rule of of_instance.get(instance) ?? [])
    if (nearEachOther(rules, rule, primary, secondary, must)) found += 1;
  for (const rule of of_group[group]!) if (nearEachOther(rules, rule, primary, secondary, must)) found += 1;
  return found;
}

/** Whether a spread rule is broken by these two nodes. @param must 1: if it is a hard one; 0: if it is not */
export function nearEachOther(
  rules: PlacementRules,
  { strength, level }: SpreadRule,
  primary: number,
  secondary: number,
  must: number,
): boolean {
  if (secondary < 0) return false;
  if ((strength === 'must') !== (must === 1)) return false;
  const { of, names } = rules.model.domains;
  const start = level * names[0]!.length;
  return (
    of[start + primary] === of[start + secondary] || of[start + primary]! < 0 || of[start + secondary]! < 0
  );
}

function count(rules: PlacementRules, instance: number, node: number, by: 1 | -1): void {
  const { pairs } = rules;
  const { of } = rules.model.domains;
  for (let at = pairs.start[instance]!; at < pairs.start[instance + 1]!; at++) {
    const concern = pairs.concerns[at]!;
    const rule = concern >> 1;
    const domain = pairs.first[rule]! + of[pairs.level[rule]! + node]! + 1;
    pairs.members[domain]! += by;
    pairs.placed_members[rule]! += by;
    if ((concern & 1) === 0) continue;
    pairs.carriers[domain]! += by;
    pairs.placed_carriers[rule]! += by;
  }
  if (rules.capacity.any) take(rules, instance, node, by);
}
