/**
 * A search that also takes steps back (simulated annealing): moves are drawn at random; one that lowers the score is
 * made, one that raises it is made sometimes, at first often and then hardly ever. So it leaves places from which no
 * single move is better, where the greedy search ends.
 *
 * Every move is checked as the greedy search checks its own, so the table is at all times a state that the rules allow
 * (as far as it was one at the beginning). The clock and the numbers drawn are the caller's. Ends with the table in the
 * best state that was seen, which may be the first one.
 */
import { kindAllowed } from './move-kinds.ts';
import type { MoveRules } from './move-search.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  type Move,
  type MoveKind,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import { currentScore, enter, leave, metrics, openScore, type RunningScore } from './score.ts';
import { FITS, forget, mark, type Table, undoTo } from './table.ts';

export interface AnnealingOptions {
  readonly rules: MoveRules;
  /** The only instances that move. */
  readonly instances: readonly number[];
  /** Where instances were at the beginning of all, and what each node's copy elsewhere must gain at least. */
  readonly home: Placement;
  readonly least_gain: number;
  /** Share of the search that is over, from 0; the search ends at 1. Asked every some hundred moves. */
  readonly progress: () => number;
  /** Numbers in 0 … 1. */
  readonly random: () => number;
  /** Given: only moves that lower the score are made, and each is handed over, in its order. */
  readonly descend?: (move: Move) => void;
}

/** Where each instance was in the best state, by index. */
export interface Placement {
  readonly primary: Int32Array;
  readonly secondary: Int32Array;
}

const moves_between_looks = 256;
/** Of sums of differences, digits are lost; they are taken anew from the table now and then. */
const looks_between_sums = 64;
/** How warm it is at first, as a share of what a move in the wrong direction costs, and at the end as a share of that. */
const first_warmth = 0.6;
const last_warmth = 0.01;
/** How often it is warmed up. */
const rounds = 4;

/** Less is rounding. */
const least_descent = 1e-6;

/** @param nodes of one group, ascending */
export function anneal(table: Table, nodes: readonly number[], options: AnnealingOptions): Placement {
  const { instances, progress, random } = options;
  const online = nodes.filter((node) => table.offline[node] === 0);
  const run: Run = {
    ...{ table, online, options },
    score: openScore(table, nodes),
    away: 0,
    current: 0,
    saved: { sums: new Float64Array(metrics.length), squares: new Float64Array(metrics.length) },
    nodes: [],
    drawn: [],
    start: 0,
    away_change: 0,
  };
  for (const instance of instances) run.away += awayFromHome(run, instance);
  run.current = currentScore(run.score) + options.least_gain * run.away;
  let best = placementOf(table);
  let best_score = run.current;
  let best_is_now = false;
  if (instances.length === 0 || online.length < 2) return best;
  const cold = options.descend !== undefined;
  const warmest = cold ? 0 : first_warmth * usualLoss(run);
  for (let looks = 1; ; looks++) {
    const done = progress();
    if (done >= 1) break;
    const warmth = warmest * last_warmth ** ((done * rounds) % 1);
    for (let drawn = 0; drawn < moves_between_looks; drawn++) {
      const change = tryRandomMove(run);
      if (change === null) continue;
      const kept = cold ? change < -least_descent : change <= 0 || random() < Math.exp(-change / warmth);
      if (!kept) {
        takeBack(run);
        continue;
      }
      if (change > 0 && best_is_now) {
        takeBack(run);
        best = placementOf(table);
        best_is_now = false;
        continue;
      }
      run.current += change;
      run.away += run.away_change;
      forget(table);
      if (cold) for (const move of run.drawn) options.descend?.(move);
      if (run.current < best_score - 1e-9) {
        best_score = run.current;
        best_is_now = true;
      }
    }
    if (looks % looks_between_sums === 0) {
      run.score = openScore(table, nodes);
      run.current = currentScore(run.score) + options.least_gain * run.away;
    }
  }
  return best_is_now ? placementOf(table) : best;
}

interface Run {
  readonly table: Table;
  readonly online: readonly number[];
  readonly options: AnnealingOptions;
  score: RunningScore;
  /** All of {@link awayFromHome}; the score and what that counts. */
  away: number;
  current: number;
  // What it takes to take the last move back.
  readonly saved: { readonly sums: Float64Array; readonly squares: Float64Array };
  readonly nodes: number[];
  readonly drawn: Move[];
  start: number;
  away_change: number;
}

function placementOf(table: Table): Placement {
  return { primary: table.primary.slice(), secondary: table.secondary.slice() };
}

