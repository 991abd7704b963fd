/**
 * Which nodes cannot be down at the same time: a graph with an edge between any two of them. Two nodes are joined that
 * hold the two copies of an instance; and, while instances are to go on running, two whose instances would meet on a
 * third node when they are moved to their secondaries.
 */
import { type Graph, graphOf } from './graph-colour.ts';
import type { Table } from './table.ts';

export interface RebootGraph {
  readonly graph: Graph;
  /** The node that vertex 0 stands for; the others follow by index, those that were not asked for without edges. */
  readonly first: number;
}

/**
 * @param selected the nodes that are to be rebooted, ascending; at least one
 * @param online whether instances are moved away before, and not shut down
 */
export function rebootGraph(table: Table, selected: readonly number[], online: boolean): RebootGraph {
  const first = selected[0]!;
  const last = selected.at(-1)!;
  const is_selected = new Uint8Array(table.node_count);
  for (const node of selected) is_selected[node] = 1;
  const edges: number[] = [];
  const add = (a: number, b: number): void => {
    if (is_selected[a] === 1 && is_selected[b] === 1) edges.push(a - first, b - first);
  };
  // Copies of one instance: every pair as often as it occurs. The degree of a node, which the colouring goes by, counts
  // them all, as hroller's does.
  const seen = new Uint8Array(table.node_count * table.node_count);
  for (let i = 0; i < table.primary.length; i++) {
    const [primary, secondary] = [table.primary[i]!, table.secondary[i]!];
    if (secondary < 0) continue;
    add(primary, secondary);
    add(secondary, primary);
    seen[primary * table.node_count + secondary] = 1;
    seen[secondary * table.node_count + primary] = 1;
  }
  if (online) {
    for (const primaries of primariesBySecondary(table)) {
      for (const a of primaries) {
        for (const b of primaries) {
          if (seen[a * table.node_count + b] === 1) continue;
          seen[a * table.node_count + b] = 1;
          add(a, b);
        }
      }
    }
  }
  return { graph: graphOf(last - first + 1, edges), first };
}

/** For each node the primaries of those whose secondary it is, the last instance first. Reservations have none. */
function primariesBySecondary(table: Table): readonly (readonly number[])[] {
  const primaries: number[][] = Array.from({ length: table.node_count }, () => []);
  for (let i = table.primary.length - 1; i >= 0; i--) {
    const secondary = table.secondary[i]!;
    if (secondary >= 0 && !table.demands[i]!.forthcoming) primaries[secondary]!.push(table.primary[i]!);
  }
  return primaries;
}
