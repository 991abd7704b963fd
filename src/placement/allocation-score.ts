/**
 * The score of a set of nodes as it would be with one more instance, for every node or pair of nodes that it could go
 * to, without putting it there.
 *
 * What an instance changes on a node does not depend on what it changes on the other, but for the memory that the
 * secondary keeps for the primary. So the changes of each node are worked out once, as primary and as secondary, and a
 * pair costs a few additions and square roots. Nodes that are alike get scores that are equal to the last bit.
 */
import { metrics, metricValues, nodeValue, weightedSum } from './score.ts';
import {
  addPrimary,
  addSecondary,
  commonLocations,
  type Demand,
  mark,
  PRIMARIES,
  RESERVED_MEMORY,
  SECONDARIES,
  STRIDE,
  type Table,
  unallocatedMemory,
  undoTo,
} from './table.ts';

const METRICS = metrics.length;
const at = (name: string): number => metrics.findIndex((metric) => metric.name === name);
/** What the secondary keeps for the primary shows in these three, which pairs work out for themselves. */
const N1_COUNT = at('n1_cnt');
const RESERVED_CV = at('reserved_mem_cv');
const RESERVED_TOTAL = at('reserved_mem_rtotal');
const LOCATIONS = at('location_score');
const PAIRS = metrics.findIndex((metric) => metric.kind === 'pairs');
const weights = Float64Array.from(metrics, (metric) => metric.weight);
/** Deviations, without the one that pairs work out. */
const deviations = metrics.flatMap(({ kind }, metric) =>
  kind === 'cv' && metric !== RESERVED_CV ? [metric] : [],
);
const sums = metrics.flatMap(({ kind, of }, metric) =>
  kind === 'sum' && of === 'online' && metric !== N1_COUNT && metric !== RESERVED_TOTAL ? [metric] : [],
);

/** The nodes without the new instance; stays valid for as long as they do not change. */
export interface AllocationBase {
  readonly table: Table;
  readonly nodes: readonly number[];
  readonly online_count: number;
  /** Of each metric: the mean of online nodes, and sums and squares of what they are off it. */
  readonly centre: Float64Array;
  readonly sum: Float64Array;
  readonly square: Float64Array;
  /** [node × metrics + metric], of online nodes. */
  readonly values: Float64Array;
  /** Of metrics that no allocation on online nodes changes. */
  readonly fixed: number;
  /** [location × tags + tag]: primaries with an exclusion tag in a location. */
  readonly pairs: Int32Array;
}

/** @param nodes by index, ascending */
export function openBase(table: Table, nodes: readonly number[]): AllocationBase {
  const online = nodes.filter((node) => table.offline[node] === 0);
  const values = new Float64Array(table.node_count * METRICS);
  const centre = new Float64Array(METRICS);
  const sum = new Float64Array(METRICS);
  const square = new Float64Array(METRICS);
  for (const node of online) {
    for (let metric = 0; metric < METRICS; metric++) {
      if (metrics[metric]!.of === 'online') values[node * METRICS + metric] = nodeValue(table, metric, node);
    }
  }
  for (let metric = 0; metric < METRICS; metric++) {
    const { kind, of } = metrics[metric]!;
    if (kind === 'pairs' || of === 'offline') continue;
    let total = 0;
    for (const node of online) total += values[node * METRICS + metric]!;
    centre[metric] = kind === 'cv' ? total / Math.max(1, online.length) : 0;
    for (const node of online) {
      const off = values[node * METRICS + metric]! - centre[metric]!;
      sum[metric]! += off;
      square[metric]! += off * off;
    }
  }
  let fixed = 0;
  for (const node of nodes) {
    if (table.offline[node] === 0) continue;
    for (let metric = 0; metric < METRICS; metric++) {
      if (metrics[metric]!.of === 'offline') fixed += weights[metric]! * nodeValue(table, metric, node);
    }
  }
  return {
    table,
    nodes,
    online_count: online.length,
    centre,
    sum,
    square,
    values,
    fixed,
    pairs: countPairs(table, online),
  };
}