/** Makes one, or two instances change places; to what that adds to the score. null: not allowed, nothing has changed. */
function tryRandomMove(run: Run): number | null {
  const { table, options, score, nodes, drawn } = run;
  const { random, rules } = options;
  drawn.length = 0;
  nodes.length = 0;
  if (!(random() < exchanges ? drawExchange(run) : drawMove(run))) return null;
  const start = mark(table);
  run.start = start;
  // The cheap half of the work first: where it does not fit, nothing has to be counted.
  for (const { instance, kind, target } of drawn) {
    note(nodes, table.primary[instance]!);
    note(nodes, table.secondary[instance]!);
    note(nodes, target);
    if (
      !kindAllowed(table, instance, kind, rules) ||
      tryMove(table, instance, kind, target, rules.ignore_soft_errors) !== FITS
    ) {
      undoTo(table, start);
      return null;
    }
  }
  undoTo(table, start);
  let away = 0;
  run.saved.sums.set(score.sums);
  run.saved.squares.set(score.squares);
  for (const node of nodes) leave(score, table, node);
  for (const { instance, kind, target } of drawn) {
    away -= awayFromHome(run, instance);
    tryMove(table, instance, kind, target, rules.ignore_soft_errors);
    away += awayFromHome(run, instance);
  }
  for (const node of nodes) enter(score, table, node);
  run.away_change = away;
  return currentScore(score) + options.least_gain * (run.away + away) - run.current;
}

/** In copies on other nodes than at the beginning; a change of primary is some of one. */
function awayFromHome({ table, options }: Run, instance: number): number {
  const { home } = options;
  const [primary, secondary] = [table.primary[instance]!, table.secondary[instance]!];
  const [old_primary, old_secondary] = [home.primary[instance]!, home.secondary[instance]!];
  let away = primary === old_primary ? 0 : 0.25;
  if (primary !== old_primary && primary !== old_secondary) away += 1;
  if (secondary >= 0 && secondary !== old_primary && secondary !== old_secondary) away += 1;
  return away;
}

/** Of the draws, those that are for two instances to change places: what balances numbers already needs them. */
const exchanges = 0.5;
const mirrored_kinds: readonly MoveKind[] = [
  FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  REPLACE_AND_FAILOVER,
  FAILOVER_AND_REPLACE,
];

function drawOne<T>(random: () => number, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!;
}

function note(nodes: number[], node: number): void {
  if (node >= 0 && !nodes.includes(node)) nodes.push(node);
}

function drawMove({ table, online, options, drawn }: Run): boolean {
  const { random, instances } = options;
  const instance = drawOne(random, instances);
  const kind = table.demands[instance]!.mirrored ? drawOne(random, mirrored_kinds) : FAILOVER_TO_ANY;
  const target = kind === FAILOVER ? -1 : drawOne(random, online);
  if (kind !== FAILOVER && hasNode(table, instance, target)) return false;
  drawn.push({ instance, kind, target });
  return true;
}

/** Of their primaries, or of their secondaries. */
function drawExchange({ table, options, drawn }: Run): boolean {
  const { random, instances } = options;
  const one = drawOne(random, instances);
  const other = drawOne(random, instances);
  const both_mirrored = table.demands[one]!.mirrored && table.demands[other]!.mirrored;
  const places = both_mirrored && random() < 0.5 ? table.secondary : table.primary;
  const [here, there] = [places[one]!, places[other]!];
  if (hasNode(table, one, there) || hasNode(table, other, here)) return false;
  if (table.offline[here] === 1 || table.offline[there] === 1) return false;
  for (const [instance, target] of [
    [one, there],
    [other, here],
  ] as const) {
    const primary_kind = table.demands[instance]!.mirrored ? REPLACE_PRIMARY : FAILOVER_TO_ANY;
    drawn.push({ instance, kind: places === table.primary ? primary_kind : REPLACE_SECONDARY, target });
  }
  return true;
}

function hasNode(table: Table, instance: number, node: number): boolean {
  return table.primary[instance] === node || table.secondary[instance] === node;
}

function takeBack({ table, score, saved, nodes, start }: Run): void {
  if (score.pairs.length > 0) for (const node of nodes) leave(score, table, node);
  undoTo(table, start);
  if (score.pairs.length > 0) for (const node of nodes) enter(score, table, node);
  score.sums.set(saved.sums);
  score.squares.set(saved.squares);
}

/** What a move in the wrong direction adds, one of the less bad ones: what breaks N+1 or tags says nothing of balance. */
function usualLoss(run: Run): number {
  const losses: number[] = [];
  for (let drawn = 0; drawn < 2000 && losses.length < 200; drawn++) {
    const change = tryRandomMove(run);
    if (change === null) continue;
    takeBack(run);
    if (change > 0) losses.push(change);
  }
  losses.sort((a, b) => a - b);
  return losses[losses.length >> 3] ?? 1e-3;
}
