/**
 * From one placement of a cluster to another, step by step, so that no step breaks a rule in the state that those before
 * it left. An instance takes one step, or two where both of its nodes change; none if it ends where it began. Where
 * instances wait for each other's places, one of them makes a step more, out of the way.
 *
 * What cannot be reached all the same stays where it is: the end is then another than was asked for.
 */
import type { Placement } from './annealing.ts';
import type { Step } from './balance.ts';
import { kindAllowed, moveTo } from './move-kinds.ts';
import type { MoveRules } from './move-search.ts';
import {
  FAILOVER,
  FAILOVER_TO_ANY,
  type MoveKind,
  REPLACE_AND_FAILOVER,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import { clusterScore } from './score.ts';
import { FITS, forget, mark, type Table, undoTo } from './table.ts';

/**
 * Makes the steps in the table, and answers them.
 * @param order instances, the first to move first; others do not move
 */
export function planSteps(
  table: Table,
  nodes: readonly number[],
  wanted: Placement,
  order: readonly number[],
  rules: MoveRules,
): readonly Step[] {
  const plan: Plan = { table, nodes, wanted, rules, steps: [], tries: 0 };
  let waiting = order.filter((instance) => !isThere(table, instance, wanted));
  while (waiting.length > 0) {
    const before = plan.steps.length;
    // Each one that moves may make room for another.
    for (const instance of waiting) stepTowards(plan, instance);
    waiting = waiting.filter((instance) => !isThere(table, instance, wanted));
    if (plan.steps.length === before && !makeRoom(plan, waiting)) break;
  }
  return plan.steps;
}

interface Plan {
  readonly table: Table;
  readonly nodes: readonly number[];
  readonly wanted: Placement;
  readonly rules: MoveRules;
  readonly steps: Step[];
  /** Of making room. */
  tries: number;
}

/** Looking for room ends there: what is not there by then stays behind. */
const most_tries = 100_000;

/** Moves one of those that are stuck out of the way, so that another of them gets on. False: no such move was found. */
function makeRoom(plan: Plan, stuck: readonly number[]): boolean {
  const { table, nodes, rules } = plan;
  const online = nodes.filter((node) => table.offline[node] === 0);
  for (const instance of stuck) {
    const from = [table.primary[instance]!, table.secondary[instance]!] as const;
    for (const kind of parking_kinds) {
      if (!kindAllowed(table, instance, kind, rules)) continue;
      for (const target of kind === FAILOVER ? [-1] : online) {
        if (from.includes(target) && target >= 0) continue;
        if (++plan.tries > most_tries) return false;
        const start = mark(table);
        if (tryMove(table, instance, kind, target, rules.ignore_soft_errors) !== FITS) continue;
        const parked = stepMade(plan, instance, from, { kind, target });
        const others = stuck.filter((other) => other !== instance);
        if (others.some((other) => stepTowards(plan, other, parked))) return true;
        undoTo(table, start);
      }
    }
  }
  return false;
}

const parking_kinds: readonly MoveKind[] = [
  FAILOVER,
  FAILOVER_TO_ANY,
  REPLACE_SECONDARY,
  REPLACE_AND_FAILOVER,
];

function isThere(table: Table, instance: number, wanted: Placement): boolean {
  return (
    table.primary[instance] === wanted.primary[instance] &&
    table.secondary[instance] === wanted.secondary[instance]
  );
}

/**
 * One step of an instance, if there is one.
 * @param before a step that was made in the table already, and counts if this one is made
 */
function stepTowards(plan: Plan, instance: number, before?: Step): boolean {
  const { table, wanted, rules } = plan;
  const from = [table.primary[instance]!, table.secondary[instance]!] as const;
  const to = [wanted.primary[instance]!, wanted.secondary[instance]!] as const;
  let move = moveTo(table, instance, ...to, rules);
  if (move === null && from[1] >= 0 && !to.some((node) => from.includes(node))) {
    // Both nodes are new: one of them first, from which the other is one more step.
    for (const half of [
      [to[0], from[0]],
      [from[0], to[1]],
      [to[0], from[1]],
      [from[1], to[1]],
    ] as const) {
      move ??= moveTo(table, instance, ...half, rules);
    }
  }
  if (move === null) return false;
  if (before !== undefined) plan.steps.push(before);
  plan.steps.push(stepMade(plan, instance, from, move));
  forget(table);
  return true;
}

function stepMade(
  { table, nodes }: Plan,
  instance: number,
  [old_primary, old_secondary]: readonly [number, number],
  move: { readonly kind: MoveKind; readonly target: number },
): Step {
  return {
    ...{ instance, ...move, old_primary, old_secondary },
    primary: table.primary[instance]!,
    secondary: table.secondary[instance]!,
    score: clusterScore(table, nodes),
  };
}
