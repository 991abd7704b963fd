/** A table's state as a cluster again, for whoever saves or shows it. */
import type { PlacementCluster } from './cluster.ts';
import { FREE_DISK, FREE_SPINDLES, STRIDE, type Table } from './table.ts';

/**
 * What a set of nodes and the instances on them are like now. Free memory stays as reported, as in the htools: what an
 * instance takes away when it leaves is known only once it has left.
 * @param nodes ascending
 */
export function currentCluster(
  table: Table,
  nodes: readonly number[],
  instances: readonly number[],
): PlacementCluster {
  const { cluster, state } = table;
  const place = new Map(nodes.map((node, at) => [node, at]));
  return {
    ...cluster,
    nodes: nodes.map((node) => ({
      ...cluster.nodes[node]!,
      offline: table.offline[node] === 1,
      free_disk_mib: state[node * STRIDE + FREE_DISK]!,
      free_spindles: state[node * STRIDE + FREE_SPINDLES]!,
    })),
    instances: instances.map((instance) => ({
      ...cluster.instances[instance]!,
      primary: place.get(table.primary[instance]!) ?? -1,
      secondary: place.get(table.secondary[instance]!) ?? -1,
    })),
  };
}
