/**
 * Where a new instance goes: the node, or pair of nodes, that leaves the cluster with the least score, of those that
 * have the room, keep to the policy of their group, and leave the cluster so that any one node may die.
 *
 * All candidates are tried, and those that will not do are counted by reason, because the htools say so. Of equally good
 * ones the last wins, as there.
 */
import {
  exactPairScore,
  exactSingleScores,
  openBase,
  openPairs,
  type PairScores,
  pairScore,
  singleScores,
} from './allocation-score.ts';
import type { PlacementFailure, PlacementInstance } from './cluster.ts';
import { ascending, leastIndex } from './near-ties.ts';
import { instanceBreach, policyAt } from './policy.ts';
import {
  type Outlook,
  openOutlook,
  openRedundancy,
  type RedundancyOptions,
  staysRedundant,
} from './redundancy.ts';
import { moveIn, type Residents, readResidents, residentOf } from './residents.ts';
import { openGate, type RuleGate } from './rule-gate.ts';
import {
  addPrimary,
  addSecondary,
  addSized,
  commonLocations,
  type Demand,
  FITS,
  failureOf,
  place,
  primaryFailure,
  secondaryFailure,
  type Table,
} from './table.ts';

/** In the order in which they are told. */
export const failure_order: readonly PlacementFailure[] = [
  'memory',
  'disk',
  'cpu',
  'n1',
  'tags',
  'migration',
  'disk-count',
  'spindles',
  'rules',
  'internal',
];

/** How many candidates failed for each reason. */
export type FailureCounts = ReadonlyMap<PlacementFailure, number>;

export interface AllocationOptions {
  /** Soft limits of the primary do not count. */
  readonly force: boolean;
  /** Whether the cluster has to stay so that any one node may die. */
  readonly capacity_checks: boolean;
  readonly redundancy?: RedundancyOptions;
}

export interface Wanted {
  /** Its index in the table, and so in the rules; -1: a mere size, of which there may be many. */
  readonly index: number;
  readonly instance: PlacementInstance;
  readonly demand: Demand;
}

export interface Solution {
  readonly primary: number;
  /** -1: none. */
  readonly secondary: number;
  readonly score: number;
}

export interface Allocation {
  readonly failures: FailureCounts;
  readonly successes: number;
  readonly solution: Solution | null;
  /** Of rules that nodes were refused for, some in words. */
  readonly reasons: readonly string[];
}

/** A cluster that instances are put on, one after the other. */
export interface Placing {
  readonly table: Table;
  readonly residents: Residents;
  /** The nodes whose score counts, by index, ascending. */
  readonly nodes: readonly number[];
}

export function openPlacing(table: Table): Placing {
  return {
    table,
    residents: readResidents(table),
    nodes: Array.from({ length: table.node_count }, (_, node) => node),
  };
}

/** Primaries to try, each with the secondaries to try; no secondaries for instances that have none. */
export interface Candidates {
  readonly primaries: readonly number[];
  readonly secondariesOf: ((primary: number) => readonly number[]) | null;
}

/** Tries all candidates; changes nothing. */
export function allocate(
  placing: Placing,
  wanted: Wanted,
  candidates: Candidates,
  options: AllocationOptions,
): Allocation {
  const { secondariesOf, primaries } = candidates;
  return secondariesOf === null
    ? allocateSingle(placing, wanted, primaries, options)
    : allocatePair(placing, wanted, primaries, secondariesOf, options);
}

/** Puts an instance where a solution says; one of the table's is there from then on. */
export function settle(placing: Placing, wanted: Wanted, solution: Solution): void {
  const { table, residents } = placing;
  const { primary, secondary } = solution;
  addPrimary(table, primary, wanted.demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) addSecondary(table, secondary, wanted.demand, primary);
  moveIn(residents, primary, residentOf(wanted.instance, wanted.demand, secondary, wanted.index));
  if (wanted.index >= 0) place(table, wanted.index, primary, secondary);
  else addSized(table, primary, wanted.instance);
}

type Counts = Map<PlacementFailure, number>;

function count(failures: Counts, failure: PlacementFailure, by: number): void {
  if (by > 0) failures.set(failure, (failures.get(failure) ?? 0) + by);
}

/** Looked at only where a candidate is good otherwise. */
function lazyOutlook(placing: Placing, options: AllocationOptions): () => Outlook {
  let outlook: Outlook | null = null;
  return () => {
    outlook ??= openOutlook(
      openRedundancy(placing.table, placing.residents, placing.nodes, options.redundancy),
    );
    return outlook;
  };
}

/** A function that is made when it is first called. */
function lazily(make: () => (node: number) => number): (node: number) => number {
  let made: ((node: number) => number) | null = null;
  return (node) => {
    made ??= make();
    return made(node);
  };
}

/** Why a node cannot have the primary, whatever the secondary; null if it can. */
function primaryRefusal(
  table: Table,
  node: number,
  wanted: Wanted,
  force: boolean,
  breachAt: (node: number) => PlacementFailure | null,
  gate: RuleGate | null,
): PlacementFailure | null {
  const breach = breachAt(node) ?? gate?.primaryRefusal(node) ?? null;
  if (breach !== null) return breach;
  const failure = primaryFailure(table, node, wanted.demand, force);
  return failure === FITS ? null : failureOf(failure);
}

/** The policy's objection on each node, worked out once for each group. */
function policyBreaches(
  table: Table,
  instance: PlacementInstance,
): (node: number) => PlacementFailure | null {
  const known = new Map<number, PlacementFailure | null>();
  return (node) => {
    const exclusive = table.exclusive[node] === 1;
    const key = table.cluster.nodes[node]!.group * 2 + (exclusive ? 1 : 0);
    let breach = known.get(key);
    if (breach === undefined) {
      breach = instanceBreach(instance, policyAt(table.cluster, node), exclusive)?.failure ?? null;
      known.set(key, breach);
    }
    return breach;
  };
}

