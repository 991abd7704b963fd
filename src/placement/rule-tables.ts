/**
 * The rules of a cluster as typed arrays, so that the loops of the engine can ask them: which pair rules concern an
 * instance, how many of each rule's instances are in each domain, and which nodes an instance is limited to.
 */
import type { PairRule, RuleModel } from './rule-model.ts';

export interface PairTable {
  readonly rules: readonly PairRule[];
  readonly anti: Uint8Array;
  readonly must: Uint8Array;
  /** Where in `of` the domains of the nodes at the rule's level begin. */
  readonly level: Int32Array;
  /** Where in the counters the rule's domains begin; the first is for nodes in none that is known. */
  readonly first: Int32Array;
  readonly carriers: Int32Array;
  readonly members: Int32Array;
  readonly placed_carriers: Int32Array;
  readonly placed_members: Int32Array;
  /** The rules of instance i are `concerns[start[i]]` to `concerns[start[i + 1] - 1]`: rule * 2, + 1 as a carrier. */
  readonly start: Int32Array;
  readonly concerns: Int32Array;
}

export interface NodeTable {
  readonly words: number;
  readonly sets: Int32Array;
  /** Index of a set; -1: any node will do. */
  readonly must: Int32Array;
  readonly start: Int32Array;
  readonly should: Int32Array;
}

export function pairTable(model: RuleModel): PairTable {
  const { cluster, domains, pairs } = model;
  const nodes = cluster.nodes.length;
  const concerns: number[][] = [];
  const first = new Int32Array(pairs.length);
  let size = 0;
  pairs.forEach(({ level, carriers, members }, rule) => {
    first[rule] = size;
    size += domains.names[level]!.length + 1;
    const carrying = new Set(carriers);
    for (const member of members) listOf(concerns, member).push(rule * 2 + (carrying.has(member) ? 1 : 0));
  });
  return {
    rules: pairs,
    anti: Uint8Array.from(pairs, ({ kind }) => (kind === 'anti-affinity' ? 1 : 0)),
    must: Uint8Array.from(pairs, ({ strength }) => (strength === 'must' ? 1 : 0)),
    level: Int32Array.from(pairs, ({ level }) => level * nodes),
    first,
    carriers: new Int32Array(size),
    members: new Int32Array(size),
    placed_carriers: new Int32Array(pairs.length),
    placed_members: new Int32Array(pairs.length),
    ...flattened(concerns, cluster.instances.length, 'concerns'),
  };
}

export function nodeTable(model: RuleModel): NodeTable {
  const instances = model.cluster.instances.length;
  const words = (model.cluster.nodes.length + 31) >>> 5;
  const sets: Int32Array[] = [];
  const known = new Map<string, number>();
  const setOf = (nodes: Iterable<number>): number => {
    const set = new Int32Array(words);
    for (const node of nodes) set[node >>> 5]! |= 1 << (node & 31);
    const key = set.join();
    const before = known.get(key);
    if (before !== undefined) return before;
    known.set(key, sets.length);
    return sets.push(set) - 1;
  };
  const hard = new Map<number, ReadonlySet<number>>();
  const should: number[][] = [];
  for (const { instance, strength, nodes } of model.nodes) {
    if (strength === 'must') hard.set(instance, hard.get(instance)?.intersection(nodes) ?? nodes);
    else listOf(should, instance).push(setOf(nodes));
  }
  const must = new Int32Array(instances).fill(-1);
  for (const [instance, nodes] of hard) must[instance] = setOf(nodes);
  const flat = new Int32Array(sets.length * words);
  sets.forEach((set, at) => {
    flat.set(set, at * words);
  });
  return { words, sets: flat, must, ...flattened(should, instances, 'should') };
}

function listOf(lists: number[][], instance: number): number[] {
  const before = lists[instance];
  if (before !== undefined) return before;
  const list: number[] = [];
  lists[instance] = list;
  return list;
}

const none: readonly number[] = [];

/** Lists by instance, end to end, with where each begins. */
function flattened<Name extends string>(
  lists: readonly (readonly number[] | undefined)[],
  instances: number,
  name: Name,
): { readonly start: Int32Array } & { readonly [name in Name]: Int32Array } {
  const start = new Int32Array(instances + 1);
  const all: number[] = [];
  for (let i = 0; i < instances; i++) {
    for (const each of lists[i] ?? none) all.push(each);
    start[i + 1] = all.length;
  }
  return { start, [name]: Int32Array.from(all) } as { readonly start: Int32Array } & {
    readonly [name in Name]: Int32Array;
  };
}
