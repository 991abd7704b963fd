/**
 * How well a set of nodes is balanced: one number, lower is better, the weighted sum of 20 metrics (Ganeti's).
 *
 * Two ways to the same number. {@link metricValues} computes all from the table, in the order in which the htools do, so
 * that ties are broken the same way. {@link RunningScore} keeps for each metric the sum and the sum of squares over the
 * nodes and is told which nodes change: its cost does not depend on how many nodes there are.
 */
import {
  CPU_LOAD,
  DISK_LOAD,
  FAILS_N1,
  FORTH_FREE_DISK,
  FORTH_FREE_MEMORY,
  FORTH_FREE_SPINDLES,
  FORTH_INSTANCE_SPINDLES,
  FORTH_USED_CPUS,
  FREE_DISK,
  FREE_SPINDLES,
  INSTANCE_SPINDLES,
  LOCATION_SCORE,
  MEMORY_LOAD,
  NET_LOAD,
  PRIMARIES,
  RESERVED_MEMORY,
  SECONDARIES,
  STRIDE,
  TAG_CONFLICTS,
  type Table,
  USED_CPUS,
  unallocatedMemory,
} from './table.ts';

export interface Metric {
  readonly name: string;
  readonly weight: number;
  /** cv: the population standard deviation; sum: the sum; pairs: of location and exclusion tag, beyond one of each. */
  readonly kind: 'cv' | 'sum' | 'pairs';
  /** Of which nodes. */
  readonly of: 'online' | 'offline';
}

/** In the order in which they are added up and printed. */
export const metrics: readonly Metric[] = [
  { name: 'free_mem_cv', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'free_disk_cv', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'n1_cnt', weight: 1, kind: 'sum', of: 'online' },
  { name: 'reserved_mem_cv', weight: 1, kind: 'cv', of: 'online' },
  { name: 'offline_all_cnt', weight: 4, kind: 'sum', of: 'offline' },
  { name: 'offline_pri_cnt', weight: 16, kind: 'sum', of: 'offline' },
  { name: 'vcpu_ratio_cv', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'cpu_load_cv', weight: 1, kind: 'cv', of: 'online' },
  { name: 'mem_load_cv', weight: 1, kind: 'cv', of: 'online' },
  { name: 'disk_load_cv', weight: 1, kind: 'cv', of: 'online' },
  { name: 'net_load_cv', weight: 1, kind: 'cv', of: 'online' },
  { name: 'pri_tags_score', weight: 2, kind: 'sum', of: 'online' },
  { name: 'spindles_cv', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'free_mem_cv_forth', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'free_disk_cv_forth', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'vcpu_ratio_cv_forth', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'spindles_cv_forth', weight: 0.5, kind: 'cv', of: 'online' },
  { name: 'location_score', weight: 1, kind: 'sum', of: 'online' },
  { name: 'location_exclusion_score', weight: 1, kind: 'pairs', of: 'online' },
  { name: 'reserved_mem_rtotal', weight: 0.25, kind: 'sum', of: 'online' },
];

