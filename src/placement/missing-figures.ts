/**
 * Where a node's figures do not add up: memory or disk that is neither free nor taken by the node or an instance. The
 * htools warn of more than 512 MiB of memory or 1 GiB of disk, and go on.
 */
import type { PlacementCluster } from './cluster.ts';
import { buildTable } from './table.ts';

/** Lines to warn with, in the htools' words and order. */
export function missingFigures(cluster: PlacementCluster): readonly string[] {
  const { missing_memory } = buildTable(cluster);
  const disk_mib = cluster.nodes.map((node) => Math.trunc(node.total_disk_mib) - node.free_disk_mib);
  for (const { primary, secondary, disk_mib: taken, forthcoming } of cluster.instances) {
    if (forthcoming) continue;
    disk_mib[primary]! -= taken;
    if (secondary >= 0) disk_mib[secondary]! -= taken;
  }
  const lines = cluster.nodes.flatMap(({ name }, node) => {
    const memory = missing_memory[node]!;
    const disk = disk_mib[node]!;
    if (memory <= 512 && disk <= 1024) return [];
    return [`node ${name} is missing ${memory} MB ram and ${Math.floor(disk / 1024)} GB disk`];
  });
  return lines.reverse();
}
