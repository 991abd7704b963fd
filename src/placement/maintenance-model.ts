/**
 * A cluster in the course of a maintenance: who is where by now, what that does to its balance, and where an instance
 * would best go next. Changes only its own copy of the table; the rules given to it become its own.
 */
import { failureName } from './cluster.ts';
import { allBreaches, type Breaches, breaksMore } from './rule-breaches.ts';
import { ruleFailures } from './rule-failures.ts';
import { type PlacementRules, penalty, placed, removed } from './rules.ts';
import { clusterScore, currentScore, enter, leave, openScore, type RunningScore } from './score.ts';
import {
  addPrimary,
  addSecondary,
  cloneTable,
  commonLocations,
  FAILS_N1,
  FITS,
  failureOf,
  forget,
  mark,
  mayMigrate,
  NO_MIGRATION,
  place,
  primaryFailure,
  removePrimary,
  removeSecondary,
  STRIDE,
  secondaryFailure,
  type Table,
  undoTo,
} from './table.ts';

/** What a maintenance does to the rest of the cluster. */
export interface PredictedLoad {
  /** As hbal has it, of the nodes that are there; lower is better. null: none is. */
  readonly score: number | null;
  /** Nodes that could not take over from some other one. */
  readonly n1_failures: number;
}

export interface MaintenanceModel {
  readonly table: Table;
  readonly rules: PlacementRules | null;
  /** Hard rules that were broken at first. */
  readonly broken_before: Breaches;
  readonly nodes: readonly number[];
}

/** What an instance finds at a node: null, or why it cannot be there. */
export type Refusal = string | null;

export function maintenanceModel(table: Table, rules: PlacementRules | null): MaintenanceModel {
  const own = cloneTable(table);
  return {
    table: { ...own, offline: own.offline.slice() },
    rules: rules === null || rules.empty ? null : rules,
    broken_before: rules === null || rules.empty ? new Map() : allBreaches(rules),
    nodes: own.cluster.nodes.map((_, at) => at),
  };
}

export function predictedLoad({ table, nodes }: MaintenanceModel): PredictedLoad {
  const online = nodes.filter((node) => table.offline[node] === 0);
  const n1_failures = online.filter((node) => table.state[node * STRIDE + FAILS_N1] === 1).length;
  return { score: online.length === 0 ? null : clusterScore(table, nodes), n1_failures };
}

/** The nodes are there no more, or again. */
export function setAway({ table }: MaintenanceModel, nodes: readonly number[], away: boolean): void {
  for (const node of nodes) table.offline[node] = away ? 1 : 0;
}

/** They are on their way: none of them is in another's way. */
export function takeOff({ rules }: MaintenanceModel, instances: readonly number[]): void {
  if (rules !== null) for (const instance of instances) removed(rules, instance);
}

/** The instance is where the table has it, after all. */
export function putBack({ rules, table }: MaintenanceModel, instance: number): void {
  if (rules !== null) placed(rules, instance, table.primary[instance]!, table.secondary[instance]!);
}

/** The instance is there from now on; there was room, or it was there before. */
export function relocate(
  { table, rules }: MaintenanceModel,
  instance: number,
  primary: number,
  secondary: number,
): void {
  takeOut(table, instance);
  const demand = table.demands[instance]!;
  addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) addSecondary(table, secondary, demand, primary);
  place(table, instance, primary, secondary);
  forget(table);
  if (rules !== null) placed(rules, instance, primary, secondary);
}

/**
 * Why the primary and the secondary of an instance cannot change roles. Soft limits do not count.
 * @param live whether it goes on running meanwhile
 */
export function swapRefusal(model: MaintenanceModel, instance: number, live: boolean): Refusal {
  const { table } = model;
  const demand = table.demands[instance]!;
  const [primary, secondary] = [table.primary[instance]!, table.secondary[instance]!];
  if (table.offline[secondary] === 1) return `its secondary ${nameOf(table, secondary)} is offline`;
  if (live && !mayMigrate(table, primary, secondary)) return refused(table, secondary, NO_MIGRATION);
  const before = mark(table);
  takeOut(table, instance);
  const failure = primaryFailure(table, secondary, demand, true);
  undoTo(table, before);
  if (failure !== FITS) return refused(table, secondary, failure);
  return ruleRefusal(model, instance, secondary, primary);
}

/** Why an instance without a secondary cannot go to a node. Soft limits do not count. */
export function moveRefusal(model: MaintenanceModel, instance: number, node: number, live: boolean): Refusal {
  const { table } = model;
  if (live && !mayMigrate(table, table.primary[instance]!, node)) return refused(table, node, NO_MIGRATION);
  const failure = primaryFailure(table, node, table.demands[instance]!, true);
  return failure === FITS ? ruleRefusal(model, instance, node, -1) : refused(table, node, failure);
}

