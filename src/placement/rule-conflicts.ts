/**
 * Rules that no placement at all can keep: found before anything is placed, so that an operator is told of the two tags
 * and not of the node that refuses for the hundredth time. What only does not fit today (more instances to keep apart
 * than there are racks) is no contradiction: the cluster may grow.
 */
import { mirrorKind } from './cluster.ts';
import { impliesLevel, type RuleError } from './failure-domains.ts';
import type { NodeRule, PairRule, RuleModel } from './rule-model.ts';

export function ruleConflicts(model: RuleModel): readonly RuleError[] {
  const known = new Map<number, Together>();
  const togetherWithin: TogetherWithin = (level) => {
    const before = known.get(level);
    if (before !== undefined) return before;
    const rules = model.pairs.filter(
      (rule) => isTogether(rule) && impliesLevel(model.domains, rule.level, level),
    );
    const together = { rules, component: components(model, rules) };
    known.set(level, together);
    return together;
  };
  return [
    ...ownNodes(model),
    ...apartAndTogether(model, togetherWithin),
    ...nowhereTogether(model, togetherWithin),
  ];
}

/** The rules that bring all their members into one domain of a level. */
interface Together {
  readonly rules: readonly PairRule[];
  /** For each instance a number that it shares with all that it must be with. */
  readonly component: Int32Array;
}
type TogetherWithin = (level: number) => Together;

/** Instances whose own tags leave them no node, or no second one where they need two. */
function ownNodes(model: RuleModel): readonly RuleError[] {
  const errors: RuleError[] = [];
  const count = model.cluster.nodes.length;
  for (const [instance, rules] of mustNodes(model)) {
    const object = `instance ${nameOf(model, instance)}`;
    const tags = rules.flatMap((rule) => rule.tags);
    const left = intersection(rules);
    if (left.size === 0) {
      errors.push({
        objects: [object],
        tags,
        text: `${object} has the tags ${tags.join(' and ')}: no node is in all`,
      });
      continue;
    }
    if (mirrorKind[model.cluster.instances[instance]!.template] !== 'internal') continue;
    const levels = [
      { level: 0, tag: null },
      ...(model.spread.get(instance) ?? []).filter(({ strength }) => strength === 'must'),
    ];
    for (const { level, tag } of levels) {
      const domains = new Set([...left].map((node) => model.domains.of[level * count + node]));
      if (domains.size > 1) continue;
      const all = tag === null ? tags : [...tags, tag];
      errors.push({
        objects: [object],
        tags: all,
        text: `${object} has the tags ${all.join(' and ')}, which leave it one ${model.domains.levels[level]}: expected two, one for its secondary`,
      });
      break;
    }
  }
  return errors;
}

/**
 * Two instances that must be together and must be apart: together within something that is wholly inside of what they
 * are to be apart in. Being together goes on from one to the next (a with b, b with c), being apart does not.
 */
function apartAndTogether(model: RuleModel, togetherWithin: TogetherWithin): readonly RuleError[] {
  const errors: RuleError[] = [];
  for (const apart of model.pairs) {
    if (apart.kind !== 'anti-affinity' || apart.strength !== 'must') continue;
    const together = togetherWithin(apart.level);
    if (together.rules.length === 0) continue;
    const { component } = together;
    const carriers = new Set(apart.carriers);
    const met = new Map<number, { readonly first: number; reported: boolean }>();
    for (const member of apart.members) {
      const before = met.get(component[member]!);
      if (before === undefined) {
        met.set(component[member]!, { first: member, reported: false });
      } else if (!before.reported && (carriers.has(member) || carriers.has(before.first))) {
        before.reported = true;
        errors.push(contradiction(model, before.first, member, apart, together));
      }
    }
    if (apart.members.length > 1) continue;
    const own = together.rules.find(({ label }) => label === apart.label);
    if (own !== undefined) errors.push(ownContradiction(model, apart.members[0]!, apart, own));
  }
  return errors;
}

