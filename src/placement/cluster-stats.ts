/** What a cluster has, what of it is used, and what is left, in sums over all nodes (hspace's figures). */
import { clusterScore } from './score.ts';
import {
  FREE_DISK,
  FREE_SPINDLES,
  INSTANCE_MEMORY,
  PRIMARIES,
  RESERVED_MEMORY,
  STRIDE,
  type Table,
  USED_CPUS,
  unallocatedMemory,
} from './table.ts';

/** Memory and disk in MiB. */
export interface ClusterStats {
  readonly score: number;
  readonly instances: number;
  readonly total_memory: number;
  readonly total_disk: number;
  readonly total_cpus: number;
  readonly total_spindles: number;
  /** As many as the policies' ratios allow. */
  readonly total_vcpus: number;
  /** Not taken by any instance, nor missing. */
  readonly free_memory: number;
  /** Of that: not kept for instances of other nodes. */
  readonly available_memory: number;
  readonly instance_memory: number;
  /** The nodes' own. */
  readonly node_memory: number;
  /** In use by nobody known. */
  readonly missing_memory: number;
  readonly most_available_memory: number;
  readonly free_disk: number;
  /** Of that: beyond what is to stay free. */
  readonly available_disk: number;
  readonly used_disk: number;
  readonly most_available_disk: number;
  readonly free_spindles: number;
  readonly used_spindles: number;
  readonly used_vcpus: number;
  /** Used ones, each divided by its node's ratio. */
  readonly used_cpus: number;
}

export function clusterStats(table: Table): ClusterStats {
  const { state, cluster } = table;
  const stats = {
    score: clusterScore(
      table,
      cluster.nodes.map((_, node) => node),
    ),
    instances: 0,
    total_memory: 0,
    total_disk: 0,
    total_cpus: 0,
    total_spindles: 0,
    total_vcpus: 0,
    free_memory: 0,
    available_memory: 0,
    instance_memory: 0,
    node_memory: 0,
    missing_memory: 0,
    most_available_memory: 0,
    free_disk: 0,
    available_disk: 0,
    used_disk: 0,
    most_available_disk: 0,
    free_spindles: 0,
    used_spindles: 0,
    used_vcpus: 0,
    used_cpus: 0,
  };
  for (const [node, figures] of cluster.nodes.entries()) {
    const at = node * STRIDE;
    const free_memory = unallocatedMemory(table, node);
    const available_memory = Math.max(0, free_memory - state[at + RESERVED_MEMORY]!);
    const free_disk = state[at + FREE_DISK]!;
    const available_disk = Math.max(0, free_disk - table.low_disk[node]!);
    const used_vcpus = state[at + USED_CPUS]!;
    stats.instances += state[at + PRIMARIES]!;
    stats.total_memory += table.total_memory[node]!;
    stats.total_disk += table.total_disk[node]!;
    stats.total_cpus += table.total_cpus[node]!;
    stats.total_spindles += table.total_spindles[node]!;
    stats.total_vcpus += Math.floor(table.vcpu_ratio[node]! * table.total_cpus[node]!);
    stats.free_memory += free_memory;
    stats.available_memory += available_memory;
    stats.instance_memory += state[at + INSTANCE_MEMORY]!;
    stats.node_memory += figures.node_memory_mib;
    stats.missing_memory += table.missing_memory[node]!;
    stats.most_available_memory = Math.max(stats.most_available_memory, available_memory);
    stats.free_disk += free_disk;
    stats.available_disk += available_disk;
    stats.used_disk += Math.trunc(table.total_disk[node]!) - free_disk;
    stats.most_available_disk = Math.max(stats.most_available_disk, available_disk);
    stats.free_spindles += state[at + FREE_SPINDLES]!;
    stats.used_spindles += table.total_spindles[node]! - state[at + FREE_SPINDLES]!;
    stats.used_vcpus += used_vcpus;
    stats.used_cpus += used_vcpus / table.vcpu_ratio[node]!;
  }
  return stats;
}

/** What was used before, what an allocation took, and what nothing can be made of any more. */
export interface AllocationDelta {
  readonly used: Amounts;
  readonly taken: Amounts;
  readonly left: Amounts;
}

export interface Amounts {
  readonly vcpus: number;
  readonly cpus: number;
  readonly memory: number;
  readonly disk: number;
  readonly spindles: number;
}

export function allocationDelta(before: ClusterStats, after: ClusterStats): AllocationDelta {
  return {
    used: {
      vcpus: before.used_vcpus,
      cpus: before.used_cpus,
      memory: before.instance_memory,
      disk: before.used_disk,
      spindles: before.used_spindles,
    },
    taken: {
      vcpus: after.used_vcpus - before.used_vcpus,
      cpus: after.used_cpus - before.used_cpus,
      memory: after.instance_memory - before.instance_memory,
      disk: after.used_disk - before.used_disk,
      spindles: after.used_spindles - before.used_spindles,
    },
    left: {
      vcpus: after.total_vcpus - after.used_vcpus,
      cpus: after.total_cpus - after.used_cpus,
      memory: Math.trunc(after.total_memory) - after.instance_memory,
      disk: Math.trunc(after.total_disk) - after.used_disk,
      spindles: Math.trunc(after.total_spindles) - after.used_spindles,
    },
  };
}
