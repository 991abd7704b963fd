/**
 * Why an instance may not be on a node, in words: the instance, the node, the rule, and who or what is in the way. For
 * people; the loops of the engine only count (`rules`).
 */
import { capacityFailures } from './rule-capacity.ts';
import type { PairRule } from './rule-model.ts';
import type { Strength } from './rule-tags.ts';
import type { PlacementRules } from './rules.ts';

export interface RuleFailure {
  readonly instance: string;
  readonly node: string;
  readonly strength: Strength;
  /** The tag, or several alternatives that were all missed; e.g. `memory_ratio` where a policy says it. */
  readonly rule: string;
  /** All of it in one sentence. */
  readonly text: string;
}

/** Everything that is broken with the instance there, hard rules first. @param secondary -1: none */
export function ruleFailures(
  rules: PlacementRules,
  instance: number,
  primary: number,
  secondary: number,
): readonly RuleFailure[] {
  const { cluster, domains } = rules.model;
  const name = cluster.instances[instance]!.name;
  const nameOf = (node: number): string => cluster.nodes[node]!.name;
  const found: RuleFailure[] = [];
  const add = (strength: Strength, node: number, rule: string, why: string): void => {
    const verb = strength === 'must' ? 'cannot' : 'should not';
    const text = `${name} ${verb} be on ${nameOf(node)}: ${rule}: ${why}`;
    found.push({ instance: name, node: nameOf(node), strength, rule, text });
  };
  const domainOf = (level: number, node: number): string => {
    const domain = domains.of[level * cluster.nodes.length + node]!;
    return domain < 0 ? 'unknown' : domains.names[level]![domain]!;
  };

  for (const { instance: limited, strength, tags, nodes } of rules.model.nodes) {
    if (limited !== instance) continue;
    if (!nodes.has(primary)) add(strength, primary, tags.join(' or '), 'it is none of these');
    if (strength === 'must' && secondary >= 0 && !nodes.has(secondary))
      add(
        strength,
        secondary,
        tags.join(' or '),
        'it is none of these, and the instance may be failed over to it',
      );
  }
  for (let at = rules.pairs.start[instance]!; at < rules.pairs.start[instance + 1]!; at++) {
    const rule = rules.pairs.rules[rules.pairs.concerns[at]! >> 1]!;
    const carrier = (rules.pairs.concerns[at]! & 1) === 1;
    const level = domains.levels[rule.level]!;
    const domain = domainOf(rule.level, primary);
    if (domain === 'unknown' && rule.strength === 'must' && carrier)
      add(rule.strength, primary, rule.tag, `it is not known what ${level} the node is in`);
    const others = othersInTheWay(rules, rule, instance, carrier, primary);
    if (others.length === 0) continue;
    const where = rule.level === 0 ? 'there' : `in ${level} ${domain}`;
    add(
      rule.strength,
      primary,
      rule.tag,
      rule.kind === 'anti-affinity'
        ? `${listed(rules, others)} ${others.length === 1 ? 'is' : 'are'} ${where}`
        : `${listed(rules, others)} ${others.length === 1 ? 'is' : 'are'} not ${where}`,
    );
  }
  const group = cluster.nodes[primary]!.group;
  if (secondary >= 0) {
    for (const { strength, level, tag } of [
      ...(rules.model.spread.get(instance) ?? []),
      ...rules.model.group_spread[group]!,
    ]) {
      const [here, there] = [domainOf(level, primary), domainOf(level, secondary)];
      if (here === there || here === 'unknown' || there === 'unknown')
        add(
          strength,
          primary,
          tag,
          `its secondary ${nameOf(secondary)} is in ${domains.levels[level]} ${there}, the node in ${here}`,
        );
    }
  }
  for (const { rule, why } of capacityFailures(rules, instance, primary)) add('must', primary, rule, why);
  return [
    ...found.filter(({ strength }) => strength === 'must'),
    ...found.filter(({ strength }) => strength === 'should'),
  ];
}

/** The placed instances that break a pair rule with this one there. */
export function othersInTheWay(
  { primary, model }: PlacementRules,
  rule: PairRule,
  instance: number,
  carrier: boolean,
  node: number,
): readonly number[] {
  const { of } = model.domains;
  const start = rule.level * model.cluster.nodes.length;
  const domain = of[start + node]!;
  return (carrier ? rule.members : rule.carriers).filter((other) => {
    const at = primary[other]!;
    if (other === instance || at < 0) return false;
    const with_it = of[start + at] === domain;
    return rule.kind === 'anti-affinity' ? with_it : !with_it || domain < 0;
  });
}

/** Three names at most. */
function listed({ model }: PlacementRules, instances: readonly number[]): string {
  const names = instances.slice(0, 3).map((at) => model.cluster.instances[at]!.name);
  const more = instances.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(' and ');
}
