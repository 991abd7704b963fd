/** What does not add up in a cluster's figures: memory and disk that are neither free nor anybody's. */

import type { PlacementCluster } from './cluster.ts';
import { demandOf } from './table.ts';

/** More than that is worth a word. */
const missing_memory_mib = 512;
const missing_disk_mib = 1024;

/** One text for each such node; the last node first, as the htools have it. */
export function inconsistencies(cluster: PlacementCluster): readonly string[] {
  const memory = new Float64Array(cluster.nodes.length);
  const disk = new Float64Array(cluster.nodes.length);
  for (const instance of cluster.instances) {
    if (instance.forthcoming) continue;
    if (demandOf(instance).uses_memory) memory[instance.primary]! += instance.memory_mib;
    disk[instance.primary]! += instance.disk_mib;
    if (instance.secondary >= 0) disk[instance.secondary]! += instance.disk_mib;
  }
  const texts: string[] = [];
  for (const [at, node] of cluster.nodes.entries()) {
    const memory_mib =
      Math.trunc(node.total_memory_mib) - node.node_memory_mib - node.free_memory_mib - memory[at]!;
    const disk_mib = Math.trunc(node.total_disk_mib) - node.free_disk_mib - disk[at]!;
    if (memory_mib > missing_memory_mib || disk_mib > missing_disk_mib) {
      texts.unshift(
        `node ${node.name} is missing ${memory_mib} MB ram and ${Math.floor(disk_mib / 1024)} GB disk`,
      );
    }
  }
  return texts;
}