/** A node's own value of a metric; 0 for the one that has none of its own. */
export function nodeValue(table: Table, metric: number, node: number): number {
  const { state } = table;
  const at = node * STRIDE;
  switch (metric) {
    case 0:
      return unallocatedMemory(table, node) / table.total_memory[node]!;
    case 1:
      return diskShare(table, node, state[at + FREE_DISK]!, state[at + FREE_SPINDLES]!);
    case 2:
      return state[at + FAILS_N1] === 1 ? state[at + PRIMARIES]! + state[at + SECONDARIES]! : 0;
    case 3:
    case 19:
      return state[at + RESERVED_MEMORY]! / table.total_memory[node]!;
    case 4:
      return state[at + PRIMARIES]! + state[at + SECONDARIES]!;
    case 5:
      return state[at + PRIMARIES]!;
    case 6:
      return state[at + USED_CPUS]! / table.total_cpus[node]! / table.cpu_speed[node]!;
    case 7:
      return state[at + CPU_LOAD]!;
    case 8:
      return state[at + MEMORY_LOAD]!;
    case 9:
      return state[at + DISK_LOAD]!;
    case 10:
      return state[at + NET_LOAD]!;
    case 11:
      return state[at + TAG_CONFLICTS]!;
    case 12:
      return state[at + INSTANCE_SPINDLES]! / table.high_spindles[node]!;
    case 13:
      return state[at + FORTH_FREE_MEMORY]! / table.total_memory[node]!;
    case 14:
      return diskShare(table, node, state[at + FORTH_FREE_DISK]!, state[at + FORTH_FREE_SPINDLES]!);
    case 15:
      return state[at + FORTH_USED_CPUS]! / table.total_cpus[node]! / table.cpu_speed[node]!;
    case 16:
      return state[at + FORTH_INSTANCE_SPINDLES]! / table.high_spindles[node]!;
    case 17:
      return state[at + LOCATION_SCORE]!;
    default:
      return 0;
  }
}

/** A node without local storage counts as empty. */
function diskShare(table: Table, node: number, free_disk: number, free_spindles: number): number {
  const exclusive = table.exclusive[node] === 1;
  const total = exclusive ? table.total_spindles[node]! : table.total_disk[node]!;
  return total === 0 ? 1 : (exclusive ? free_spindles : free_disk) / total;
}

/** All metrics of a set of nodes, unweighted, in the order of {@link metrics}; none at all if no node is online. */
export function metricValues(table: Table, nodes: readonly number[]): Float64Array {
  const online = nodes.filter((node) => table.offline[node] === 0);
  if (online.length === 0) return new Float64Array(0);
  const offline = nodes.filter((node) => table.offline[node] === 1);
  return Float64Array.from(metrics, ({ kind, of }, metric) => {
    if (kind === 'pairs') return pairsBeyondOne(countPairs(table, online));
    const counted = of === 'online' ? online : offline;
    return kind === 'cv' ? deviation(table, metric, counted) : total(table, metric, counted);
  });
}

/** The sum of a metric. */
export function total(table: Table, metric: number, nodes: readonly number[]): number {
  let sum = 0;
  for (const node of nodes) sum += nodeValue(table, metric, node);
  return sum;
}

/** The population standard deviation of a metric, in two passes: the mean, then what is off it. */
export function deviation(table: Table, metric: number, nodes: readonly number[]): number {
  const mean = total(table, metric, nodes) / nodes.length;
  let squares = 0;
  for (const node of nodes) {
    const off = nodeValue(table, metric, node) - mean;
    squares += off * off;
  }
  return Math.sqrt(squares / nodes.length);
}

/** [location × tags + tag]: real primaries with an exclusion tag in a location. Empty if there are no such tags. */
export function countPairs(table: Table, nodes: readonly number[]): Int32Array {
  const { location_count, exclusion_names } = table.tags;
  const pairs = new Int32Array(location_count * exclusion_names.length);
  if (pairs.length > 0) for (const node of nodes) addPairs(table, pairs, node, 1);
  return pairs;
}

function addPairs(table: Table, pairs: Int32Array, node: number, by: number): void {
  const tag_count = table.tags.exclusion_names.length;
  const row = node * tag_count;
  for (const location of table.tags.locations[node]!) {
    for (let tag = 0; tag < tag_count; tag++) {
      pairs[location * tag_count + tag]! += by * table.real_tag_counts[row + tag]!;
    }
  }
}

/** The value of the metric `pairs`. */
export function pairsBeyondOne(pairs: Int32Array): number {
  let beyond = 0;
  for (const count of pairs) if (count > 1) beyond += count - 1;
  return beyond;
}

/** The score that metric values add up to. */
export function weightedSum(values: ArrayLike<number>): number {
  let score = 0;
  for (let metric = 0; metric < values.length; metric++) score += values[metric]! * metrics[metric]!.weight;
  return score;
}

