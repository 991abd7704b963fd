/**
 * A plan without its detours: where an instance moves more than once, a stop on its way is left out if all that comes
 * after can still be done, so that no rule is broken in between. Where the plan ends stays the same.
 */
import type { Step } from './balance.ts';
import { moveTo } from './move-kinds.ts';
import type { MoveRules } from './move-search.ts';
import { clusterScore } from './score.ts';
import { cloneTable, forget, mark, type Table, undoTo } from './table.ts';

/** Where an instance is after a step. */
type Stop = Pick<Step, 'instance' | 'primary' | 'secondary'>;

/** Moves that are tried; what is left then stays as it is. */
const most_tries = 1_000_000;

/** @param origin where the plan begins; it is not changed */
export function shortenPlan(
  origin: Table,
  nodes: readonly number[],
  steps: readonly Step[],
  rules: MoveRules,
): readonly Step[] {
  const table = cloneTable(origin);
  const stops: Stop[] = [...steps];
  let tries = 0;
  /** Whether these can be done from the state that the table is in. */
  const possible = (rest: readonly Stop[]): boolean => {
    const start = mark(table);
    const done = rest.every((stop) => isThere(table, stop) || (++tries && go(table, stop, rules) !== null));
    undoTo(table, start);
    return done;
  };
  for (let at = 0; at < stops.length; ) {
    const stop = stops[at]!;
    const next = stops.findIndex(({ instance }, later) => later > at && instance === stop.instance);
    if (next > 0 && tries < most_tries) {
      const after = stops.slice(at + 1);
      const without_next = after.filter((_, place) => place !== next - at - 1);
      const sooner = [stops[next]!, ...without_next];
      const shorter = [after, sooner].find(possible);
      if (shorter !== undefined) {
        stops.splice(at, stops.length, ...shorter);
        continue;
      }
    }
    if (isThere(table, stop)) {
      stops.splice(at, 1);
      continue;
    }
    go(table, stop, rules);
    forget(table);
    at += 1;
  }
  return walk(origin, nodes, stops, rules);
}

function isThere(table: Table, { instance, primary, secondary }: Stop): boolean {
  return table.primary[instance] === primary && table.secondary[instance] === secondary;
}

function go(table: Table, { instance, primary, secondary }: Stop, rules: MoveRules) {
  return moveTo(table, instance, primary, secondary, rules);
}

/** The steps that lead to these stops. */
function walk(
  origin: Table,
  nodes: readonly number[],
  stops: readonly Stop[],
  rules: MoveRules,
): readonly Step[] {
  const table = cloneTable(origin);
  return stops.map((stop) => {
    const old_primary = table.primary[stop.instance]!;
    const old_secondary = table.secondary[stop.instance]!;
    const move = go(table, stop, rules);
    if (move === null) throw new Error(`a plan that cannot be carried out: instance ${stop.instance}`);
    forget(table);
    const { instance, primary, secondary } = stop;
    const after = { primary, secondary, score: clusterScore(table, nodes) };
    return { instance, ...move, old_primary, old_secondary, ...after };
  });
}
