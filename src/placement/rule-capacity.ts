/**
 * CPUs and memory that are given to one instance alone, in whole cores or whole NUMA nodes, and memory that is promised
 * more than once. Per node there are sums only: which core or NUMA node it is, is for the hypervisor to choose, and it
 * may choose anew, so that free ones are never scattered.
 */
import type { PlacementInstance } from './cluster.ts';
import type { RuleModel } from './rule-model.ts';

/** What the functions here need of the rules. */
export interface CapacityRules {
  readonly model: RuleModel;
  /** Where each instance is; -1: nowhere. */
  readonly primary: Int32Array;
  readonly capacity: CapacityTable;
}

/** CPUs and memory that are given to one instance, or promised to more than can have them at once. */
export interface CapacityTable {
  readonly any: boolean;
  readonly exclusive: Uint8Array;
  /** By node: what there is beside the node's own needs. */
  readonly cpus: Float64Array;
  readonly memory_mib: Float64Array;
  readonly vcpu_ratio: Float64Array;
  readonly memory_ratio: Float64Array;
  readonly cpus_per_numa: Float64Array;
  readonly memory_per_numa_mib: Float64Array;
  /** By node: what is given to one instance each, and what is shared. */
  readonly given: Grants;
}

interface Grants {
  readonly numa: Float64Array;
  readonly cpus: Float64Array;
  readonly memory_mib: Float64Array;
  readonly shared_cpus: Float64Array;
  readonly shared_memory_mib: Float64Array;
}

export function capacityTable(model: RuleModel): CapacityTable {
  const { cluster, numa_nodes } = model;
  const { nodes, groups } = cluster;
  const exclusive = new Uint8Array(cluster.instances.length);
  for (const [instance, kinds] of model.exclusive) {
    for (const kind of kinds)
      exclusive[instance]! |=
        kind === 'cpu' ? exclusive_cpu : kind === 'memory' ? exclusive_memory : exclusive_numa;
  }
  const byNode = (value: (node: (typeof nodes)[number], at: number) => number): Float64Array =>
    Float64Array.from(nodes, value);
  const zeros = (): Float64Array => new Float64Array(nodes.length);
  return {
    any: model.exclusive.size > 0 || nodes.some(({ group }) => groups[group]!.policy.memory_ratio !== 1),
    exclusive,
    cpus: byNode((node) => node.total_cpus - node.node_cpus),
    memory_mib: byNode((node) => node.total_memory_mib - node.node_memory_mib),
    vcpu_ratio: byNode((node) => groups[node.group]!.policy.vcpu_ratio),
    memory_ratio: byNode((node) => groups[node.group]!.policy.memory_ratio),
    cpus_per_numa: byNode((node, at) => node.total_cpus / numa_nodes[at]!),
    memory_per_numa_mib: byNode((node, at) => node.total_memory_mib / numa_nodes[at]!),
    given: {
      numa: zeros(),
      cpus: zeros(),
      memory_mib: zeros(),
      shared_cpus: zeros(),
      shared_memory_mib: zeros(),
    },
  };
}

const exclusive_cpu = 1;
const exclusive_memory = 2;
const exclusive_numa = 4;

/** 0 to 3: CPUs, memory, NUMA nodes. @param instance -1: none in addition to those that are there */
export function overCapacity(rules: CapacityRules, instance: number, node: number): number {
  if (givesNothing(rules, instance, node)) return 0;
  const over = overWith(rules, takenWith(rules, instance, node), node);
  return (over.numa ? 1 : 0) + (over.cpus ? 1 : 0) + (over.memory ? 1 : 0);
}

/** What there would be too little of. */
export interface OverCapacity {
  readonly numa: boolean;
  readonly cpus: boolean;
  readonly memory: boolean;
}

const enough: OverCapacity = { numa: false, cpus: false, memory: false };

/** @param instance -1: one of that size that asks for nothing */
export function overCapacityOf(
  rules: CapacityRules,
  instance: number,
  size: PlacementInstance,
  node: number,
): OverCapacity {
  if (givesNothing(rules, instance, node)) return enough;
  if (instance >= 0) return overWith(rules, takenWith(rules, instance, node), node);
  return overWith(rules, sum(rules.capacity.given, node, demandOf(rules, size, 0, node)), node);
}

/** Most nodes give nothing away, and most instances ask for nothing. */
function givesNothing({ capacity }: CapacityRules, instance: number, node: number): boolean {
  return (
    capacity.memory_ratio[node] === 1 &&
    capacity.given.cpus[node] === 0 &&
    capacity.given.memory_mib[node] === 0 &&
    (instance < 0 || capacity.exclusive[instance] === 0)
  );
}

function overWith({ model, capacity }: CapacityRules, taken: Demand, node: number): OverCapacity {
  const { numa, cpus, memory_mib, shared_cpus, shared_memory_mib } = taken;
  const memory_ratio = capacity.memory_ratio[node]!;
  return {
    numa: numa > model.numa_nodes[node]!,
    cpus:
      cpus > 0 && cpus + cpuShare(shared_cpus, capacity.vcpu_ratio[node]!) > capacity.cpus[node]! + rounding,
    memory:
      (memory_mib > 0 || memory_ratio !== 1) &&
      memory_mib + shared_memory_mib / memory_ratio > capacity.memory_mib[node]! + rounding,
  };
}

