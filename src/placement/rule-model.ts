/**
 * What the tags of a cluster ask for, with every name in them looked up: instances, nodes, levels and domains by their
 * place. Tags that cannot be read or that name what is not there are errors; whether rules contradict each other is
 * looked at in `rule-conflicts`.
 */
import type { PlacementCluster } from './cluster.ts';
import { type FailureDomains, failureDomains, type RuleError } from './failure-domains.ts';
import { type RuleTag, readRuleTag, type Strength, type TaggedObject } from './rule-tags.ts';

/** Between each carrier and each other member. */
export interface PairRule {
  readonly kind: 'affinity' | 'anti-affinity';
  readonly strength: Strength;
  readonly label: string;
  /** Index in {@link FailureDomains.levels}. */
  readonly level: number;
  readonly tag: string;
  /** Instances that have the tag itself. */
  readonly carriers: readonly number[];
  /** Instances that have the label in any tag: the carriers among them. */
  readonly members: readonly number[];
}

/** Nodes that will do for an instance, or that it would rather have; several tags of one kind name alternatives. */
export interface NodeRule {
  readonly instance: number;
  readonly strength: Strength;
  readonly tags: readonly string[];
  readonly nodes: ReadonlySet<number>;
}

/** The two copies of an instance are in two domains of a level. */
export interface SpreadRule {
  readonly strength: Strength;
  readonly level: number;
  readonly tag: string;
}

export interface RuleModel {
  readonly cluster: PlacementCluster;
  readonly domains: FailureDomains;
  readonly pairs: readonly PairRule[];
  readonly nodes: readonly NodeRule[];
  /** By instance; none: not in it. */
  readonly spread: ReadonlyMap<number, readonly SpreadRule[]>;
  /** By group, those of the cluster included. */
  readonly group_spread: readonly (readonly SpreadRule[])[];
  /** By instance. */
  readonly exclusive: ReadonlyMap<number, ReadonlySet<'cpu' | 'memory' | 'numa'>>;
  /** By node; 1 where no tag says. */
  readonly threads_per_core: readonly number[];
  readonly numa_nodes: readonly number[];
  readonly errors: readonly RuleError[];
  /** Tags that begin with `skein:` and that nothing here knows: a later version's, or misspelt. */
  readonly warnings: readonly string[];
}

export function ruleModel(cluster: PlacementCluster): RuleModel {
  const errors: RuleError[] = [];
  const warnings: string[] = [];
  const domains = failureDomains(cluster, errors);
  const known: Known = {
    nodes: new Map(cluster.nodes.map(({ name }, at) => [name, at])),
    levels: new Map(domains.levels.map((level, at) => [level, at])),
    domains,
  };
  const read = (on: TaggedObject, name: string, tags: readonly string[]): readonly Tagged[] =>
    readTags(on, name, tags, known, errors, warnings);

  const of_cluster = spreadRules(read('cluster', '', cluster.tags));
  const group_spread = cluster.groups.map(({ name, tags }) => [
    ...of_cluster,
    ...spreadRules(read('group', name, tags)),
  ]);
  const threads_per_core: number[] = [];
  const numa_nodes: number[] = [];
  for (const { name, tags } of cluster.nodes) {
    const own = read('node', name, tags);
    threads_per_core.push(countOf(own, 'threads-per-core'));
    numa_nodes.push(countOf(own, 'numa-nodes'));
  }

  const labels = new Map<string, Set<number>>();
  const pairs = new Map<string, { readonly rule: Omit<PairRule, 'members'>; readonly carriers: number[] }>();
  const nodes: NodeRule[] = [];
  const spread = new Map<number, readonly SpreadRule[]>();
  const exclusive = new Map<number, Set<'cpu' | 'memory' | 'numa'>>();
  cluster.instances.forEach(({ name, tags }, instance) => {
    const own = read('instance', name, tags);
    if (own.length === 0) return;
    for (const { tag, rule, level } of own) {
      if (rule.kind === 'exclusive')
        exclusive.set(instance, (exclusive.get(instance) ?? new Set()).add(rule.what));
      if (rule.kind !== 'affinity' && rule.kind !== 'anti-affinity' && rule.kind !== 'label') continue;
      labels.set(rule.label, (labels.get(rule.label) ?? new Set()).add(instance));
      if (rule.kind === 'label') continue;
      const { kind, strength, label } = rule;
      const same = `${kind}:${strength}:${level}:${label}`;
      const carriers = pairs.get(same)?.carriers ?? [];
      if (carriers.at(-1) !== instance) carriers.push(instance);
      pairs.set(same, { rule: { kind, strength, label, level, tag, carriers }, carriers });
    }
    nodes.push(...nodeRules(instance, own, known));
    const own_spread = spreadRules(own);
    if (own_spread.length > 0) spread.set(instance, own_spread);
  });
  return {
    cluster,
    domains,
    pairs: [...pairs.values()].map(({ rule }) => ({
      ...rule,
      members: [...labels.get(rule.label)!].sort((a, b) => a - b),
    })),
    nodes,
    spread,
    group_spread,
    exclusive,
    threads_per_core,
    numa_nodes,
    errors,
    warnings,
  };
}