/** One instance says both of a label that nobody else has yet. */
function ownContradiction(model: RuleModel, instance: number, apart: PairRule, own: PairRule): RuleError {
  const object = `instance ${nameOf(model, instance)}`;
  return {
    objects: [object],
    tags: [own.tag, apart.tag],
    text: `${object} has the tags ${own.tag} and ${apart.tag}: expected one of them`,
  };
}

function contradiction(
  model: RuleModel,
  a: number,
  b: number,
  apart: PairRule,
  { rules, component }: Together,
): RuleError {
  const direct = rules.find(({ members }) => members.includes(a) && members.includes(b));
  const chain = rules.filter(({ members }) => component[members[0]!] === component[a]);
  const together = direct === undefined ? chain.map(({ tag }) => tag) : [direct.tag];
  const [first, second] = [nameOf(model, a), nameOf(model, b)];
  return {
    objects: [`instance ${first}`, `instance ${second}`],
    tags: [...together, apart.tag],
    text: `instances ${first} and ${second} must be together (${together.join(', ')}) and must be apart (${apart.tag}): expected one of them`,
  };
}

/** Instances that must be together, while what each is limited to has no domain in common. */
function nowhereTogether(model: RuleModel, togetherWithin: TogetherWithin): readonly RuleError[] {
  const errors: RuleError[] = [];
  const count = model.cluster.nodes.length;
  const limits = mustNodes(model);
  const levels = new Set(model.pairs.filter(isTogether).map(({ level }) => level));
  for (const level of levels) {
    const { rules: inside, component } = togetherWithin(level);
    const left = new Map<
      number,
      { readonly domains: ReadonlySet<number>; readonly limited: readonly number[] }
    >();
    for (const [instance, rules] of limits) {
      const own = new Set([...intersection(rules)].map((node) => model.domains.of[level * count + node]!));
      const before = left.get(component[instance]!);
      const domains = before === undefined ? own : own.intersection(before.domains);
      const limited = [...(before?.limited ?? []), instance];
      left.set(component[instance]!, { domains, limited });
      if (domains.size > 0 || own.size === 0 || before === undefined || before.domains.size === 0) continue;
      const together = inside.filter((rule) => component[rule.members[0]!] === component[instance]);
      const tags = limited.flatMap((each) => limits.get(each)!.flatMap((rule) => rule.tags));
      const names = limited.map((each) => nameOf(model, each));
      errors.push({
        objects: names.map((name) => `instance ${name}`),
        tags: [...together.map(({ tag }) => tag), ...tags],
        text: `instances ${names.join(' and ')} must be together (${together.map(({ tag }) => tag).join(', ')}), but their tags ${tags.join(' and ')} leave no ${model.domains.levels[level]} for all of them`,
      });
    }
  }
  return errors;
}

function isTogether({ kind, strength }: PairRule): boolean {
  return kind === 'affinity' && strength === 'must';
}

function components(model: RuleModel, rules: readonly PairRule[]): Int32Array {
  const parent = Int32Array.from({ length: model.cluster.instances.length }, (_, at) => at);
  const root = (of: number): number => {
    let at = of;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  };
  // A carrier is with every member, and so every member with every other.
  for (const { members } of rules) for (const member of members) parent[root(member)] = root(members[0]!);
  return parent.map((_, at) => root(at));
}

function mustNodes(model: RuleModel): ReadonlyMap<number, readonly NodeRule[]> {
  const rules = model.nodes.filter(({ strength }) => strength === 'must');
  return Map.groupBy(rules, ({ instance }) => instance);
}

function intersection(rules: readonly NodeRule[]): ReadonlySet<number> {
  const [first, ...others] = rules;
  return new Set([...first!.nodes].filter((node) => others.every((rule) => rule.nodes.has(node))));
}

function nameOf(model: RuleModel, instance: number): string {
  return model.cluster.instances[instance]!.name;
}
