/**
 * The best single move: of all moves of all instances of a group, the one after which the score is least; the first of
 * several, in the order instances, nodes, kinds. This is where balancing spends its time.
 *
 * A move changes at most three nodes, so every metric after it follows from the sums over all nodes and from what those
 * three add and take away (`instance-trial.ts`). Nothing is applied to find that out, and nothing is allocated. Limits
 * are asked only about moves that would be as good as the best one so far.
 *
 * Sums and squares know a score to about 1e-12. The htools choose by the last bit. So the moves that come within
 * `near` of the best are scored again the long way, in the order of additions of the htools, and of those the least is
 * taken.
 */
import { tryInstance } from './instance-trial.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  type MoveKind,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import { countPairs, deviation, metrics, pairsBeyondOne, rulePenalty, total, weightedSum } from './score.ts';
import { type Bounds, leastScoreOf, openBounds, refreshBounds } from './search-bounds.ts';
import { buildColumns, type Columns, fillColumns } from './search-columns.ts';
import { FITS, mark, RESERVED_MEMORY, STRIDE, type Table, undoTo } from './table.ts';

export interface MoveRules {
  /** May a copy be made on another node? */
  readonly disk_moves: boolean;
  /** May the primary change? */
  readonly instance_moves: boolean;
  /** No replacing of primaries; migrations only off drained nodes, other than plain failovers. */
  readonly restricted_migration: boolean;
  /** Soft limits do not count. */
  readonly ignore_soft_errors: boolean;
}

export interface MoveSearch {
  readonly table: Table;
  /** Of the group, ascending; and those of them that can take instances. */
  readonly nodes: readonly number[];
  readonly online: readonly number[];
  readonly rules: MoveRules;
  /** What goes with the primary; what goes with each copy. */
  readonly roles: Columns;
  readonly copies: Columns;
  readonly reserved: Reserved;
  readonly base: Base;
  /** {@link countPairs} of the online nodes. */
  readonly pairs: Int32Array;
  readonly candidates: Candidates;
  readonly bounds: Bounds;
  readonly scratch: Scratch;
}

/** The column of memory in reserve. */
export interface Reserved {
  readonly value: Float64Array;
  readonly unit: Float64Array;
  sum: number;
  squares: number;
  /** What the score gains for each unit of the sum. */
  readonly total_weight: number;
}

/** Shares of the score as it is now. */
export interface Base {
  /** Of all metrics that are sums, and of broken rules. */
  linear: number;
  roles: number;
  copies: number;
  reserved: number;
}

/** What is left of the columns' sums without the instance that is being looked at. */
export interface Scratch {
  /** Of each instance: {@link leastScoreOf}. */
  readonly least: Float64Array;
  /** Of the primary columns, without its primary. */
  readonly primary_sums: Float64Array;
  readonly primary_squares: Float64Array;
  /** Of the copy columns, without its copy on the primary node; without that on the secondary node. */
  readonly first_sums: Float64Array;
  readonly first_squares: Float64Array;
  readonly second_sums: Float64Array;
  readonly second_squares: Float64Array;
  /** How far off the scores of the moves to one target may be: where a spread nearly vanishes, digits are lost. */
  slack: number;
}

/** Moves that may be the best one. */
export interface Candidates {
  count: number;
  /** The best move's score is at most this. */
  bound: number;
  /** Added to `bound` when a move is judged; how well two scores can be told apart. */
  margin: number;
  readonly instance: number[];
  readonly kind: MoveKind[];
  readonly target: number[];
  /** Its score is at least this. */
  readonly least: number[];
}

/** How near to each other two scores can be so that sums and squares cannot say which is less, relative to 1 + score. */
const near = 1e-10;

export interface FoundMove {
  readonly instance: number;
  readonly kind: MoveKind;
  readonly target: number;
  readonly score: number;
}

