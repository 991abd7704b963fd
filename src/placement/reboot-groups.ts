/**
 * Groups of nodes that can be rebooted together, in as few groups as can be found, with where their instances go
 * meanwhile. After each group everything is taken to be back where it was.
 *
 * What hroller does is done first, with its ties, so that where it is as good as anything its groups come out; only
 * where fewer groups are found in another way are these taken. No group holds two nodes that the graph joins, and for
 * each group there is room elsewhere for all that has to leave it.
 */
import {
  type Colouring,
  colourClasses,
  colourCount,
  colourDcolor,
  colourDsatur,
  colourLargestFirst,
  reduceColours,
  reordered,
} from './graph-colour.ts';
import { type RebootGraph, rebootGraph } from './reboot-graph.ts';
import {
  adjacency,
  type ClearingOptions,
  type FoundGroups,
  openClearing,
  packGroups,
  type RebootFailure,
  type RebootGroup,
  splitByRoom,
} from './reboot-room.ts';
import type { Table } from './table.ts';

export type { EvacuationMove, RebootFailure, RebootGroup } from './reboot-room.ts';

export interface RebootOptions extends ClearingOptions {
  /** Index of the only group to look at; null: all. */
  readonly group: number | null;
  /** Only nodes with one of these; null: all. */
  readonly node_tags: readonly string[] | null;
  /** Only these, by index; absent: all. */
  readonly only?: ReadonlySet<number>;
  /** Instances are shut down before, not moved away. */
  readonly offline_maintenance: boolean;
}

export interface NamedColouring {
  readonly name: string;
  readonly colours: Colouring;
}

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
    (options.only === undefined || options.only.has(at)) &&
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

function fewestGroups(
  table: Table,
  options: RebootOptions,
  selected: readonly number[],
  { graph, first }: RebootGraph,
  theirs: Colouring,
): FoundGroups {
  const is_selected = new Set(selected);
  const classesOf = (colours: Colouring): readonly (readonly number[])[] =>
    colourClasses(colours)
      .map((vertices) => vertices.map((vertex) => vertex + first).filter((node) => is_selected.has(node)))
      .filter((nodes) => nodes.length > 0);
  const clearing = openClearing(table, options);
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
function fewest(first: FoundGroups, second: FoundGroups): FoundGroups {
  if ('failure' in second) return first;
  return 'failure' in first || second.groups.length < first.groups.length ? second : first;
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
