/**
 * Groups of nodes that can be rebooted together, in as few groups as can be found, with where their instances go
 * meanwhile. After each group everything is taken to be back where it was.
 *
 * What hroller does is done first, with its ties, so that where it is as good as anything its groups come out; only
 * where fewer groups are found in another way are these taken. No group holds two nodes that the graph joins, and for
 * each group there is room elsewhere for all that has to leave it.
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
import {
  type Colouring,
  colourClasses,
  colourCount,
  colourDcolor,
  colourDsatur,
  colourLargestFirst,
  type Graph,
  reduceColours,
  reordered,
} from './graph-colour.ts';
import { type RebootGraph, rebootGraph } from './reboot-graph.ts';
import type { PlacementRules } from './rules.ts';
import type { Table } from './table.ts';

export interface RebootOptions {
  /** Index of the only group to look at; null: all. */
  readonly group: number | null;
  /** Only nodes with one of these; null: all. */
  readonly node_tags: readonly string[] | null;
  /** Instances are shut down before, not moved away. */
  readonly offline_maintenance: boolean;
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

export interface NamedColouring {
  readonly name: string;
  readonly colours: Colouring;
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

/** With the graph, and hroller's colourings of it, for whoever wants to see them; null: there are no nodes. */
export type RebootResult =
  /** The largest group first; but the one with the master comes last. */
  | {
      readonly groups: readonly RebootGroup[];
      readonly graph: RebootGraph;
      readonly colourings: readonly NamedColouring[];
    }
  | { readonly failure: RebootFailure; readonly graph: RebootGraph | null };

/** Passes of the search for fewer groups: beyond these hardly anything is found. */
const colouring_passes = 80;
const packing_passes = 8;

export function rebootGroups(table: Table, options: RebootOptions): RebootResult {
  const selected = selectedNodes(table, options);
  if (selected.length === 0) return { failure: 'no-nodes', graph: null };
  const conflicts = rebootGraph(table, selected, !options.offline_maintenance);
  const colourings: readonly NamedColouring[] = [
    { name: 'LF', colours: colourLargestFirst(conflicts.graph) },
    { name: 'Dsatur', colours: colourDsatur(conflicts.graph) },
    { name: 'Dcolor', colours: colourDcolor(conflicts.graph) },
  ];
  const found = fewestGroups(table, options, selected, conflicts, smallest(colourings));
  if ('failure' in found) return { failure: found.failure, graph: conflicts };
  return { groups: inOrder(table, found.groups), graph: conflicts, colourings };
}

function selectedNodes(table: Table, options: RebootOptions): readonly number[] {
  const { nodes } = table.cluster;
  const hosts_non_redundant = new Set<number>();
  table.primary.forEach((node, i) => {
    if (table.secondary[i]! < 0 && !table.demands[i]!.forthcoming) hosts_non_redundant.add(node);
  });
  const tags = options.node_tags === null ? null : new Set(options.node_tags);
  return nodes.flatMap((node, at) =>
    table.offline[at] === 0 &&
    (options.group === null || node.group === options.group) &&
    (tags === null || node.tags.some((tag) => tags.has(tag))) &&
    (options.non_redundant !== 'skip' || !hosts_non_redundant.has(at))
      ? [at]
      : [],
  );
}

/** The first of those with fewest colours. */
function smallest(colourings: readonly NamedColouring[]): Colouring {
  return colourings.map(({ colours }) => colours).reduce((a, b) => (colourCount(b) < colourCount(a) ? b : a));
}

type Found = { readonly groups: readonly RebootGroup[] } | { readonly failure: RebootFailure };

function fewestGroups(
  table: Table,
  options: RebootOptions,
  selected: readonly number[],
  { graph, first }: RebootGraph,
  theirs: Colouring,
): Found {
  const is_selected = new Set(selected);
  const classesOf = (colours: Colouring): readonly (readonly number[])[] =>
    colourClasses(colours)
      .map((vertices) => vertices.map((vertex) => vertex + first).filter((node) => is_selected.has(node)))
      .filter((nodes) => nodes.length > 0);
  const clearing: Clearing = {
    trial: openTrial(table, options.rules),
    options,
    targets: onlineByGroup(table),
  };
  let best = splitByRoom(clearing, classesOf(theirs));
  const fewer = reduceColours(graph, theirs, colouring_passes);
  const least = colourCount(fewer);
  if (fewer !== theirs) best = fewest(best, splitByRoom(clearing, classesOf(fewer)));
  if (options.non_redundant !== 'move' && !options.full_evacuation) return best;
  // Groups that were split for want of room leave gaps that nodes of other colours fit into.
  const joined = adjacency(graph, first);
  let order = 'groups' in best ? best.groups.map(({ nodes }) => nodes) : classesOf(fewer);
  for (let pass = 0; pass < packing_passes; pass++) {
    if ('groups' in best && best.groups.length <= least) break;
    const packed = packGroups(clearing, joined, order.flat());
    best = fewest(best, packed);
    if ('failure' in packed) break;
    order = reordered(
      packed.groups.map(({ nodes }) => nodes),
      pass,
    );
  }
  return best;
}

/** The first, unless the second has fewer groups. */
function fewest(first: Found, second: Found): Found {
  if ('failure' in second) return first;
  return 'failure' in first || second.groups.length < first.groups.length ? second : first;
}

interface Clearing {
  readonly trial: Trial;
  readonly options: RebootOptions;
  /** By group of nodes: those that are there. */
  readonly targets: readonly (readonly number[])[];
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
function splitByRoom(clearing: Clearing, classes: readonly (readonly number[])[]): Found {
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
function packGroups(clearing: Clearing, joined: Joined, order: readonly number[]): Found {
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
  options: RebootOptions,
): RebootFailure | null {
  if (options.non_redundant === 'move' && !clearNonRedundant(trial, node, targets)) return 'non-redundant';
  if (!options.full_evacuation) return null;
  if (!migrateOff(trial, node)) return 'migrate';
  return clearSecondaries(trial, node, targets) ? null : 'secondaries';
}

type Joined = (a: number, b: number) => boolean;

function adjacency({ size, start, neighbours }: Graph, first: number): Joined {
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

/** The largest first, of equal ones those found first; the master last of its group, and its group last of all. */
function inOrder(table: Table, groups: readonly RebootGroup[]): readonly RebootGroup[] {
  const isMaster = (node: number): boolean => table.cluster.nodes[node]!.master;
  const by_size = groups.toSorted((a, b) => b.nodes.length - a.nodes.length);
  const last = by_size.filter(({ nodes }) => nodes.some(isMaster));
  const others = by_size.filter((group) => !last.includes(group));
  return [
    ...others,
    ...last.map(({ nodes, moves }) => ({
      nodes: [...nodes.filter((node) => !isMaster(node)), ...nodes.filter(isMaster)],
      moves,
    })),
  ];
}
