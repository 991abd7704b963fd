/**
 * Groups of nodes by the room that there is elsewhere for what has to leave them: found by moving it there on trial.
 */
import {
  clearNonRedundant,
  clearSecondaries,
  migrateOff,
  openTrial,
  type Targets,
  type Trial,
  undo,
} from './evacuation.ts';
import type { Graph } from './graph-colour.ts';
import type { PlacementRules } from './rules.ts';
import type { Table } from './table.ts';

/** What has to leave a node before it is rebooted. */
export interface ClearingOptions {
  /** Secondaries leave, too. */
  readonly full_evacuation: boolean;
  /** What to do with instances that have no secondary: find room for them, leave out their nodes, or let them be. */
  readonly non_redundant: 'move' | 'skip' | 'ignore';
  /** Skein's own rules, for where instances may go; null: none. */
  readonly rules: PlacementRules | null;
}

/** Where an instance is while its group is rebooted, if it is not merely the two nodes' roles that change. */
export interface EvacuationMove {
  readonly instance: number;
  readonly primary: number;
  /** -1: none. */
  readonly secondary: number;
}

export interface RebootGroup {
  /** By index, ascending; but a master comes last. */
  readonly nodes: readonly number[];
  readonly moves: readonly EvacuationMove[];
}

export type RebootFailure =
  /** Nothing is selected. */
  | 'no-nodes'
  /** No room for instances without a secondary. */
  | 'non-redundant'
  /** No room for instances on their secondaries. */
  | 'migrate'
  /** No room for secondaries. */
  | 'secondaries';

export type FoundGroups = { readonly groups: readonly RebootGroup[] } | { readonly failure: RebootFailure };

export interface Clearing {
  readonly trial: Trial;
  readonly options: ClearingOptions;
  /** By group of nodes: those that are there. */
  readonly targets: readonly (readonly number[])[];
}

export function openClearing(table: Table, options: ClearingOptions): Clearing {
  return { trial: openTrial(table, options.rules), options, targets: onlineByGroup(table) };
}

function onlineByGroup(table: Table): readonly (readonly number[])[] {
  const { groups, nodes } = table.cluster;
  const online: number[][] = groups.map(() => []);
  nodes.forEach(({ group }, at) => {
    if (table.offline[at] === 0) online[group]!.push(at);
  });
  return online;
}

type Clear = (trial: Trial, node: number, targets: Targets) => boolean;

/** Clears what can be cleared at the same time, the first first. @returns which nodes; the trial is left as it is then */
function clearGreedily(
  { trial, targets }: Clearing,
  nodes: readonly number[],
  clear: Clear,
): readonly number[] {
  const away = new Uint8Array(trial.table.node_count);
  return nodes.filter((node) => {
    const group = trial.table.cluster.nodes[node]!.group;
    if (!clear(trial, node, { nodes: targets[group]!, away })) return false;
    away[node] = 1;
    return true;
  });
}

/**
 * As hroller does it: each class is split by the room there is for one kind of instance, then for the next. The order
 * of failures is hroller's too: first of all classes the one kind, then the next.
 */
export function splitByRoom(clearing: Clearing, classes: readonly (readonly number[])[]): FoundGroups {
  const { trial, options } = clearing;
  const groups: RebootGroup[] = [];
  let failure: RebootFailure | null = null;
  const failed = (kind: RebootFailure): void => {
    if (failure === null || failure_order.indexOf(kind) < failure_order.indexOf(failure)) failure = kind;
  };
  const whole: Clear = () => true;
  for (const nodes of classes) {
    const redundant = options.non_redundant === 'move' ? clearNonRedundant : whole;
    split(clearing, nodes, redundant, 'non-redundant', failed, (part) => {
      if (!options.full_evacuation) {
        groups.push({ nodes: part, moves: movesOf(trial) });
      } else if (!part.every((node) => migrateOff(trial, node))) {
        failed('migrate');
      } else {
        split(clearing, part, clearSecondaries, 'secondaries', failed, (smaller) => {
          groups.push({ nodes: smaller, moves: movesOf(trial) });
        });
      }
    });
  }
  return failure === null ? { groups } : { failure };
}

const failure_order: readonly RebootFailure[] = ['no-nodes', 'non-redundant', 'migrate', 'secondaries'];

/** Calls `each` with parts of the nodes while they are cleared; all are put back in the end. */
function split(
  clearing: Clearing,
  nodes: readonly number[],
  clear: Clear,
  kind: RebootFailure,
  failed: (kind: RebootFailure) => void,
  each: (part: readonly number[]) => void,
): void {
  const before = clearing.trial.steps.length;
  let remaining = nodes;
  while (remaining.length > 0) {
    const part = clearGreedily(clearing, remaining, clear);
    if (part.length === 0) {
      failed(kind);
      return;
    }
    each(part);
    undo(clearing.trial, before);
    remaining = remaining.filter((node) => !part.includes(node));
  }
}

/** Fills one group after the other with all that fits, in the order given. */
export function packGroups(clearing: Clearing, joined: Joined, order: readonly number[]): FoundGroups {
  const { trial, options } = clearing;
  const groups: RebootGroup[] = [];
  let remaining = order;
  while (remaining.length > 0) {
    let failure: RebootFailure = 'non-redundant';
    const members: number[] = [];
    clearGreedily(clearing, remaining, (_, node, targets) => {
      if (members.some((member) => joined(member, node))) return false;
      const before = trial.steps.length;
      const refused = clearWholly(trial, node, targets, options);
      if (refused === null) members.push(node);
      else {
        failure = refused;
        undo(trial, before);
      }
      return refused === null;
    });
    if (members.length === 0) return { failure };
    groups.push({ nodes: members.sort((a, b) => a - b), moves: movesOf(trial) });
    undo(trial, 0);
    remaining = remaining.filter((node) => !members.includes(node));
  }
  return { groups };
}

function clearWholly(
  trial: Trial,
  node: number,
  targets: Targets,
  options: ClearingOptions,
): RebootFailure | null {
  if (options.non_redundant === 'move' && !clearNonRedundant(trial, node, targets)) return 'non-redundant';
  if (!options.full_evacuation) return null;
  if (!migrateOff(trial, node)) return 'migrate';
  return clearSecondaries(trial, node, targets) ? null : 'secondaries';
}

/** Whether two nodes cannot be away at the same time. */
export type Joined = (a: number, b: number) => boolean;

export function adjacency({ size, start, neighbours }: Graph, first: number): Joined {
  const joined = new Uint8Array(size * size);
  for (let v = 0; v < size; v++)
    for (let at = start[v]!; at < start[v + 1]!; at++) joined[v * size + neighbours[at]!] = 1;
  return (a, b) => joined[(a - first) * size + b - first] === 1;
}

/**
 * What is elsewhere now, but for roles that have changed. Where a group was split for want of room for secondaries, that
 * is also what was on the others of that group: the room that it left may be taken by now.
 */
function movesOf({ table }: Trial): readonly EvacuationMove[] {
  const moves: EvacuationMove[] = [];
  table.cluster.instances.forEach((was, instance) => {
    const [primary, secondary] = [table.primary[instance]!, table.secondary[instance]!];
    if (primary === was.primary && secondary === was.secondary) return;
    if (primary === was.secondary && secondary === was.primary) return;
    moves.push({ instance, primary, secondary });
  });
  return moves;
}