function allocateSingle(
  placing: Placing,
  wanted: Wanted,
  targets: readonly number[],
  options: AllocationOptions,
): Allocation {
  const { table } = placing;
  const failures: Counts = new Map();
  const breachAt = policyBreaches(table, wanted.instance);
  const gate = openGate(table, wanted);
  const fitting = targets.filter((node) => {
    const refusal = primaryRefusal(table, node, wanted, options.force, breachAt, gate);
    if (refusal !== null) count(failures, refusal, 1);
    return refusal === null;
  });
  const base = openBase(table, placing.nodes);
  const scores = singleScores(base, fitting, wanted.demand);
  if (gate !== null) for (const [index, node] of fitting.entries()) scores[index]! += gate.penalty(node, -1);
  const exactScoreOn = lazily(() => {
    const exact = exactSingleScores(base, wanted.demand);
    return gate === null ? exact : (node) => exact(node) + gate.penalty(node, -1);
  });
  const outlook = lazyOutlook(placing, options);
  const added = residentOf(wanted.instance, wanted.demand, -1, wanted.index);
  const best = firstGood(
    scores,
    (index) => exactScoreOn(fitting[index]!),
    (index) => !options.capacity_checks || staysRedundant(outlook(), added, fitting[index]!),
    // The htools' rounding differs even between nodes that are alike.
    false,
  );
  count(failures, 'n1', best.dropped);
  return {
    failures,
    successes: fitting.length - best.dropped,
    solution:
      best.index === -1 ? null : { primary: fitting[best.index]!, secondary: -1, score: scores[best.index]! },
    reasons: gate?.reasons() ?? [],
  };
}

function allocatePair(
  placing: Placing,
  wanted: Wanted,
  primaries: readonly number[],
  secondariesOf: (primary: number) => readonly number[],
  options: AllocationOptions,
): Allocation {
  const { table } = placing;
  const { demand, instance } = wanted;
  const failures: Counts = new Map();
  const breachAt = policyBreaches(table, instance);
  const gate = openGate(table, wanted);
  const fitting: number[] = [];
  for (const primary of primaries) {
    const refusal = primaryRefusal(table, primary, wanted, options.force, breachAt, gate);
    if (refusal === null) fitting.push(primary);
    else count(failures, refusal, secondariesOf(primary).length);
  }
  const pairs = openPairs(
    openBase(table, placing.nodes),
    fitting,
    distinctSecondaries(fitting, secondariesOf),
    demand,
  );
  const outlook = lazyOutlook(placing, options);
  let successes = 0;
  const solutions: Solution[] = [];
  for (const primary of fitting) {
    const found = bestSecondary(
      placing,
      wanted,
      pairs,
      primary,
      secondariesOf(primary),
      failures,
      gate,
      (secondary) => {
        if (!options.capacity_checks) return true;
        return staysRedundant(outlook(), residentOf(instance, demand, secondary, wanted.index), primary);
      },
    );
    successes += found.successes;
    if (found.solution !== null) solutions.push(found.solution);
  }
  const best = leastIndex(
    solutions.map(({ score }) => score),
    (index) => exactScoreOf(pairs, gate, solutions[index]!.primary, solutions[index]!.secondary),
  );
  return { failures, successes, solution: solutions[best] ?? null, reasons: gate?.reasons() ?? [] };
}

function exactScoreOf(pairs: PairScores, gate: RuleGate | null, primary: number, secondary: number): number {
  const score = exactPairScore(pairs, primary, secondary);
  return gate === null ? score : score + gate.penalty(primary, secondary);
}

function distinctSecondaries(
  primaries: readonly number[],
  secondariesOf: (primary: number) => readonly number[],
): readonly number[] {
  const all = new Set<number>();
  for (const primary of primaries) for (const secondary of secondariesOf(primary)) all.add(secondary);
  return [...all];
}

function bestSecondary(
  { table }: Placing,
  { demand }: Wanted,
  pairs: PairScores,
  primary: number,
  secondaries: readonly number[],
  failures: Counts,
  gate: RuleGate | null,
  isGood: (secondary: number) => boolean,
): { readonly successes: number; readonly solution: Solution | null } {
  const fitting: number[] = [];
  const scores: number[] = [];
  for (const secondary of secondaries) {
    const failure = secondaryFailure(table, secondary, demand, primary, false);
    if (gate?.refusesPair(primary, secondary) === true) {
      count(failures, 'rules', 1);
    } else if (failure === FITS) {
      fitting.push(secondary);
      const score = pairScore(pairs, primary, secondary);
      scores.push(gate === null ? score : score + gate.penalty(primary, secondary));
    } else {
      count(failures, failureOf(failure), 1);
    }
  }
  const best = firstGood(
    scores,
    (index) => exactScoreOf(pairs, gate, primary, fitting[index]!),
    (index) => isGood(fitting[index]!),
  );
  count(failures, 'n1', best.dropped);
  return {
    successes: fitting.length - best.dropped,
    solution:
      best.index === -1 ? null : { primary, secondary: fitting[best.index]!, score: scores[best.index]! },
  };
}

/** The best of those that are good, as {@link ascending} has them; `dropped`: how many better ones are not. */
function firstGood(
  scores: ArrayLike<number>,
  exactAt: (index: number) => number,
  isGood: (index: number) => boolean,
  one_for_all = true,
): { readonly index: number; readonly dropped: number } {
  let dropped = 0;
  for (const index of ascending(scores, exactAt, one_for_all)) {
    if (isGood(index)) return { index, dropped };
    dropped += 1;
  }
  return { index: -1, dropped };
}
