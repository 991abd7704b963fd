/**
 * Balancing with time to think: the greedy plan, then a search for a better placement that goes on from its end, and a
 * plan that leads there from the beginning. The better of the two plans is the answer: never a worse one than greedy's.
 *
 * Pure: the clock is handed in, and what is drawn depends on the seed alone. The same clock readings give the same plan.
 */
import { anneal, type Placement } from './annealing.ts';
import { type BalanceOptions, balance, movableOn, type Step } from './balance.ts';
import { moveTo } from './move-kinds.ts';
import { type Move, tryMove } from './moves.ts';
import { planSteps } from './plan-steps.ts';
import { randomFrom } from './random.ts';
import { clusterScore } from './score.ts';
import { shortenPlan } from './shorten-plan.ts';
import { cloneTable, copyTable, forget, mark, type Table, undoTo } from './table.ts';

export interface SearchTime {
  /** Milliseconds, from any beginning; never backwards. */
  readonly now_ms: () => number;
  /** For the search alone: the greedy plan and the making of the other one take what they take. */
  readonly budget_ms: number;
  readonly seed: number;
}

export interface SearchedPlan {
  readonly steps: readonly Step[];
  /** Where the greedy plan ends. */
  readonly greedy_score: number;
  readonly greedy_steps: number;
}

/** Less than that is no better. */
const least_gain = 1e-9;
/** What a copy on another node must gain, as a share of greedy's score: disks are not sent about for nothing. */
const copy_gain = 0.002;
/** Share of the time that is spent going downhill. */
const descent_share = 0.15;
/** Of what is gained beyond greedy's score, how much may be given back for fewer moves. */
const given_back = 0.05;

/**
 * Leaves the table as it is after the plan.
 * @param nodes of one group, ascending
 */
export function searchBalance(
  table: Table,
  nodes: readonly number[],
  options: BalanceOptions,
  time: SearchTime,
): SearchedPlan {
  const origin = cloneTable(table);
  const instances = movableOn(table, nodes, options);
  const initial = clusterScore(table, nodes);
  const greedy = [...balance(table, nodes, options)];
  const greedy_score = greedy.at(-1)?.score ?? initial;
  const begun_ms = time.now_ms();
  const random = randomFrom(time.seed);
  const search = { rules: options, instances, random, home: origin, least_gain: copyGain(greedy_score) };
  const spent = (): number => (time.now_ms() - begun_ms) / time.budget_ms;
  // First downhill only: such moves are a plan as they are.
  const moves: Move[] = [];
  const lower = cloneTable(table);
  anneal(lower, nodes, {
    ...search,
    progress: () => spent() / descent_share,
    descend: (move) => void moves.push(move),
  });
  const best = anneal(cloneTable(lower), nodes, {
    ...search,
    progress: () => (spent() - descent_share) / (1 - descent_share),
  });
  const order = [...new Set([...greedy.map(({ instance }) => instance), ...instances])];
  const task = { nodes, order, options };
  const plans = [
    leadingTo({ ...task, origin, before: [] }, best, greedy_score),
    // Ways that are open to the greedy plan's end only, and not to the beginning.
    leadingTo({ ...task, origin: table, before: greedy }, best, greedy_score),
    replay({ ...task, origin: table, before: greedy }, moves),
  ];
  const found = plans.reduce<Plan | null>((least, plan) => (better(plan, least) ? plan : least), null);
  if (found === null || found.score >= greedy_score - least_gain) {
    return { steps: greedy, greedy_score, greedy_steps: greedy.length };
  }
  const steps = shortenPlan(origin, nodes, found.steps, options);
  copyTable(origin, table);
  for (const { instance, kind, target } of steps) {
    tryMove(table, instance, kind, target, options.ignore_soft_errors);
  }
  forget(table);
  return { steps, greedy_score, greedy_steps: greedy.length };
}

