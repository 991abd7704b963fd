/**
 * Which group a new instance goes to: of those that have a place for it and are not unallocable, a preferred one before
 * one of last resort, then the one whose best place leaves the least score; of equals the last. Groups that are not
 * connected to a network that the instance needs are left out.
 *
 * What each group had to say is told in the htools' words.
 */
import {
  type Allocation,
  type AllocationOptions,
  allocate,
  type Candidates,
  failure_order,
  type Placing,
  type Wanted,
} from './allocate.ts';
import { type AllocPolicy, failureName, type PlacementCluster, type PlacementInstance } from './cluster.ts';
import { fixed } from './decimal.ts';
import type { Table } from './table.ts';

/** Of one group: what was found, or why nothing could be tried. */
export interface GroupAttempt<T extends Described> {
  readonly group: number;
  readonly outcome: T | string;
}

/** What an attempt's description needs, whatever the score is. */
export interface Described extends Pick<Allocation, 'failures' | 'successes'> {
  readonly solution: { readonly primary: number; readonly secondary: number } | null;
  readonly reasons?: readonly string[];
}

export interface GroupChoice<T extends Described> {
  /** null: no group will do. */
  readonly chosen: { readonly group: number; readonly allocation: T } | null;
  /** One text for each group. */
  readonly messages: readonly string[];
  /** No group at all was among those allowed. */
  readonly none_allowed: boolean;
}

/** Ways to allocate in one group, and to compare and show what came of it. */
export interface GroupMethod<T extends Described> {
  /** Text: why nothing could be tried. */
  readonly tryGroup: (group: number) => T | string;
  /** It looks at networks itself. */
  readonly checks_networks?: boolean;
  readonly compare: (a: T, b: T) => number;
  readonly showScore: (allocation: T) => string;
}

/** @param allowed the only groups that will do, by index; null: any */
export function chooseGroup<T extends Described>(
  cluster: PlacementCluster,
  instance: PlacementInstance,
  allowed: readonly number[] | null,
  method: GroupMethod<T>,
): GroupChoice<T> {
  const populated = cluster.groups.flatMap((_, group) =>
    cluster.nodes.some((node) => node.group === group) ? [group] : [],
  );
  const groups = allowed === null ? populated : populated.filter((group) => allowed.includes(group));
  const connected = groups.filter(
    (group) => method.checks_networks === true || missingNetwork(cluster, group, instance) === null,
  );
  const messages = groups.flatMap((group) => {
    if (connected.includes(group)) return [];
    return [
      `group ${cluster.groups[group]!.name} is not connected to a network required by instance ${instance.name}`,
    ];
  });
  let chosen: { readonly group: number; readonly allocation: T } | null = null;
  for (const group of connected) {
    const outcome = method.tryGroup(group);
    messages.push(describeAttempt(cluster, { group, outcome }, method.showScore));
    if (typeof outcome === 'string' || outcome.solution === null) continue;
    if (policy_rank[cluster.groups[group]!.alloc_policy] === unallocable) continue;
    if (chosen === null || !isBetter(cluster, chosen, { group, allocation: outcome }, method.compare)) {
      chosen = { group, allocation: outcome };
    }
  }
  return { chosen, messages, none_allowed: groups.length === 0 };
}

const unallocable = 2;
const policy_rank: { readonly [policy in AllocPolicy]: number } = {
  preferred: 0,
  last_resort: 1,
  unallocable,
};

function isBetter<T>(
  cluster: PlacementCluster,
  a: { readonly group: number; readonly allocation: T },
  b: { readonly group: number; readonly allocation: T },
  compare: (a: T, b: T) => number,
): boolean {
  const rank = (group: number): number => policy_rank[cluster.groups[group]!.alloc_policy];
  const by_policy = rank(a.group) - rank(b.group);
  return by_policy !== 0 ? by_policy < 0 : compare(a.allocation, b.allocation) < 0;
}