/** What the score has for broken rules of Skein's own, of the whole cluster. */
export function rulePenalty({ rules }: Table): number {
  return rules === null ? 0 : rules.penalty;
}

/** The score of a set of nodes (by index, in ascending order); of the nodes themselves 0 if none of them is online. */
export function clusterScore(table: Table, nodes: readonly number[]): number {
  return weightedSum(metricValues(table, nodes)) + rulePenalty(table);
}

/**
 * The least score that any placement of these instances could have: what is reserved for N+1 is never nothing. 0 for
 * fewer than two nodes.
 */
export function leastScore(table: Table, nodes: readonly number[]): number {
  if (nodes.length < 2) return 0;
  let memory = 0;
  let largest = 0;
  let reserved = 0;
  for (const node of nodes) {
    memory += table.total_memory[node]!;
    largest = Math.max(largest, table.total_memory[node]!);
    const row = node * table.node_count;
    for (let at = row; at < row + table.node_count; at++) reserved += table.peers[at]!;
  }
  const without_largest = memory - largest;
  if (without_largest <= 0) return 0;
  return 0.25 * (reserved / without_largest - reserved / memory);
}

/**
 * A score that follows a table: {@link leave} a node, change it, {@link enter} it again.
 *
 * Values are kept relative to the mean that they had when it was opened, so that squares of small differences are not
 * lost in squares of large values. It agrees with {@link clusterScore} to about 1e-12; of two scores nearer to each
 * other than that it cannot tell which is less.
 */
export interface RunningScore {
  readonly nodes: readonly number[];
  readonly online_count: number;
  readonly centre: Float64Array;
  readonly sums: Float64Array;
  readonly squares: Float64Array;
  readonly pairs: Int32Array;
  /** The table's, which follow by themselves. */
  readonly rules: Table['rules'];
}

/** @param nodes by index, in ascending order */
export function openScore(table: Table, nodes: readonly number[]): RunningScore {
  const online = nodes.filter((node) => table.offline[node] === 0);
  const centre = Float64Array.from(metrics, ({ kind }, metric) =>
    kind === 'cv' && online.length > 0 ? total(table, metric, online) / online.length : 0,
  );
  const score: RunningScore = {
    nodes,
    online_count: online.length,
    centre,
    sums: new Float64Array(metrics.length),
    squares: new Float64Array(metrics.length),
    pairs: countPairs(table, []),
    rules: table.rules,
  };
  for (const node of nodes) enter(score, table, node);
  return score;
}

/** Takes out what a node contributes, before it changes. */
export function leave(score: RunningScore, table: Table, node: number): void {
  contribute(score, table, node, -1);
}

/** Puts in what a node contributes, after it has changed. */
export function enter(score: RunningScore, table: Table, node: number): void {
  contribute(score, table, node, 1);
}

function contribute(score: RunningScore, table: Table, node: number, by: number): void {
  const online = table.offline[node] === 0;
  for (let metric = 0; metric < metrics.length; metric++) {
    const { kind, of } = metrics[metric]!;
    if ((of === 'online') !== online || kind === 'pairs') continue;
    const value = nodeValue(table, metric, node) - score.centre[metric]!;
    score.sums[metric]! += by * value;
    score.squares[metric]! += by * value * value;
  }
  if (online && score.pairs.length > 0) addPairs(table, score.pairs, node, by);
}

/** The score as it is now. */
export function currentScore(score: RunningScore): number {
  const { online_count, sums, squares, rules } = score;
  let sum = rules === null ? 0 : rules.penalty;
  if (online_count === 0) return sum;
  for (let metric = 0; metric < metrics.length; metric++) {
    const { kind, weight } = metrics[metric]!;
    if (kind === 'sum') {
      sum += weight * sums[metric]!;
    } else if (kind === 'cv') {
      const mean = sums[metric]! / online_count;
      sum += weight * Math.sqrt(Math.max(0, squares[metric]! / online_count - mean * mean));
    } else {
      sum += weight * pairsBeyondOne(score.pairs);
    }
  }
  return sum;
}