/** @param instances those that may move, ever: columns are laid out for them */
export function openSearch(
  table: Table,
  nodes: readonly number[],
  instances: readonly number[],
  rules: MoveRules,
): MoveSearch {
  const online = nodes.filter((node) => table.offline[node] === 0);
  const roles = buildColumns(table, 'primary', online, instances);
  const copies = buildColumns(table, 'copy', online, instances);
  const unit = new Float64Array(table.node_count);
  const scale = 1 / Math.sqrt(online.length);
  for (const node of online) unit[node] = scale / table.total_memory[node]!;
  return {
    table,
    nodes,
    online,
    rules,
    roles,
    copies,
    reserved: {
      value: new Float64Array(table.node_count),
      unit,
      sum: 0,
      squares: 0,
      total_weight: 0.25 / scale,
    },
    base: { linear: 0, roles: 0, copies: 0, reserved: 0 },
    pairs: countPairs(table, online),
    candidates: { count: 0, bound: 0, margin: 0, instance: [], kind: [], target: [], least: [] },
    bounds: openBounds(table, roles, copies, instances),
    scratch: {
      least: new Float64Array(table.demands.length),
      primary_sums: new Float64Array(roles.count),
      primary_squares: new Float64Array(roles.count),
      first_sums: new Float64Array(copies.count),
      first_squares: new Float64Array(copies.count),
      second_sums: new Float64Array(copies.count),
      second_squares: new Float64Array(copies.count),
      slack: 0,
    },
  };
}

/**
 * The best move of any of the instances (in ascending order); null if none lowers the score.
 * @param current_score {@link clusterScore} of the nodes
 */
export function findMove(
  search: MoveSearch,
  instances: readonly number[],
  current_score: number,
): FoundMove | null {
  if (!Number.isFinite(current_score)) return null;
  refresh(search);
  const { candidates } = search;
  candidates.count = 0;
  candidates.bound = current_score;
  candidates.margin = near * (1 + Math.abs(current_score));
  refreshBounds(search);
  tryPromising(search, instances);
  return leastCandidate(search, current_score);
}

/** Looks at the moves of all instances that can have the best one, beginning with the one that promises most. */
function tryPromising(search: MoveSearch, instances: readonly number[]): void {
  const { candidates, scratch } = search;
  let first = -1;
  for (const instance of instances) {
    scratch.least[instance] = leastScoreOf(search, instance, false);
    if (first === -1 || scratch.least[instance]! < scratch.least[first]!) first = instance;
  }
  if (first !== -1) tryInstance(search, first);
  for (const instance of instances) {
    if (instance === first || !isCandidate(candidates, scratch.least[instance]!, 0)) continue;
    if (isCandidate(candidates, leastScoreOf(search, instance, true), 0)) tryInstance(search, instance);
  }
}

/** Takes all figures anew from the table. */
function refresh(search: MoveSearch): void {
  const { table, nodes, online, roles, copies, reserved, base } = search;
  fillColumns(roles, table, online);
  fillColumns(copies, table, online);
  let mean = 0;
  for (const node of online) mean += reserved.unit[node]! * table.state[node * STRIDE + RESERVED_MEMORY]!;
  mean /= online.length;
  reserved.sum = 0;
  reserved.squares = 0;
  for (const node of online) {
    const off = reserved.unit[node]! * table.state[node * STRIDE + RESERVED_MEMORY]! - mean;
    reserved.value[node] = off;
    reserved.sum += off;
    reserved.squares += off * off;
  }
  search.pairs.set(countPairs(table, online));
  const offline = nodes.filter((node) => table.offline[node] === 1);
  base.linear = rulePenalty(table);
  for (const [metric, { kind, of, weight }] of metrics.entries()) {
    if (kind === 'sum') base.linear += weight * total(table, metric, of === 'online' ? online : offline);
    else if (kind === 'pairs') base.linear += weight * pairsBeyondOne(search.pairs);
  }
  base.roles = spreadOf(roles, online.length);
  base.copies = spreadOf(copies, online.length);
  base.reserved = Math.sqrt(Math.max(0, reserved.squares - (reserved.sum * reserved.sum) / online.length));
}

