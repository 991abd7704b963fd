/**
 * Failure domains: what fails together. A node is in the domains that its tags name and in all those that these are in,
 * to any depth and by more than one way (a rack is in a room and on a power feed). At each level a node is in one domain
 * or in none that is known; the level `node`, each node alone, is always there and is the first.
 */
import type { PlacementCluster } from './cluster.ts';
import { type DomainName, domainName, readRuleTag } from './rule-tags.ts';

export interface FailureDomains {
  /** `node` first, then in the order in which they were met. */
  readonly levels: readonly string[];
  /** At `level * nodes + node`: the domain's place in `names[level]`; -1: the node is in none that is known. */
  readonly of: Int32Array;
  readonly names: readonly (readonly string[])[];
}

/** One of two or more things that cannot both be: the objects and the tags, and all of it in a sentence. */
export interface RuleError {
  /** E.g. `node n1`, `instance web1`, `the cluster`. */
  readonly objects: readonly string[];
  readonly tags: readonly string[];
  readonly text: string;
}

/** A way to a domain: by which tag. */
interface Step {
  readonly key: string;
  readonly tag: string;
}

/** Never throws: what is wrong is added to `errors`, and left out of the result. */
export function failureDomains(cluster: PlacementCluster, errors: RuleError[]): FailureDomains {
  const outer = nesting(cluster.tags, errors);
  const levels = ['node'];
  const names: string[][] = [cluster.nodes.map(({ name }) => name)];
  const placed: Map<string, Step & { readonly domain: string }>[] = cluster.nodes.map((node) => {
    const by_level = new Map<string, Step & { readonly domain: string }>();
    const visit = ({ key, tag }: Step): void => {
      const { level, domain } = fromKey(key);
      const other = by_level.get(level);
      if (other?.domain === domain) return;
      if (other !== undefined) {
        errors.push({
          objects: [`node ${node.name}`],
          tags: [other.tag, tag],
          text: `node ${node.name} is in ${level} ${other.domain} (${other.tag}) and in ${level} ${domain} (${tag}): expected one ${level}`,
        });
        return;
      }
      by_level.set(level, { key, tag, domain });
      for (const step of outer.get(key) ?? []) visit(step);
    };
    for (const step of ownDomains(node, errors)) visit(step);
    return by_level;
  });
  const level_of = new Map<string, number>([['node', 0]]);
  const domain_of = new Map<string, number>();
  for (const by_level of placed) {
    for (const [level, { key, domain }] of by_level) {
      let at = level_of.get(level);
      if (at === undefined) {
        at = levels.push(level) - 1;
        level_of.set(level, at);
        names.push([]);
      }
      if (!domain_of.has(key)) domain_of.set(key, names[at]!.push(domain) - 1);
    }
  }
  const count = cluster.nodes.length;
  const of = new Int32Array(levels.length * count).fill(-1);
  placed.forEach((by_level, node) => {
    of[node] = node;
    for (const [level, { key }] of by_level) of[level_of.get(level)! * count + node] = domain_of.get(key)!;
  });
  return { levels, of, names };
}

/** Whether nodes of one domain of the level `inner` are always in one domain of `outer` too. */
export function impliesLevel(domains: FailureDomains, inner: number, outer: number): boolean {
  if (inner === outer || inner === 0) return true;
  const count = domains.names[0]!.length;
  const outer_of = new Map<number, number>();
  for (let node = 0; node < count; node++) {
    const within = domains.of[inner * count + node]!;
    const beyond = domains.of[outer * count + node]!;
    if (within < 0) continue;
    if (beyond < 0 || (outer_of.get(within) ?? beyond) !== beyond) return false;
    outer_of.set(within, beyond);
  }
  return true;
}

/** What each domain is in. Steps that close a circle are refused, all those of the circle by name. */
function nesting(tags: readonly string[], errors: RuleError[]): ReadonlyMap<string, readonly Step[]> {
  const outer = new Map<string, Step[]>();
  for (const tag of tags) {
    const read = readRuleTag(tag, 'cluster');
    if (read === null || !('rule' in read) || read.rule.kind !== 'nested') continue;
    const steps = outer.get(toKey(read.rule.inner)) ?? [];
    steps.push({ key: toKey(read.rule.outer), tag });
    outer.set(toKey(read.rule.inner), steps);
  }
  const done = new Set<string>();
  const way: Step[] = [];
  const walk = (key: string): void => {
    if (done.has(key)) return;
    const kept: Step[] = [];
    for (const step of outer.get(key) ?? []) {
      way.push({ key, tag: step.tag });
      const from = way.findIndex((before) => before.key === step.key);
      if (from >= 0) {
        const circle = way.slice(from).map(({ tag }) => tag);
        errors.push({
          objects: ['the cluster'],
          tags: circle,
          text: `the cluster's tags ${circle.join(', ')} put ${shown(step.key)} inside itself: expected no circle`,
        });
      } else {
        walk(step.key);
        kept.push(step);
      }
      way.pop();
    }
    outer.set(key, kept);
    done.add(key);
  };
  for (const key of [...outer.keys()]) walk(key);
  return outer;
}

function ownDomains(node: PlacementCluster['nodes'][number], errors: RuleError[]): readonly Step[] {
  const steps: Step[] = [];
  for (const entry of node.failure_domains) {
    const name = domainName(entry.split(':'));
    if (name !== null) steps.push({ key: toKey(name), tag: entry });
    else
      errors.push({
        objects: [`node ${node.name}`],
        tags: [entry],
        text: `node ${node.name} has the failure domain ${entry}: expected LEVEL:DOMAIN`,
      });
  }
  for (const tag of node.tags) {
    const read = readRuleTag(tag, 'node');
    if (read !== null && 'rule' in read && read.rule.kind === 'domain')
      steps.push({ key: toKey(read.rule), tag });
  }
  return steps;
}

/** No part of it holds a colon: the tag was split at them. */
function toKey({ level, domain }: DomainName): string {
  return `${level}:${domain}`;
}

function fromKey(key: string): DomainName {
  const [level, domain] = key.split(':');
  return { level: level!, domain: domain! };
}

function shown(key: string): string {
  return key.replace(':', ' ');
}
