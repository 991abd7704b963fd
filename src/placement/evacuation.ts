/**
 * Clearing nodes on trial: instances go to the first node that holds them, step by step, and back again when one does
 * not fit. What the limits are is `table`'s, and, for what Skein's own rules say, `rules`'. Soft limits do not count:
 * nodes are cleared for a while only.
 */
import { allBreaches, type Breaches, breaksMore } from './rule-breaches.ts';
import { boundTo, type PlacementRules, placed, removed } from './rules.ts';
import {
  addPrimary,
  addSecondary,
  cloneTable,
  commonLocations,
  FITS,
  mark,
  primaryFailure,
  removePrimary,
  removeSecondary,
  secondaryFailure,
  type Table,
  undoTo,
} from './table.ts';

/** A cluster in which instances are moved on trial. */
export interface Trial {
  readonly table: Table;
  /** null: nobody asked for anything. */
  readonly rules: PlacementRules | null;
  /** Hard rules that were broken at first. */
  readonly broken_before: Breaches;
  /** Of each node, what was put there last first. Reservations are not in it. */
  readonly primaries: readonly number[][];
  readonly secondaries: readonly number[][];
  readonly steps: Step[];
}

/** Where an instance was, and at which places of its nodes' lists. */
interface Step {
  readonly instance: number;
  readonly primary: number;
  readonly secondary: number;
  readonly primary_at: number;
  readonly secondary_at: number;
  /** The table's. */
  readonly mark: number;
}

/** Where instances may go. */
export interface Targets {
  /** In the order in which they are tried. */
  readonly nodes: readonly number[];
  /** By node, 1: not there after all. Cleared nodes are, for as long as the trial goes on. */
  readonly away: Uint8Array;
}

/** @param rules are changed by the trial, and as they were once everything is {@link undo}ne; the table never is */
export function openTrial(table: Table, rules: PlacementRules | null): Trial {
  const own = cloneTable(table);
  const own_rules = rules === null || rules.empty ? null : rules;
  const lists = (of: Int32Array): number[][] => {
    const by_node: number[][] = Array.from({ length: own.node_count }, () => []);
    for (let i = of.length - 1; i >= 0; i--)
      if (of[i]! >= 0 && !own.demands[i]!.forthcoming) by_node[of[i]!]!.push(i);
    return by_node;
  };
  return {
    table: own,
    rules: own_rules,
    broken_before: own_rules === null ? new Map() : allBreaches(own_rules),
    primaries: lists(own.primary),
    secondaries: lists(own.secondary),
    steps: [],
  };
}

/** Puts everything back that was moved since there were `to` steps. */
export function undo(trial: Trial, to: number): void {
  const { table, steps, rules } = trial;
  while (steps.length > to) {
    const step = steps.pop()!;
    const { instance } = step;
    const [primary, secondary] = [table.primary[instance]!, table.secondary[instance]!];
    undoTo(table, step.mark);
    if (primary !== step.primary) {
      trial.primaries[primary]!.shift();
      trial.primaries[step.primary]!.splice(step.primary_at, 0, instance);
    }
    if (secondary !== step.secondary) {
      trial.secondaries[secondary]!.shift();
      trial.secondaries[step.secondary]!.splice(step.secondary_at, 0, instance);
    }
    table.primary[instance] = step.primary;
    table.secondary[instance] = step.secondary;
    if (rules !== null) placed(rules, instance, step.primary, step.secondary);
  }
}

/**
 * Moves the instances without a secondary off a node, each to the first target with room for it. All or none.
 * @returns whether there was room for all
 */
export function clearNonRedundant(trial: Trial, node: number, targets: Targets): boolean {
  const { table } = trial;
  const before = trial.steps.length;
  const waiting = trial.primaries[node]!.filter((instance) => table.secondary[instance]! < 0);
  const done = new Set<number>();
  for (const instance of waiting) {
    if (done.has(instance)) continue;
    // Those that must stay together leave together.
    const unit =
      trial.rules === null
        ? [instance]
        : [
            instance,
            ...boundTo(trial.rules, instance).filter((one) => one !== instance && waiting.includes(one)),
          ];
    for (const each of unit) done.add(each);
    if (firstOf(targets, node, (target) => moveAll(trial, unit, target))) continue;
    undo(trial, before);
    return false;
  }
  return true;
}