function spreadOf(columns: Columns, node_count: number): number {
  let spread = 0;
  for (let column = 0; column < columns.count; column++) {
    const sum = columns.sums[column]!;
    spread += Math.sqrt(Math.max(0, columns.squares[column]! - (sum * sum) / node_count));
  }
  return spread;
}

/** Could a move with this score be the best one? */
export function isCandidate(candidates: Candidates, score: number, slack: number): boolean {
  return score - slack <= candidates.bound + candidates.margin;
}

/** Keeps a move that is allowed and {@link isCandidate}. */
export function keepCandidate(
  candidates: Candidates,
  instance: number,
  kind: MoveKind,
  target: number,
  score: number,
  slack: number,
): void {
  if (score + slack < candidates.bound) candidates.bound = score + slack;
  if (candidates.count === 4096) dropBeaten(candidates);
  const at = candidates.count;
  candidates.instance[at] = instance;
  candidates.kind[at] = kind;
  candidates.target[at] = target;
  candidates.least[at] = score - slack;
  candidates.count = at + 1;
}

/** Drops those that were kept when the best was not known yet. */
function dropBeaten(candidates: Candidates): void {
  const limit = candidates.bound + candidates.margin;
  let kept = 0;
  for (let at = 0; at < candidates.count; at++) {
    if (candidates.least[at]! > limit) continue;
    candidates.instance[kept] = candidates.instance[at]!;
    candidates.kind[kept] = candidates.kind[at]!;
    candidates.target[kept] = candidates.target[at]!;
    candidates.least[kept] = candidates.least[at]!;
    kept += 1;
  }
  candidates.count = kept;
}

function leastCandidate(search: MoveSearch, current_score: number): FoundMove | null {
  const { candidates, table, rules } = search;
  dropBeaten(candidates);
  let best: FoundMove | null = null;
  let best_score = current_score;
  for (const at of inOrder(candidates)) {
    const instance = candidates.instance[at]!;
    const kind = candidates.kind[at]!;
    const target = candidates.target[at]!;
    const start = mark(table);
    if (tryMove(table, instance, kind, target, rules.ignore_soft_errors) !== FITS) continue;
    const score = exactScore(search);
    undoTo(table, start);
    if (score < best_score) {
      best_score = score;
      best = { instance, kind, target, score };
    }
  }
  return best;
}

/** The htools' order: instances, targets, kinds; a failover before all targets. */
function inOrder(candidates: Candidates): readonly number[] {
  const { count, instance, target, kind } = candidates;
  const order = Array.from({ length: count }, (_, at) => at);
  return order.sort(
    (a, b) =>
      instance[a]! - instance[b]! ||
      target[a]! - target[b]! ||
      place_of_kind[kind[a]!] - place_of_kind[kind[b]!],
  );
}

/** Of the kinds that have the same target. */
const place_of_kind: { readonly [kind in MoveKind]: number } = {
  [FAILOVER]: 0,
  [FAILOVER_TO_ANY]: 0,
  [REPLACE_SECONDARY]: 0,
  [REPLACE_AND_FAILOVER]: 1,
  [REPLACE_PRIMARY]: 2,
  [FAILOVER_AND_REPLACE]: 3,
};

/** {@link clusterScore}, to the bit; metrics that cannot differ are computed once. */
export function exactScore(search: MoveSearch): number {
  const { table, nodes, online } = search;
  const offline = nodes.length === online.length ? [] : nodes.filter((node) => table.offline[node] === 1);
  const values = new Float64Array(metrics.length);
  for (const columns of [search.roles, search.copies]) {
    for (const same of columns.metrics) {
      const value = deviation(table, same[0]!, online);
      for (const metric of same) values[metric] = value;
    }
  }
  for (const [metric, { kind, of }] of metrics.entries()) {
    if (kind === 'sum') values[metric] = total(table, metric, of === 'online' ? online : offline);
    else if (kind === 'pairs') values[metric] = pairsBeyondOne(countPairs(table, online));
    else if (metric === reserved_metric) values[metric] = deviation(table, metric, online);
  }
  return weightedSum(values) + rulePenalty(table);
}

const reserved_metric = metrics.findIndex(({ name }) => name === 'reserved_mem_cv');