/**
 * The node where an instance without a secondary adds least to the score, among those of its own group that have room;
 * one that keeps all soft limits, too, if there is any.
 * @param away nodes that will not do
 */
export function bestNode(
  model: MaintenanceModel,
  instance: number,
  away: ReadonlySet<number>,
  live: boolean,
): number | { readonly refused: string } {
  const { table } = model;
  const primary = table.primary[instance]!;
  return best(
    model,
    instance,
    away,
    (node, force) => {
      if (live && !mayMigrate(table, primary, node)) return NO_MIGRATION;
      return primaryFailure(table, node, table.demands[instance]!, force);
    },
    (node) => ({ primary: node, secondary: -1 }),
  );
}

/** The node where the second copy of an instance adds least to the score. */
export function bestSecondary(
  model: MaintenanceModel,
  instance: number,
  away: ReadonlySet<number>,
): number | { readonly refused: string } {
  const { table } = model;
  const primary = table.primary[instance]!;
  return best(
    model,
    instance,
    new Set([...away, primary]),
    (node, force) => secondaryFailure(table, node, table.demands[instance]!, primary, force),
    (node) => ({ primary, secondary: node }),
  );
}

function best(
  model: MaintenanceModel,
  instance: number,
  away: ReadonlySet<number>,
  failureAt: (node: number, force: boolean) => number,
  nodesWith: (node: number) => { readonly primary: number; readonly secondary: number },
): number | { readonly refused: string } {
  const { table, nodes, rules } = model;
  const { cluster } = table;
  const old_primary = table.primary[instance]!;
  const group = cluster.nodes[old_primary]!.group;
  const candidates = nodes.filter(
    (node) => table.offline[node] === 0 && !away.has(node) && cluster.nodes[node]!.group === group,
  );
  const start = mark(table);
  takeOut(table, instance);
  const score = openScore(table, nodes);
  const reasons = new Map<string, number>();
  const missed = (why: string): void => {
    reasons.set(why, (reasons.get(why) ?? 0) + 1);
  };
  let chosen = -1;
  for (const force of [false, true]) {
    let least = Number.POSITIVE_INFINITY;
    for (const node of candidates) {
      const { primary, secondary } = nodesWith(node);
      const failure = failureAt(node, force);
      if (failure !== FITS) {
        if (force) missed(failureName[failureOf(failure)]);
        continue;
      }
      if (rules !== null && breaksMore(rules, model.broken_before, instance, primary, secondary)) {
        if (force) missed('its rules');
        continue;
      }
      const cost =
        scoreWith(table, score, instance, primary, secondary) +
        (rules === null ? 0 : penalty(rules, instance, primary, secondary));
      if (cost < least || (chosen < 0 && Number.isNaN(cost))) {
        least = cost;
        chosen = node;
      }
    }
    if (chosen >= 0) break;
  }
  undoTo(table, start);
  if (chosen >= 0) return chosen;
  const listed = [...reasons].map(([why, count]) => `${why}: ${count}`).join(', ');
  return {
    refused: candidates.length === 0 ? 'no other node of its group is there' : `no node has room (${listed})`,
  };
}

/** The score with an instance there that is nowhere now. */
function scoreWith(
  table: Table,
  score: RunningScore,
  instance: number,
  primary: number,
  secondary: number,
): number {
  const demand = table.demands[instance]!;
  const touched = secondary < 0 ? [primary] : [primary, secondary];
  const before = mark(table);
  for (const node of touched) leave(score, table, node);
  addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) addSecondary(table, secondary, demand, primary);
  for (const node of touched) enter(score, table, node);
  const with_it = currentScore(score);
  for (const node of touched) leave(score, table, node);
  undoTo(table, before);
  for (const node of touched) enter(score, table, node);
  return with_it;
}

function takeOut(table: Table, instance: number): void {
  const demand = table.demands[instance]!;
  const [primary, secondary] = [table.primary[instance]!, table.secondary[instance]!];
  removePrimary(table, primary, demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) removeSecondary(table, secondary, demand, primary);
}

function ruleRefusal(
  { rules, broken_before }: MaintenanceModel,
  instance: number,
  primary: number,
  secondary: number,
): Refusal {
  if (rules === null || !breaksMore(rules, broken_before, instance, primary, secondary)) return null;
  return ruleFailures(rules, instance, primary, secondary)[0]!.text;
}

function refused(table: Table, node: number, failure: number): string {
  return `${nameOf(table, node)} has no room (${failureName[failureOf(failure)]})`;
}

function nameOf(table: Table, node: number): string {
  return table.cluster.nodes[node]!.name;
}
