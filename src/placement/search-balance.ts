/**
 * Balancing with time to think: the greedy plan, then a search for a better placement that goes on from its end, and a
 * plan that leads there from the beginning. The better of the two plans is the answer: never a worse one than greedy's.
 *
 * Pure: the clock is handed in, and what is drawn depends on the seed alone. The same clock readings give the same plan.
 */
import { anneal, type Placement } from './annealing.ts';
import { type BalanceOptions, balance, movableOn, type Step } from './balance.ts';
import { moveTo } from './move-kinds.ts';
import { tryMove } from './moves.ts';
import { planSteps } from './plan-steps.ts';
import { randomFrom } from './random.ts';
import { clusterScore } from './score.ts';
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
  const best = anneal(cloneTable(table), nodes, {
    ...{ rules: options, instances, random: randomFrom(time.seed), home: origin },
    least_gain: copy_gain * Math.min(1, greedy_score),
    progress: () => (time.now_ms() - begun_ms) / time.budget_ms,
  });
  const order = [...new Set([...greedy.map(({ instance }) => instance), ...instances])];
  const task = { nodes, order, options };
  const found =
    leadingTo({ ...task, origin, before: [] }, best, greedy_score) ??
    // Ways that are open to the greedy plan's end only, and not to the beginning.
    leadingTo({ ...task, origin: table, before: greedy }, best, greedy_score);
  if (found === null) return { steps: greedy, greedy_score, greedy_steps: greedy.length };
  copyTable(found.table, table);
  return { steps: found.steps, greedy_score, greedy_steps: greedy.length };
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

function planTo({ origin, before, nodes, order, options }: Task, wanted: Placement): Plan {
  const table = cloneTable(origin);
  const steps = planSteps(table, nodes, wanted, order, options);
  const most = options.max_moves < 0 ? steps.length : Math.max(0, options.max_moves - before.length);
  if (steps.length <= most) return { steps: [...before, ...steps], table, score: clusterScore(table, nodes) };
  const first = steps.slice(0, most);
  copyTable(origin, table);
  for (const { instance, kind, target } of first) {
    tryMove(table, instance, kind, target, options.ignore_soft_errors);
  }
  forget(table);
  return { steps: [...before, ...first], table, score: clusterScore(table, nodes) };
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