/** What {@link overCapacity} counts, in words. */
export function capacityFailures(
  rules: CapacityRules,
  instance: number,
  node: number,
): readonly { readonly rule: string; readonly why: string }[] {
  const { capacity } = rules;
  if (!capacity.any) return [];
  const { numa, cpus, memory_mib, shared_cpus, shared_memory_mib } = takenWith(rules, instance, node);
  const cpu_ratio = capacity.vcpu_ratio[node]!;
  const memory_ratio = capacity.memory_ratio[node]!;
  const found: { readonly rule: string; readonly why: string }[] = [];
  const there_are = rules.model.numa_nodes[node]!;
  if (numa > there_are)
    found.push({
      rule: 'skein:numa:exclusive',
      why: `${numa} NUMA nodes would be given away of ${there_are}`,
    });
  if (cpus > 0 && cpus + cpuShare(shared_cpus, cpu_ratio) > capacity.cpus[node]! + rounding)
    found.push({
      rule: 'skein:cpu:exclusive',
      why: `${shown(cpus)} CPUs would be given away and ${shown(shared_cpus)} shared at ${shown(cpu_ratio)} to one, of ${shown(capacity.cpus[node]!)}`,
    });
  if (memory_mib > 0 || memory_ratio !== 1) {
    if (memory_mib + shared_memory_mib / memory_ratio > capacity.memory_mib[node]! + rounding)
      found.push({
        rule: memory_mib > 0 ? 'skein:memory:exclusive' : 'memory_ratio',
        why: `${shown(memory_mib)} MiB of memory would be given away and ${shown(shared_memory_mib)} MiB promised at ${shown(memory_ratio)} to one, of ${shown(capacity.memory_mib[node]!)} MiB`,
      });
  }
  return found;
}

/** What is taken of a node with an instance in addition, if it is not there already. */
function takenWith(rules: CapacityRules, instance: number, node: number): Demand {
  const there = instance < 0 || rules.primary[instance] === node;
  return sum(rules.capacity.given, node, there ? nothing : demand(rules, instance, node));
}

function sum(given: Grants, node: number, added: Demand): Demand {
  return {
    numa: given.numa[node]! + added.numa,
    cpus: given.cpus[node]! + added.cpus,
    memory_mib: given.memory_mib[node]! + added.memory_mib,
    shared_cpus: given.shared_cpus[node]! + added.shared_cpus,
    shared_memory_mib: given.shared_memory_mib[node]! + added.shared_memory_mib,
  };
}

/** CPUs that shared ones stand for; a ratio below 0 is Ganeti's for no limit. */
function cpuShare(shared: number, ratio: number): number {
  return ratio > 0 ? shared / ratio : 0;
}

function shown(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Only shared memory: what is given to an instance stays its own while it is down. */
const without_memory: ReadonlySet<string> = new Set(['ADMIN_down', 'USER_down', 'ERROR_down']);

/** What adding up thirds may be off by. */
const rounding = 1e-6;

interface Demand {
  readonly numa: number;
  readonly cpus: number;
  readonly memory_mib: number;
  readonly shared_cpus: number;
  readonly shared_memory_mib: number;
}

const nothing: Demand = { numa: 0, cpus: 0, memory_mib: 0, shared_cpus: 0, shared_memory_mib: 0 };

/** What an instance takes of a node, by the node's NUMA nodes and threads. */
function demand(rules: CapacityRules, instance: number, node: number): Demand {
  const { model, capacity } = rules;
  return demandOf(rules, model.cluster.instances[instance]!, capacity.exclusive[instance]!, node);
}

function demandOf(
  { model, capacity }: CapacityRules,
  { vcpus, memory_mib, status }: PlacementInstance,
  exclusive: number,
  node: number,
): Demand {
  // One that is down keeps its CPUs and what is its own, as in Ganeti; one that is offline does not.
  if (status === 'ADMIN_offline') return nothing;
  if ((exclusive & exclusive_numa) !== 0) {
    const per = capacity.cpus_per_numa[node]!;
    const per_mib = capacity.memory_per_numa_mib[node]!;
    const numa = Math.max(1, Math.ceil(vcpus / per), Math.ceil(memory_mib / per_mib));
    return { ...nothing, numa, cpus: numa * per, memory_mib: numa * per_mib };
  }
  const threads = model.threads_per_core[node]!;
  const whole = (exclusive & exclusive_cpu) !== 0 ? Math.ceil(vcpus / threads) * threads : 0;
  const own_mib = (exclusive & exclusive_memory) !== 0 ? memory_mib : 0;
  return {
    numa: 0,
    cpus: whole,
    memory_mib: own_mib,
    shared_cpus: whole > 0 ? 0 : vcpus,
    shared_memory_mib: own_mib > 0 || without_memory.has(status) ? 0 : memory_mib,
  };
}

/** Adds what the instance takes of the node, or gives it back. */
export function take(rules: CapacityRules, instance: number, node: number, by: 1 | -1): void {
  change(rules.capacity.given, demand(rules, instance, node), node, by);
}

/** The same for an instance that is not in the rules and asks for nothing. */
export function takeSize(rules: CapacityRules, size: PlacementInstance, node: number, by: 1 | -1): void {
  change(rules.capacity.given, demandOf(rules, size, 0, node), node, by);
}

function change(given: Grants, taken: Demand, node: number, by: 1 | -1): void {
  given.numa[node]! += by * taken.numa;
  given.cpus[node]! += by * taken.cpus;
  given.memory_mib[node]! += by * taken.memory_mib;
  given.shared_cpus[node]! += by * taken.shared_cpus;
  given.shared_memory_mib[node]! += by * taken.shared_memory_mib;
}

/** The sums again, not shared with those of `capacity`. */
export function copyCapacity(capacity: CapacityTable): CapacityTable {
  const { given } = capacity;
  return {
    ...capacity,
    given: {
      numa: given.numa.slice(),
      cpus: given.cpus.slice(),
      memory_mib: given.memory_mib.slice(),
      shared_cpus: given.shared_cpus.slice(),
      shared_memory_mib: given.shared_memory_mib.slice(),
    },
  };
}
