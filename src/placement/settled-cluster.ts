/** A cluster as a table has it by now: instances where they are, and what of the nodes' disks is left. */
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { FREE_DISK, FREE_SPINDLES, STRIDE, type Table } from './table.ts';

/**
 * Free memory is what it was reported to be: what instances are started takes it, not what is planned.
 * @param instances all of them, on their nodes; without it the cluster's own where the table has them
 */
export function settledCluster(
  table: Table,
  instances: readonly PlacementInstance[] = settledInstances(table),
): PlacementCluster {
  const { cluster, state } = table;
  return {
    ...cluster,
    nodes: cluster.nodes.map((node, at) => ({
      ...node,
      offline: node.offline || table.offline[at] === 1,
      free_disk_mib: state[at * STRIDE + FREE_DISK]!,
      free_spindles: state[at * STRIDE + FREE_SPINDLES]!,
    })),
    instances,
  };
}

/** The cluster's own instances where the table has them. */
export function settledInstances(table: Table): readonly PlacementInstance[] {
  return table.cluster.instances.map((instance, at) => ({
    ...instance,
    primary: table.primary[at]!,
    secondary: table.secondary[at]!,
  }));
}