/** A network that an instance needs and a group is not connected to; null if there is none. */
export function missingNetwork(
  cluster: PlacementCluster,
  group: number,
  instance: PlacementInstance,
): string | null {
  const { networks } = cluster.groups[group]!;
  return instance.networks.find((network) => !networks.includes(network)) ?? null;
}

/** Why an instance cannot go to a group for want of a network; null if it can. */
export function networkRefusal(
  cluster: PlacementCluster,
  group: number,
  instance: PlacementInstance,
): string | null {
  if (missingNetwork(cluster, group, instance) === null) return null;
  const { name } = cluster.groups[group]!;
  return `The group ${name} is not connected to a network required by instance ${instance.name}`;
}

export function describeAttempt<T extends Described>(
  cluster: PlacementCluster,
  { group, outcome }: GroupAttempt<T>,
  showScore: (allocation: T) => string,
): string {
  const { name, alloc_policy } = cluster.groups[group]!;
  if (typeof outcome === 'string') return `Group ${name}: error ${outcome}`;
  return `Group ${name} (${alloc_policy}): ${describeAllocation(cluster, outcome, showScore(outcome))}`;
}

/** @param score of the solution, as it is to be shown */
export function describeAllocation(
  cluster: PlacementCluster,
  { failures, successes, solution, reasons: told = [] }: Described,
  score: string,
): string {
  const reasons = failure_order.flatMap((failure) => {
    const count = failures.get(failure) ?? 0;
    return count === 0 ? [] : [`${failureName[failure]}: ${count}`];
  });
  if (solution === null) {
    const why = reasons.length === 0 ? 'unknown reasons' : reasons.join(', ');
    const words = told.map((text) => `; ${text}`).join('');
    return `No valid allocation solutions, failure reasons: ${why}${words}`;
  }
  let failed = 0;
  for (const count of failures.values()) failed += count;
  const nodes = [solution.primary, solution.secondary]
    .filter((node) => node >= 0)
    .map((node) => cluster.nodes[node]!.name);
  return (
    `score: ${score}, successes ${successes}, failures ${failed} (${reasons.join(', ')})` +
    ` for node(s) ${nodes.join('/')}`
  );
}

/** Candidates for a new instance in one group, or why there are none. */
export function groupCandidates(
  table: Table,
  group: number,
  node_count: number,
  restrict_to: ReadonlySet<string> | null,
): Candidates | string {
  const { nodes } = table.cluster;
  const online: number[] = [];
  for (let node = 0; node < table.node_count; node++) {
    if (table.offline[node] === 1 || nodes[node]!.group !== group) continue;
    if (restrict_to === null || restrict_to.has(nodes[node]!.name)) online.push(node);
  }
  if (node_count === 1) {
    return online.length === 0 ? 'No online nodes' : { primaries: online, secondariesOf: null };
  }
  if (node_count !== 2) return 'Unsupported number of nodes, only one or two  supported';
  if (online.length < 2) return 'Not enough online nodes';
  return { primaries: online, secondariesOf: othersOf(online) };
}

/** All but the one asked about. */
export function othersOf(nodes: readonly number[]): (node: number) => readonly number[] {
  return (node) => nodes.filter((other) => other !== node);
}

/** By the score of the whole cluster. */
export function byScore(
  placing: Placing,
  wanted: Wanted,
  node_count: number,
  restrict_to: ReadonlySet<string> | null,
  options: AllocationOptions,
): GroupMethod<Allocation> {
  return {
    tryGroup: (group) => {
      const candidates = groupCandidates(placing.table, group, node_count, restrict_to);
      return typeof candidates === 'string' ? candidates : allocate(placing, wanted, candidates, options);
    },
    compare: (a, b) => (a.solution?.score ?? 0) - (b.solution?.score ?? 0),
    showScore: (allocation) => fixed(allocation.solution?.score ?? 0, 8),
  };
}
