/** What the loss of a node would do: which of its instances would find no place, and by how much. */
import type { PlacementInstance } from './cluster.ts';
import { playLoss, type Redundancy } from './redundancy.ts';
import type { Resident } from './residents.ts';
import { FREE_DISK, STRIDE, type Table, unallocatedMemory } from './table.ts';

export interface HomelessInstance {
  readonly instance: PlacementInstance;
  /** 0 where memory is not what is missing. */
  readonly short_memory_mib: number;
  readonly short_disk_mib: number;
  /** `web1 needs 2048 MiB of memory, the most that is free is 512 MiB on n3 (1536 MiB short)` */
  readonly text: string;
}

export interface NodeLoss {
  /** By index. */
  readonly node: number;
  readonly instances: number;
  readonly homeless: readonly HomelessInstance[];
}

/** Each instance is told with what was free when its turn came, after the others had been restarted. */
export function lossOf(redundancy: Redundancy, node: number): NodeLoss {
  const homeless: HomelessInstance[] = [];
  playLoss(redundancy, node, (resident, targets) => {
    homeless.push(homelessInstance(redundancy.table, resident, targets));
    return true;
  });
  return { node, instances: redundancy.residents.on[node]!.length, homeless };
}

function homelessInstance(
  table: Table,
  { demand, instance }: Resident,
  targets: readonly number[],
): HomelessInstance {
  const online = targets.filter((node) => table.offline[node] === 0);
  const place = (most: (node: number) => number): { readonly node: number; readonly free: number } | null => {
    let best: { readonly node: number; readonly free: number } | null = null;
    for (const node of online) {
      const free = Math.max(0, most(node));
      if (best === null || free > best.free) best = { node, free };
    }
    return best;
  };
  const say = (need: number, what: string, best: { readonly node: number; readonly free: number }): string =>
    `${instance.name} needs ${need} MiB of ${what}, the most that is free is ${best.free} MiB on ` +
    `${table.cluster.nodes[best.node]!.name} (${shortOf(need, best.free)} MiB short)`;
  const memory = demand.uses_memory ? demand.memory : 0;
  const by_memory = place((node) => unallocatedMemory(table, node));
  if (by_memory === null) {
    const text = `${instance.name} has no other node to go to`;
    return { instance, short_memory_mib: memory, short_disk_mib: 0, text };
  }
  if (by_memory.free <= memory) {
    return {
      instance,
      short_memory_mib: shortOf(memory, by_memory.free),
      short_disk_mib: 0,
      text: say(memory, 'memory', by_memory),
    };
  }
  const by_disk = place((node) => table.state[node * STRIDE + FREE_DISK]!);
  if (demand.local && by_disk !== null && by_disk.free <= demand.disk) {
    return {
      instance,
      short_memory_mib: 0,
      short_disk_mib: shortOf(demand.disk, by_disk.free),
      text: say(demand.disk, 'disk', by_disk),
    };
  }
  const text = `${instance.name} finds no node with enough memory and disk that its tags and policies allow`;
  return { instance, short_memory_mib: 0, short_disk_mib: 0, text };
}

/** At least 1: a node that is given all it has keeps nothing for itself. */
function shortOf(need: number, free: number): number {
  return Math.max(1, Math.ceil(need - free));
}