function countPairs(table: Table, nodes: readonly number[]): Int32Array {
  const { location_count, exclusion_names, locations } = table.tags;
  const tag_count = exclusion_names.length;
  const pairs = new Int32Array(location_count * tag_count);
  if (pairs.length === 0) return pairs;
  for (const node of nodes) {
    for (const location of locations[node]!) {
      for (let tag = 0; tag < tag_count; tag++) {
        pairs[location * tag_count + tag]! += table.real_tag_counts[node * tag_count + tag]!;
      }
    }
  }
  return pairs;
}

/** What an instance would change on one node. */
interface Change {
  /** Of each deviation: of the sum, and of the squares. */
  readonly sum: Float64Array;
  readonly square: Float64Array;
  /** Of sums of all nodes, with their weights. */
  total: number;
  /** n1_cnt of the node, after it. */
  readonly failing: number;
}

function changeOf(base: AllocationBase, node: number): Change {
  const { table, values, centre } = base;
  const row = node * METRICS;
  const change: Change = {
    sum: new Float64Array(METRICS),
    square: new Float64Array(METRICS),
    total: 0,
    failing: nodeValue(table, N1_COUNT, node),
  };
  for (const metric of deviations) {
    const before = values[row + metric]! - centre[metric]!;
    const after = nodeValue(table, metric, node) - centre[metric]!;
    change.sum[metric] = after - before;
    change.square[metric] = after * after - before * before;
  }
  for (const metric of sums) {
    change.total += weights[metric]! * (nodeValue(table, metric, node) - values[row + metric]!);
  }
  return change;
}

function primaryChange(base: AllocationBase, node: number, demand: Demand): Change {
  const { table } = base;
  const start = mark(table);
  addPrimary(table, node, demand, 0);
  const change = changeOf(base, node);
  undoTo(table, start);
  change.total += weights[PAIRS]! * newPairs(base, node, demand);
  return change;
}

/** Pairs of a location and an exclusion tag that were taken already. */
function newPairs({ table, pairs }: AllocationBase, node: number, demand: Demand): number {
  if (pairs.length === 0 || demand.forthcoming) return 0;
  const tag_count = table.tags.exclusion_names.length;
  let met = 0;
  for (const location of table.tags.locations[node]!) {
    for (const tag of demand.exclusion) if (pairs[location * tag_count + tag]! > 0) met += 1;
  }
  return met;
}

/** Without what it keeps for the primary. */
function secondaryChange(base: AllocationBase, node: number, demand: Demand): Change {
  const { table } = base;
  const start = mark(table);
  addSecondary(table, node, { ...demand, reserves_memory: false }, node);
  const change = changeOf(base, node);
  undoTo(table, start);
  return change;
}

function deviation(base: AllocationBase, metric: number, sum: number, square: number): number {
  const mean = (base.sum[metric]! + sum) / base.online_count;
  return Math.sqrt(Math.max(0, (base.square[metric]! + square) / base.online_count - mean * mean));
}

/** Everything that an allocation changes nothing of: offline nodes, sums, pairs. */
function untouched(base: AllocationBase): number {
  let score = base.fixed;
  for (const metric of sums) score += weights[metric]! * base.sum[metric]!;
  for (const count of base.pairs) if (count > 1) score += weights[PAIRS]! * (count - 1);
  return score;
}

/** n1_cnt, reserved_mem_cv and reserved_mem_rtotal, with one node's own values replaced. */
function reservedPart(
  base: AllocationBase,
  failing: number,
  reserved_sum: number,
  reserved_square: number,
): number {
  return (
    weights[N1_COUNT]! * (base.sum[N1_COUNT]! + failing) +
    weights[RESERVED_TOTAL]! * (base.sum[RESERVED_TOTAL]! + reserved_sum) +
    weights[RESERVED_CV]! * deviation(base, RESERVED_CV, reserved_sum, reserved_square)
  );
}

/** The score with an instance on one node, of each of `targets`; online ones. */
export function singleScores(base: AllocationBase, targets: readonly number[], demand: Demand): Float64Array {
  const constant = untouched(base);
  return Float64Array.from(targets, (node) => {
    const change = primaryChange(base, node, demand);
    const failing = change.failing - base.values[node * METRICS + N1_COUNT]!;
    let score = constant + change.total + reservedPart(base, failing, 0, 0);
    for (const metric of deviations) {
      score += weights[metric]! * deviation(base, metric, change.sum[metric]!, change.square[metric]!);
    }
    return score;
  });
}

