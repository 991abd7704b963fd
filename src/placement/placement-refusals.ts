/** Of each node that was looked at for an instance: why it will not do, in words that say by how much. */
import type { Placing, Wanted } from './allocate.ts';
import { failureName } from './cluster.ts';
import type { Admission, NodeRefusal, PlacementView, Refusal } from './placement-ask.ts';
import { instanceBreach, policyAt } from './policy.ts';
import { ruleFailures } from './rule-failures.ts';
import {
  type Demand,
  FITS,
  FORTH_FREE_DISK,
  FORTH_FREE_MEMORY,
  FORTH_USED_CPUS,
  FREE_DISK,
  NO_CPU,
  NO_DISK,
  NO_MEMORY,
  NO_SPINDLES,
  NO_TAGS,
  primaryFailure,
  RESERVED_MEMORY,
  STRIDE,
  type Table,
  USED_CPUS,
  unallocatedMemory,
} from './table.ts';

/** What is looked for, and where. */
export interface Search {
  readonly view: PlacementView;
  readonly placing: Placing;
  readonly wanted: Wanted;
  readonly node_count: 1 | 2;
  readonly group: string | null;
  /** Why a node that takes instances will not do for this one. */
  readonly refusalOf: (node: number) => Refusal | null;
  readonly admission: Admission;
  readonly may_force: boolean;
}

/** By name. */
export function nodeRefusals(search: Search): readonly NodeRefusal[] {
  const { cluster } = search.view;
  return cluster.nodes
    .map((node, at) => ({ node: node.uuid, name: node.name, ...refusalOf(search, at) }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function refusalOf(search: Search, node: number): Refusal {
  const { view, placing, wanted } = search;
  const { table } = placing;
  const standing = view.refusals[node] ?? search.refusalOf(node) ?? groupRefusal(search, node);
  if (standing !== null && standing !== undefined) return standing;
  const breach = instanceBreach(wanted.instance, policyAt(view.cluster, node), table.exclusive[node] === 1);
  if (breach !== null) return { code: 'policy', text: `does not allow it by its policy: ${breach.text}` };
  const broken = table.rules === null ? [] : ruleFailures(table.rules.rules, wanted.index, node, -1);
  if (broken.length > 0) return { code: 'rules', text: broken[0]!.text };
  const failure = primaryFailure(table, node, wanted.demand, search.may_force);
  if (failure === FITS) {
    const more = search.node_count === 2 ? ', or no second node has room for the copy' : '';
    return { code: 'rules', text: `is ruled out by tags of the instance or the node${more}` };
  }
  return figureRefusal(table, node, wanted.demand, failure);
}

function groupRefusal({ view, group }: Search, node: number): Refusal | null {
  const own = view.cluster.groups[view.cluster.nodes[node]!.group]!;
  if (group !== null) {
    if (own.uuid === group) return null;
    return { code: 'group', text: `is in group ${own.name}, not in the one asked for` };
  }
  if (own.alloc_policy !== 'unallocable') return null;
  return { code: 'group', text: `is in group ${own.name}, which is unallocable` };
}

/** Of a node that does not have the memory, whatever else it lacks; null if it has. */
export function memoryRefusal(table: Table, node: number, { demand }: Wanted): Refusal | null {
  if (!demand.uses_memory || unallocatedMemory(table, node) - demand.memory > 0) return null;
  return memoryText(demand.memory, unallocatedMemory(table, node), 0);
}

function figureRefusal(table: Table, node: number, demand: Demand, failure: number): Refusal {
  const { state } = table;
  const at = node * STRIDE;
  switch (failure) {
    case NO_MEMORY: {
      const real = demand.uses_memory ? unallocatedMemory(table, node) : Number.POSITIVE_INFINITY;
      const free = Math.min(real, state[at + FORTH_FREE_MEMORY]!);
      return memoryText(demand.memory, free, state[at + RESERVED_MEMORY]!);
    }
    case NO_DISK: {
      const free = Math.min(state[at + FREE_DISK]!, state[at + FORTH_FREE_DISK]!);
      if (demand.disk < free) {
        return { code: 'spindles', text: `has more spindles in use than its policy allows` };
      }
      return { code: 'disk', text: shortText(demand.disk, 'disk', free) };
    }
    case NO_CPU: {
      const used = Math.max(state[at + USED_CPUS]!, state[at + FORTH_USED_CPUS]!);
      const ratio = table.vcpu_ratio[node]!;
      const total = table.total_cpus[node]!;
      const left = Math.max(0, Math.floor(ratio * total - used));
      return {
        code: 'cpu',
        text: `needs ${demand.vcpus} virtual CPUs, has ${left} left (${ratio} for each of its ${total} CPUs)`,
      };
    }
    case NO_TAGS:
      return { code: 'tags', text: 'has an instance with one of its exclusion tags' };
    case NO_SPINDLES:
      return { code: 'spindles', text: `needs ${demand.spindles} spindles, has fewer free` };
    default:
      return { code: 'rules', text: `will not do (${failureName.internal})` };
  }
}

function memoryText(need: number, free: number, reserved: number): Refusal {
  if (need < free) {
    return {
      code: 'memory',
      text: `needs ${need} MiB of memory, has ${free} MiB free, of which ${reserved} MiB are kept for instances of other nodes`,
    };
  }
  return { code: 'memory', text: shortText(need, 'memory', free) };
}

function shortText(need: number, what: string, free: number): string {
  const has = `needs ${need} MiB of ${what}, has ${Math.max(0, free)} MiB free`;
  return need === free ? `${has}, and must keep some` : `${has} (${need - free} MiB short)`;
}