/** The first one unless the other is clearly lower: what comes later has more steps. */
function better(plan: Plan | null, least: Plan | null): boolean {
  if (plan === null) return false;
  return least === null || plan.score < least.score - least_gain;
}

function copyGain(greedy_score: number): number {
  return copy_gain * Math.min(1, greedy_score);
}

interface Task {
  readonly origin: Table;
  /** What leads from the beginning to there. */
  readonly before: readonly Step[];
  readonly nodes: readonly number[];
  /** Of the instances, in which they move. */
  readonly order: readonly number[];
  readonly options: BalanceOptions;
}

interface Plan {
  readonly steps: readonly Step[];
  /** As it is after them. */
  readonly table: Table;
  readonly score: number;
}

/** The best of the plans that lead to a placement or near it; null if none ends below a score. */
function leadingTo(task: Task, best: Placement, beyond: number): Plan | null {
  const { nodes, options } = task;
  const straight = planTo(task, best);
  const plans = [straight];
  if (straight.score < beyond - least_gain) {
    // Where some stay behind, the others may do with other places.
    const mended = cloneTable(straight.table);
    for (const step of balance(mended, nodes, { ...options, max_moves: -1 })) void step;
    returnHome(task, mended, given_back * Math.max(0, beyond - clusterScore(mended, nodes)));
    plans.push(planTo(task, mended));
  }
  const good = plans.filter(({ score }) => score < beyond - least_gain);
  return good.at(-1) ?? null;
}

function planTo(task: Task, wanted: Placement): Plan {
  const table = cloneTable(task.origin);
  const steps = planSteps(table, task.nodes, wanted, task.order, task.options);
  return cut(task, table, steps);
}

/** A plan from its steps and the table after them, or from as many of them as are allowed. */
function cut({ origin, before, nodes, options }: Task, table: Table, steps: readonly Step[]): Plan {
  const most = options.max_moves < 0 ? steps.length : Math.max(0, options.max_moves - before.length);
  if (steps.length > most) {
    copyTable(origin, table);
    for (const { instance, kind, target } of steps.slice(0, most)) {
      tryMove(table, instance, kind, target, options.ignore_soft_errors);
    }
    forget(table);
  }
  return { steps: [...before, ...steps.slice(0, most)], table, score: clusterScore(table, nodes) };
}

/** A plan of moves that were made one after the other. */
function replay(task: Task, moves: readonly Move[]): Plan {
  const { origin, nodes, options } = task;
  const table = cloneTable(origin);
  const steps = moves.map(({ instance, kind, target }): Step => {
    const old_primary = table.primary[instance]!;
    const old_secondary = table.secondary[instance]!;
    tryMove(table, instance, kind, target, options.ignore_soft_errors);
    forget(table);
    return {
      ...{ instance, kind, target, old_primary, old_secondary },
      primary: table.primary[instance]!,
      secondary: table.secondary[instance]!,
      score: clusterScore(table, nodes),
    };
  });
  return cut(task, table, steps);
}

/** Has instances stay where they began after all, as long as that costs no more than so much of the score. */
function returnHome({ origin, nodes, order, options }: Task, table: Table, allowed: number): void {
  const limit = clusterScore(table, nodes) + allowed;
  const goHome = (instance: number): boolean =>
    moveTo(table, instance, origin.primary[instance]!, origin.secondary[instance]!, options) !== null;
  const away: (readonly [instance: number, score: number])[] = [];
  for (const instance of order) {
    const start = mark(table);
    if (
      origin.primary[instance] === table.primary[instance] &&
      origin.secondary[instance] === table.secondary[instance]
    ) {
      continue;
    }
    if (goHome(instance)) away.push([instance, clusterScore(table, nodes)]);
    undoTo(table, start);
  }
  away.sort(([, one], [, other]) => one - other);
  for (const [instance] of away) {
    const start = mark(table);
    if (!goHome(instance) || clusterScore(table, nodes) > limit) undoTo(table, start);
  }
  forget(table);
}