/** Scores of pairs, one at a time. */
export interface PairScores {
  readonly base: AllocationBase;
  readonly demand: Demand;
  readonly constant: number;
  /** Of each node, where it may be one. */
  readonly primaries: readonly (Change | undefined)[];
  readonly secondaries: readonly (Change | undefined)[];
  /** Deviations that both change, and those that only the primary or only the secondary does. */
  readonly shared: readonly number[];
  /** Of each node: what the deviations that it alone decides add up to. */
  readonly primary_part: Float64Array;
  readonly secondary_part: Float64Array;
  readonly any_locations: boolean;
}

export function openPairs(
  base: AllocationBase,
  primaries: readonly number[],
  secondaries: readonly number[],
  demand: Demand,
): PairScores {
  const { table } = base;
  const as_primary: (Change | undefined)[] = [];
  const as_secondary: (Change | undefined)[] = [];
  for (const node of primaries) as_primary[node] = primaryChange(base, node, demand);
  for (const node of secondaries) as_secondary[node] = secondaryChange(base, node, demand);
  const changed = (changes: readonly (Change | undefined)[], metric: number): boolean =>
    changes.some(
      (change) => change !== undefined && (change.sum[metric] !== 0 || change.square[metric] !== 0),
    );
  const shared = deviations.filter((metric) => changed(as_primary, metric) && changed(as_secondary, metric));
  const by_secondary = deviations.filter((metric) => !changed(as_primary, metric));
  const by_primary = deviations.filter(
    (metric) => !shared.includes(metric) && !by_secondary.includes(metric),
  );
  const part = (changes: readonly (Change | undefined)[], which: readonly number[]): Float64Array => {
    const parts = new Float64Array(table.node_count);
    for (const [node, change] of changes.entries()) {
      if (change === undefined) continue;
      for (const metric of which) {
        parts[node]! +=
          weights[metric]! * deviation(base, metric, change.sum[metric]!, change.square[metric]!);
      }
      parts[node]! += change.total;
    }
    return parts;
  };
  return {
    base,
    demand,
    constant: untouched(base),
    primaries: as_primary,
    secondaries: as_secondary,
    shared,
    primary_part: part(as_primary, by_primary),
    secondary_part: part(as_secondary, by_secondary),
    any_locations: table.tags.location_count > 0,
  };
}

/** The score with the primary on one node and the secondary on another. */
export function pairScore(pairs: PairScores, primary: number, secondary: number): number {
  const { base, shared } = pairs;
  const p = pairs.primaries[primary]!;
  const s = pairs.secondaries[secondary]!;
  let score = pairs.constant + pairs.primary_part[primary]! + pairs.secondary_part[secondary]!;
  for (let index = 0; index < shared.length; index++) {
    const metric = shared[index]!;
    const sum = p.sum[metric]! + s.sum[metric]!;
    const square = p.square[metric]! + s.square[metric]!;
    score += weights[metric]! * deviation(base, metric, sum, square);
  }
  if (pairs.any_locations && !pairs.demand.forthcoming) {
    score += weights[LOCATIONS]! * commonLocations(base.table, primary, secondary);
  }
  return score + reservedOfPair(pairs, p, primary, secondary);
}

/** The secondary keeps memory for the primary, and may fail N+1 for it. */
function reservedOfPair(pairs: PairScores, p: Change, primary: number, secondary: number): number {
  const { base, demand } = pairs;
  const { table, values, centre } = base;
  const { state } = table;
  const row = secondary * METRICS;
  const failing_primary = p.failing - values[primary * METRICS + N1_COUNT]!;
  if (demand.forthcoming) return reservedPart(base, failing_primary, 0, 0);
  const at_node = secondary * STRIDE;
  const kept =
    table.peers[secondary * table.node_count + primary]! + (demand.reserves_memory ? demand.memory : 0);
  const reserved = Math.max(state[at_node + RESERVED_MEMORY]!, kept);
  const fails = unallocatedMemory(table, secondary) <= reserved;
  const instances = state[at_node + PRIMARIES]! + state[at_node + SECONDARIES]! + 1;
  const failing_secondary = (fails ? instances : 0) - values[row + N1_COUNT]!;
  const before = values[row + RESERVED_CV]!;
  const after = reserved / table.total_memory[secondary]!;
  const off_before = before - centre[RESERVED_CV]!;
  const off_after = after - centre[RESERVED_CV]!;
  return reservedPart(
    base,
    failing_primary + failing_secondary,
    after - before,
    off_after * off_after - off_before * off_before,
  );
}