interface Known {
  readonly nodes: ReadonlyMap<string, number>;
  readonly levels: ReadonlyMap<string, number>;
  readonly domains: FailureDomains;
}

interface Tagged {
  readonly tag: string;
  readonly rule: RuleTag;
  /** Of those that name one; otherwise 0. */
  readonly level: number;
}

const no_tags: readonly Tagged[] = [];

function readTags(
  on: TaggedObject,
  name: string,
  tags: readonly string[],
  known: Known,
  errors: RuleError[],
  warnings: string[],
): readonly Tagged[] {
  let found: Tagged[] | null = null;
  for (const tag of tags) {
    const read = readRuleTag(tag, on);
    if (read === null) continue;
    const object = on === 'cluster' ? 'the cluster' : `${on} ${name}`;
    const refuse = (expected: string): void => {
      errors.push({
        objects: [object],
        tags: [tag],
        text: `${object} has the tag ${tag}: expected ${expected}`,
      });
    };
    if ('unknown' in read) {
      warnings.push(`${object} has the tag ${tag}, which no rule of this version is called`);
    } else if ('wrong' in read) {
      refuse(read.wrong);
    } else {
      const unknown = unknownName(read.rule, known);
      if (unknown !== null) refuse(unknown);
      else {
        found ??= [];
        found.push({ tag, rule: read.rule, level: levelOf(read.rule, known) });
      }
    }
  }
  return found ?? no_tags;
}

/** What was expected in the place of a name that means nothing here, or null. */
function unknownName(rule: RuleTag, known: Known): string | null {
  if (rule.kind === 'node') {
    return known.nodes.has(rule.node) ? null : `the name of a node, and there is no node ${rule.node}`;
  }
  if (rule.kind === 'domain' || rule.kind === 'nested' || !('level' in rule)) return null;
  const level = known.levels.get(rule.level);
  if (level === undefined)
    return `a level that nodes have (${known.domains.levels.join(', ')}), and none has ${rule.level}`;
  if (rule.kind === 'within' && !known.domains.names[level]!.includes(rule.domain))
    return `a ${rule.level} that a node is in, and none is in ${rule.domain}`;
  return null;
}

function levelOf(rule: RuleTag, known: Known): number {
  return 'level' in rule ? (known.levels.get(rule.level) ?? 0) : 0;
}

function spreadRules(tagged: readonly Tagged[]): readonly SpreadRule[] {
  return tagged.flatMap(({ tag, rule, level }) =>
    rule.kind === 'spread' ? [{ strength: rule.strength, level, tag }] : [],
  );
}

function countOf(tagged: readonly Tagged[], kind: 'threads-per-core' | 'numa-nodes'): number {
  for (const { rule } of tagged) if (rule.kind === kind) return rule.count;
  return 1;
}

/** Nodes named one by one are alternatives; so are domains of one level. Different levels all count. */
function nodeRules(instance: number, own: readonly Tagged[], known: Known): readonly NodeRule[] {
  const found = new Map<string, { strength: Strength; tags: string[]; nodes: Set<number> }>();
  const count = known.domains.names[0]!.length;
  for (const { tag, rule, level } of own) {
    if (rule.kind !== 'node' && rule.kind !== 'within') continue;
    const same = `${rule.strength}:${rule.kind}:${level}`;
    const alternatives = found.get(same) ?? { strength: rule.strength, tags: [], nodes: new Set<number>() };
    alternatives.tags.push(tag);
    if (rule.kind === 'node') {
      alternatives.nodes.add(known.nodes.get(rule.node)!);
    } else {
      const domain = known.domains.names[level]!.indexOf(rule.domain);
      for (let node = 0; node < count; node++)
        if (known.domains.of[level * count + node] === domain) alternatives.nodes.add(node);
    }
    found.set(same, alternatives);
  }
  return [...found.values()].map((rule) => ({ instance, ...rule }));
}