/** Moves the instances with a secondary off a node, each to its secondary. All or none. */
export function migrateOff(trial: Trial, node: number): boolean {
  const { table } = trial;
  const before = trial.steps.length;
  for (const instance of trial.primaries[node]!.filter((one) => table.secondary[one]! >= 0)) {
    if (change(trial, instance, table.secondary[instance]!, node)) continue;
    undo(trial, before);
    return false;
  }
  return true;
}

/** Moves the secondaries off a node, each to the first target with room for it. All or none. */
export function clearSecondaries(trial: Trial, node: number, targets: Targets): boolean {
  const { table } = trial;
  const before = trial.steps.length;
  for (const instance of [...trial.secondaries[node]!]) {
    const primary = table.primary[instance]!;
    if (firstOf(targets, node, (target) => target !== primary && change(trial, instance, primary, target)))
      continue;
    undo(trial, before);
    return false;
  }
  return true;
}

function firstOf({ nodes, away }: Targets, node: number, takes: (target: number) => boolean): boolean {
  for (const target of nodes) if (target !== node && away[target] === 0 && takes(target)) return true;
  return false;
}

function moveAll(trial: Trial, unit: readonly number[], target: number): boolean {
  const before = trial.steps.length;
  if (unit.length > 1) for (const instance of unit) removed(trial.rules!, instance);
  if (unit.every((instance) => change(trial, instance, target, -1))) return true;
  undo(trial, before);
  if (unit.length > 1)
    for (const instance of unit) placed(trial.rules!, instance, trial.table.primary[instance]!, -1);
  return false;
}

/** Gives an instance other nodes if they have room for it, or the roles of its two nodes to each other. */
function change(trial: Trial, instance: number, primary: number, secondary: number): boolean {
  const { table, rules } = trial;
  const demand = table.demands[instance]!;
  const [old_primary, old_secondary] = [table.primary[instance]!, table.secondary[instance]!];
  const swaps = primary === old_secondary;
  // A node has to be cleared even of those whose rules are broken already; nothing else must be broken.
  const breaks =
    rules !== null && !swaps && breaksMore(rules, trial.broken_before, instance, primary, secondary);
  if (breaks) return false;
  // Only the node that is new to a role has to have room for it; most do not, and are found out without any change.
  if (!swaps && primary !== old_primary && primaryFailure(table, primary, demand, true) !== FITS)
    return false;
  if (!swaps && secondary !== old_secondary) {
    if (secondaryFailure(table, secondary, demand, primary, true) !== FITS) return false;
  }
  const from = mark(table);
  const common = commonLocations(table, old_primary, old_secondary);
  removePrimary(table, old_primary, demand, common);
  if (old_secondary >= 0) removeSecondary(table, old_secondary, demand, old_primary);
  const fits =
    !swaps ||
    (primaryFailure(table, primary, demand, true) === FITS &&
      secondaryFailure(table, secondary, demand, primary, true) === FITS);
  if (!fits) {
    undoTo(table, from);
    return false;
  }
  addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) addSecondary(table, secondary, demand, primary);
  trial.steps.push({
    instance,
    primary: old_primary,
    secondary: old_secondary,
    primary_at: relist(trial.primaries, instance, old_primary, primary),
    secondary_at: relist(trial.secondaries, instance, old_secondary, secondary),
    mark: from,
  });
  table.primary[instance] = primary;
  table.secondary[instance] = secondary;
  if (rules !== null) placed(rules, instance, primary, secondary);
  return true;
}

/** From one node's list to the head of another's. @returns where it was */
function relist(lists: readonly number[][], instance: number, from: number, to: number): number {
  if (from === to) return -1;
  const at = lists[from]!.indexOf(instance);
  lists[from]!.splice(at, 1);
  lists[to]!.unshift(instance);
  return at;
}