/**
 * Works out the score with an instance on a node from nothing, in the order of additions of {@link clusterScore} and so
 * of the htools. Values that the instance does not change are worked out once.
 */
export function exactSingleScores(base: AllocationBase, demand: Demand): (node: number) => number {
  const { table, nodes } = base;
  const online = nodes.filter((node) => table.offline[node] === 0);
  const unchanged = metricValues(table, nodes);
  const columns = metrics.map((_, metric) =>
    Float64Array.from(online, (node) => base.values[node * METRICS + metric]!),
  );
  const place = new Map(online.map((node, index) => [node, index]));
  const values = new Float64Array(METRICS);
  return (node) => {
    const index = place.get(node)!;
    const start = mark(table);
    addPrimary(table, node, demand, 0);
    for (let metric = 0; metric < METRICS; metric++) {
      const { kind, of } = metrics[metric]!;
      values[metric] = unchanged[metric]!;
      if (kind === 'pairs' || of === 'offline') continue;
      const column = columns[metric]!;
      const before = column[index]!;
      const after = nodeValue(table, metric, node);
      if (after === before) continue;
      column[index] = after;
      values[metric] = kind === 'cv' ? deviationOf(column) : sumOf(column);
      column[index] = before;
    }
    undoTo(table, start);
    values[PAIRS]! += newPairs(base, node, demand);
    return weightedSum(values);
  };
}

function sumOf(values: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at]!;
  return sum;
}

function deviationOf(values: Float64Array): number {
  const mean = sumOf(values) / values.length;
  let squares = 0;
  for (let at = 0; at < values.length; at++) {
    const off = values[at]! - mean;
    squares += off * off;
  }
  return Math.sqrt(squares / values.length);
}

/** The score with an instance on a pair of nodes, its statistics updated node by node, as the htools do. */
export function exactPairScore({ base, demand }: PairScores, primary: number, secondary: number): number {
  const { table } = base;
  const start = mark(table);
  addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
  addSecondary(table, secondary, demand, primary);
  let score = 0;
  for (let metric = 0; metric < METRICS; metric++) {
    const value = updatedMetric(base, metric, [primary, secondary]);
    score += weights[metric]! * value;
  }
  undoTo(table, start);
  return score + weights[PAIRS]! * newPairs(base, primary, demand);
}

/** A metric's value before, with those of nodes that have changed replaced one after the other. */
function updatedMetric(base: AllocationBase, metric: number, changed: readonly number[]): number {
  const { table, nodes, values } = base;
  const { kind, of } = metrics[metric]!;
  if (kind === 'pairs') {
    let beyond = 0;
    for (const count of base.pairs) if (count > 1) beyond += count - 1;
    return beyond;
  }
  let sum = 0;
  let count = 0;
  for (const node of nodes) {
    if ((table.offline[node] === 1) !== (of === 'offline')) continue;
    sum += of === 'offline' ? nodeValue(table, metric, node) : values[node * METRICS + metric]!;
    count += 1;
  }
  if (of === 'offline') return sum;
  if (kind === 'sum') {
    for (const node of changed) sum += nodeValue(table, metric, node) - values[node * METRICS + metric]!;
    return sum;
  }
  const mean = sum / count;
  let variance = 0;
  for (const node of nodes) {
    if (table.offline[node] === 1) continue;
    const off = values[node * METRICS + metric]! - mean;
    variance += off * off;
  }
  variance /= count;
  for (const node of changed) {
    const before = values[node * METRICS + metric]!;
    const after = nodeValue(table, metric, node);
    const by = after - before;
    const squares = count * (after * after - before * before) - 2 * sum * by - by * by;
    sum += by;
    variance = Math.max(0, variance + squares / (count * count));
  }
  return Math.sqrt(variance);
}
