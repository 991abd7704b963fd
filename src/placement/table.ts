/**
 * A cluster in typed arrays: what each node has, what its instances take, and the four ways to change that (a primary or
 * a secondary is added or removed), each of which can be undone.
 *
 * The rules are Ganeti's. Hard limits (memory, disk, spindles) always hold; soft ones (N+1, ratios, exclusion tags, low
 * disk) are waived with `force`. Forthcoming instances, reservations, count in figures of their own (`FORTH_…`) and not
 * in the real ones.
 *
 * A check never changes anything, and a change never checks: {@link primaryFailure} then {@link addPrimary}. Every
 * change is noted in a journal: {@link mark}, {@link undoTo}, {@link forget}. Nothing here allocates once the journal
 * has grown to the longest sequence. The {@link PlacementCluster} that a table was made of is never changed.
 */
import {
  type InstancePolicy,
  mirrorKind,
  type PlacementCluster,
  type PlacementFailure,
  type PlacementInstance,
} from './cluster.ts';
import type { PlacementRules } from './rules.ts';
import {
  addSize,
  copyTableRules,
  moveTo,
  openTableRules,
  removeNewestSize,
  type TableRules,
} from './table-rules.ts';
import { type ClusterTags, readTags } from './tags.ts';

/** Figures of a node that change, at `state[node * STRIDE + …]`. Memory and disk in MiB. */
export const INSTANCE_MEMORY = 0;
export const FREE_DISK = 1;
export const USED_CPUS = 2;
export const FREE_SPINDLES = 3;
/** Spindles that instances use, where storage is not exclusive. */
export const INSTANCE_SPINDLES = 4;
export const PRIMARIES = 5;
export const SECONDARIES = 6;
/** The most memory that instances of any one other node would need here if that node died. */
export const RESERVED_MEMORY = 7;
/** 1: it could not take over the instances of some other node. */
export const FAILS_N1 = 8;
export const CPU_LOAD = 9;
export const MEMORY_LOAD = 10;
export const DISK_LOAD = 11;
export const NET_LOAD = 12;
/** Locations that pairs of nodes share, and desired ones that primaries here have not got. */
export const LOCATION_SCORE = 13;
/** Exclusion tags of primaries beyond one of each. */
export const TAG_CONFLICTS = 14;
export const FORTH_FREE_MEMORY = 15;
export const FORTH_FREE_DISK = 16;
export const FORTH_USED_CPUS = 17;
export const FORTH_FREE_SPINDLES = 18;
export const FORTH_INSTANCE_SPINDLES = 19;
export const STRIDE = 20;

/** Results of the checks; 0 means that it fits. {@link failureOf} names the others. */
export const FITS = 0;
export const NO_MEMORY = 1;
export const NO_DISK = 2;
export const NO_CPU = 3;
export const NO_TAGS = 4;
export const NO_SPINDLES = 5;
export const NO_MIGRATION = 6;
export const NO_RULE = 7;

const failure_names: readonly (PlacementFailure | null)[] = [
  null,
  'memory',
  'disk',
  'cpu',
  'tags',
  'spindles',
  'migration',
  'rules',
];

/** What a check's result other than {@link FITS} means. */
export function failureOf(code: number): PlacementFailure {
  return failure_names[code] ?? 'internal';
}

/** What an instance takes from its nodes. */
export interface Demand {
  readonly memory: number;
  /** On each of its nodes, if `local`. */
  readonly disk: number;
  readonly vcpus: number;
  readonly spindle_use: number;
  /** Of its disks; -1: not known. */
  readonly spindles: number;
  /** It runs, or should: its memory is taken. */
  readonly uses_memory: boolean;
  /** Its secondary keeps memory for it. */
  readonly reserves_memory: boolean;
  readonly uses_cpus: boolean;
  /** Its disks are on its nodes: plain and mirrored ones. */
  readonly local: boolean;
  /** It can have a secondary: drbd and mirror. */
  readonly mirrored: boolean;
  readonly forthcoming: boolean;
  readonly cpu_load: number;
  readonly memory_load: number;
  readonly disk_load: number;
  readonly net_load: number;
  /** See {@link ClusterTags}. */
  readonly exclusion: readonly number[];
  readonly desired: readonly number[];
}

export interface Table {
  readonly cluster: PlacementCluster;
  readonly tags: ClusterTags;
  readonly node_count: number;
  // What does not change.
  readonly total_memory: Float64Array;
  /** Memory for instances: total without the node's own and what is missing. */
  readonly usable_memory: Float64Array;
  /** In use, but by nobody known; negative: promised but not in use. */
  readonly missing_memory: Float64Array;
  readonly total_disk: Float64Array;
  readonly low_disk: Float64Array;
  readonly total_cpus: Float64Array;
  readonly cpu_speed: Float64Array;
  readonly vcpu_ratio: Float64Array;
  readonly total_spindles: Float64Array;
  readonly high_spindles: Float64Array;
  /** 1: offline, drained or not vm_capable: takes no instance, and its figures do not count in the score. */
  readonly offline: Uint8Array;
  readonly exclusive: Uint8Array;
  readonly demands: readonly Demand[];
  // What does.
  readonly state: Float64Array;
  /** [node × nodes + other]: memory kept on `node` for primaries of `other`. */
  readonly peers: Float64Array;
  /** [node × tags + tag]: primaries with an exclusion tag; the second without forthcoming ones. */
  readonly tag_counts: Int32Array;
  readonly real_tag_counts: Int32Array;
  /** Of each instance, -1 while it waits; changed by {@link place}. */
  readonly primary: Int32Array;
  readonly secondary: Int32Array;
  /** null: nobody asks for anything. Changed by {@link place}, {@link lift} and {@link addSized}. */
  readonly rules: TableRules | null;
  readonly journal: Journal;
}

export interface TableOptions {
  /** Prefixes of exclusion tags beyond those that the cluster's tags name, each with its colon. */
  readonly exclusion_tags?: readonly string[];
  /** Instances that are on no node yet; in the table they come after the cluster's own. */
  readonly waiting?: readonly PlacementInstance[];
  /** Nodes to take for offline, by index. */
  readonly offline?: ReadonlySet<number>;
  /** Virtual CPUs for each CPU, in place of the policies' ratio. */
  readonly max_cpu?: number | null;
  /** Share of each node's disk that is to stay free. */
  readonly min_disk?: number;
  /** Skein's rules, with the cluster's instances where they are, and the waiting ones. Not changed. */
  readonly rules?: PlacementRules | null;
}

export function buildTable(cluster: PlacementCluster, options: TableOptions = {}): Table {
  const { nodes, groups } = cluster;
  const waiting = options.waiting ?? [];
  const instances = waiting.length === 0 ? cluster.instances : [...cluster.instances, ...waiting];
  const tags = readTags(cluster, options.exclusion_tags, waiting);
  const policyOf = (group: number): InstancePolicy => groups[group]?.policy ?? cluster.policy;
  const figure = (of: (node: PlacementCluster['nodes'][number], at: number) => number): Float64Array =>
    Float64Array.from(nodes, of);
  const flag = (of: (node: PlacementCluster['nodes'][number], at: number) => boolean): Uint8Array =>
    Uint8Array.from(nodes, (node, at) => (of(node, at) ? 1 : 0));
  const min_disk = options.min_disk ?? 0;
  const table: Table = {
    cluster,
    tags,
    node_count: nodes.length,
    total_memory: figure((node) => node.total_memory_mib),
    usable_memory: new Float64Array(nodes.length),
    missing_memory: new Float64Array(nodes.length),
    total_disk: figure((node) => node.total_disk_mib),
    low_disk: figure((node) => Math.floor(min_disk * node.total_disk_mib)),
    total_cpus: figure((node) => node.total_cpus),
    cpu_speed: figure((node) => node.cpu_speed),
    vcpu_ratio: figure((node) => options.max_cpu ?? policyOf(node.group).vcpu_ratio),
    total_spindles: figure((node) => node.spindles),
    high_spindles: figure((node) => policyOf(node.group).spindle_ratio * node.spindles),
    offline: flag(
      (node, at) => node.offline || node.drained || !node.vm_capable || (options.offline?.has(at) ?? false),
    ),
    exclusive: flag((node) => node.exclusive_storage),
    demands: instances.map((instance, at) =>
      demandOf(instance, tags.exclusion[at] ?? none, tags.desired[at] ?? none),
    ),
    state: new Float64Array(nodes.length * STRIDE),
    peers: new Float64Array(nodes.length * nodes.length),
    tag_counts: new Int32Array(nodes.length * tags.exclusion_names.length),
    real_tag_counts: new Int32Array(nodes.length * tags.exclusion_names.length),
    primary: Int32Array.from(instances, (instance) => instance.primary),
    secondary: Int32Array.from(instances, (instance) => instance.secondary),
    rules: openTableRules(options.rules ?? null),
    journal: newJournal(),
  };
  fill(table, policyOf);
  return table;
}

/** A table of its own: changes of either are not seen in the other. What was done before cannot be undone in it. */
export function cloneTable(table: Table): Table {
  return {
    ...table,
    state: table.state.slice(),
    peers: table.peers.slice(),
    tag_counts: table.tag_counts.slice(),
    real_tag_counts: table.real_tag_counts.slice(),
    primary: table.primary.slice(),
    secondary: table.secondary.slice(),
    rules: copyTableRules(table.rules),
    journal: newJournal(),
  };
}

/** Makes the one like the other, which was cloned from it or the other way round. Marks of the first are void. */
export function copyTable(from: Table, to: Table): void {
  to.state.set(from.state);
  to.peers.set(from.peers);
  to.tag_counts.set(from.tag_counts);
  to.real_tag_counts.set(from.real_tag_counts);
  to.primary.set(from.primary);
  to.secondary.set(from.secondary);
  if (to.rules !== null) {
    for (const [at, primary] of to.primary.entries()) moveTo(to.rules, at, primary, to.secondary[at]!);
  }
  forget(to);
}

const none: readonly number[] = [];

/** What an instance takes, with the numbers of its tags as {@link readTags} gave them. */
export function demandOf(
  instance: PlacementInstance,
  exclusion: readonly number[] = none,
  desired: readonly number[] = none,
): Demand {
  const { status, template, forthcoming } = instance;
  return {
    memory: instance.memory_mib,
    disk: instance.disk_mib,
    vcpus: instance.vcpus,
    spindle_use: instance.spindle_use,
    spindles: instance.disks.some((disk) => disk.spindles === null)
      ? -1
      : instance.disks.reduce((sum, disk) => sum + (disk.spindles ?? 0), 0),
    uses_memory:
      !forthcoming &&
      (status === 'running' ||
        status === 'ERROR_up' ||
        status === 'ERROR_nodedown' ||
        status === 'ERROR_nodeoffline' ||
        status === 'ERROR_wrongnode'),
    reserves_memory: instance.auto_balance && status !== 'ADMIN_offline',
    uses_cpus: status !== 'ADMIN_offline',
    local: template === 'plain' || mirrorKind[template] === 'internal' || instance.local_disk === true,
    mirrored: mirrorKind[template] === 'internal',
    forthcoming,
    cpu_load: instance.utilisation.cpu,
    memory_load: instance.utilisation.memory,
    disk_load: instance.utilisation.disk,
    net_load: instance.utilisation.net,
    exclusion,
    desired,
  };
}

/** The figures as they were reported, each instance on its nodes. */
function fill(table: Table, policyOf: (group: number) => InstancePolicy): void {
  const { cluster, state, demands } = table;
  for (const [node, figures] of cluster.nodes.entries()) {
    const at = node * STRIDE;
    state[at + FREE_DISK] = figures.free_disk_mib;
    state[at + USED_CPUS] = figures.node_cpus;
    state[at + FREE_SPINDLES] = figures.free_spindles;
    state[at + FORTH_FREE_MEMORY] = figures.free_memory_mib;
    state[at + FORTH_FREE_DISK] = figures.free_disk_mib;
    state[at + FORTH_USED_CPUS] = figures.node_cpus;
    state[at + FORTH_FREE_SPINDLES] = figures.free_spindles;
  }
  for (const [at, instance] of cluster.instances.entries()) {
    const demand = demands[at]!;
    foundPrimary(
      table,
      instance.primary,
      demand,
      commonLocations(table, instance.primary, instance.secondary),
    );
    if (instance.secondary >= 0) foundSecondary(table, instance.secondary, demand, instance.primary);
  }
  for (const [node, figures] of cluster.nodes.entries()) {
    const at = node * STRIDE;
    const recorded = Math.trunc(figures.total_memory_mib) - figures.node_memory_mib;
    if (figures.cpu_load !== undefined) state[at + CPU_LOAD] = figures.cpu_load;
    const missing = recorded - state[at + INSTANCE_MEMORY]! - figures.free_memory_mib;
    // Promised beyond what there is, where the policy says so.
    const over = Math.max(0, policyOf(figures.group).memory_ratio - 1) * recorded;
    table.missing_memory[node] = missing;
    table.usable_memory[node] = recorded - Math.max(0, missing) + over;
    state[at + FORTH_FREE_MEMORY]! += over;
    state[at + RESERVED_MEMORY] = mostReserved(table, node);
    // As reported, and only if less is free: every later change asks whether as much is free, and of what is recorded.
    state[at + FAILS_N1] = figures.free_memory_mib + over < state[at + RESERVED_MEMORY]! ? 1 : 0;
  }
}

/** A primary that the reported free figures account for already. */
function foundPrimary(table: Table, node: number, demand: Demand, common: number): void {
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    if (demand.uses_memory) state[at + INSTANCE_MEMORY]! += demand.memory;
    countPrimary(table, node, demand, common, 1);
  } else {
    if (demand.local) state[at + FORTH_FREE_DISK]! -= demand.disk;
    takeForthSpindles(table, node, demand);
  }
  countTags(table, node, demand, 1);
  if (!demand.uses_memory) state[at + FORTH_FREE_MEMORY]! -= demand.memory;
  if (demand.uses_cpus) state[at + FORTH_USED_CPUS]! += demand.vcpus;
  if (demand.local && table.exclusive[node] === 0) {
    state[at + FORTH_INSTANCE_SPINDLES]! += demand.spindle_use;
    if (!demand.forthcoming) state[at + INSTANCE_SPINDLES]! += demand.spindle_use;
  }
}

function foundSecondary(table: Table, node: number, demand: Demand, primary: number): void {
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    state[at + SECONDARIES]! += 1;
    state[at + DISK_LOAD]! += demand.disk_load;
    if (demand.reserves_memory) table.peers[node * table.node_count + primary]! += demand.memory;
  } else {
    if (demand.local) state[at + FORTH_FREE_DISK]! -= demand.disk;
    takeForthSpindles(table, node, demand);
  }
  if (demand.local && table.exclusive[node] === 0) {
    state[at + FORTH_INSTANCE_SPINDLES]! += demand.spindle_use;
    if (!demand.forthcoming) state[at + INSTANCE_SPINDLES]! += demand.spindle_use;
  }
}

/** Memory that no instance has: neither taken by one, nor missing. */
export function unallocatedMemory(table: Table, node: number): number {
  return table.usable_memory[node]! - table.state[node * STRIDE + INSTANCE_MEMORY]!;
}

/** Locations that two nodes share; 0 if there is no second one. */
export function commonLocations(table: Table, primary: number, secondary: number): number {
  const { locations, location_count } = table.tags;
  if (location_count === 0 || secondary < 0) return 0;
  const others = locations[secondary]!;
  let common = 0;
  for (const location of locations[primary]!) if (others.includes(location)) common += 1;
  return common;
}

/** Desired locations of an instance that a node does not have. */
export function missedLocations(table: Table, node: number, demand: Demand): number {
  const { desired } = demand;
  if (desired.length === 0) return 0;
  const locations = table.tags.locations[node]!;
  let missed = 0;
  for (const location of desired) if (!locations.includes(location)) missed += 1;
  return missed;
}

/** May an instance be migrated from one node to the other, by their tags? */
export function mayMigrate(table: Table, source: number, target: number): boolean {
  const { migration } = table.tags;
  return migration === null || migration[source * table.node_count + target] === 1;
}

/** Why an instance cannot have its primary on a node; {@link FITS} if it can. */
export function primaryFailure(table: Table, node: number, demand: Demand, force: boolean): number {
  if (demand.forthcoming) return force ? FITS : forthPrimaryFailure(table, node, demand);
  const { state } = table;
  const at = node * STRIDE;
  const unallocated = unallocatedMemory(table, node) - (demand.uses_memory ? demand.memory : 0);
  if (unallocated <= 0) return NO_MEMORY;
  if (demand.local) {
    const disk = state[at + FREE_DISK]! - demand.disk;
    if (disk <= 0 || (!force && disk < table.low_disk[node]!)) return NO_DISK;
    if (table.exclusive[node] === 1) {
      if (spindlesAfterAdding(state[at + FREE_SPINDLES]!, demand) < 0) return NO_SPINDLES;
    } else if (!force && state[at + INSTANCE_SPINDLES]! + demand.spindle_use > table.high_spindles[node]!) {
      return NO_DISK;
    }
  }
  if (force) return FITS;
  if (unallocated <= state[at + RESERVED_MEMORY]! && state[at + FAILS_N1] === 0) return NO_MEMORY;
  const cpus = state[at + USED_CPUS]! + (demand.uses_cpus ? demand.vcpus : 0);
  const ratio = table.vcpu_ratio[node]!;
  if (ratio >= 0 && ratio < cpus / table.total_cpus[node]!) return NO_CPU;
  if (demand.exclusion.length > 0 && meetsTag(table, node, demand)) return NO_TAGS;
  return forthPrimaryFailure(table, node, demand);
}

function forthPrimaryFailure(table: Table, node: number, demand: Demand): number {
  const { state } = table;
  const at = node * STRIDE;
  if (state[at + FORTH_FREE_MEMORY]! - demand.memory <= 0) return NO_MEMORY;
  if (demand.local) {
    const disk = state[at + FORTH_FREE_DISK]! - demand.disk;
    if (disk <= 0 || disk < table.low_disk[node]!) return NO_DISK;
    if (table.exclusive[node] === 1) {
      if (spindlesAfterAdding(state[at + FORTH_FREE_SPINDLES]!, demand) < 0) return NO_SPINDLES;
    } else if (state[at + FORTH_INSTANCE_SPINDLES]! + demand.spindle_use > table.high_spindles[node]!) {
      return NO_DISK;
    }
  }
  const cpus = state[at + FORTH_USED_CPUS]! + (demand.uses_cpus ? demand.vcpus : 0);
  const ratio = table.vcpu_ratio[node]!;
  return ratio >= 0 && ratio < cpus / table.total_cpus[node]! ? NO_CPU : FITS;
}

function meetsTag(table: Table, node: number, demand: Demand): boolean {
  const row = node * table.tags.exclusion_names.length;
  for (const tag of demand.exclusion) if (table.tag_counts[row + tag]! > 0) return true;
  return false;
}

/**
 * Why a node cannot hold the secondary of an instance whose primary is on `primary`.
 * @param ignore_disks the disks are there already: the roles are swapped because the old primary is offline.
 */
export function secondaryFailure(
  table: Table,
  node: number,
  demand: Demand,
  primary: number,
  force: boolean,
  ignore_disks = false,
): number {
  if (demand.forthcoming) return force ? FITS : forthSecondaryFailure(table, node, demand);
  if (!demand.mirrored) return NO_DISK;
  const { state } = table;
  const at = node * STRIDE;
  const disk = state[at + FREE_DISK]! - demand.disk;
  if (!ignore_disks && disk <= 0) return NO_DISK;
  if (!force && disk < table.low_disk[node]!) return NO_DISK;
  const exclusive = table.exclusive[node] === 1;
  if (exclusive && spindlesAfterAdding(state[at + FREE_SPINDLES]!, demand) < 0) return NO_SPINDLES;
  if (force) return FITS;
  const spindles = exclusive ? 0 : state[at + INSTANCE_SPINDLES]! + demand.spindle_use;
  if (spindles > table.high_spindles[node]!) return NO_DISK;
  const unallocated = unallocatedMemory(table, node);
  const needed = demand.reserves_memory ? demand.memory : 0;
  if (needed >= unallocated) return NO_MEMORY;
  const kept = table.peers[node * table.node_count + primary]! + needed;
  const reserved = Math.max(state[at + RESERVED_MEMORY]!, kept);
  if (unallocated <= reserved && state[at + FAILS_N1] === 0) return NO_MEMORY;
  return forthSecondaryFailure(table, node, demand);
}

function forthSecondaryFailure(table: Table, node: number, demand: Demand): number {
  if (!demand.mirrored) return NO_DISK;
  const { state } = table;
  const at = node * STRIDE;
  const disk = state[at + FORTH_FREE_DISK]! - demand.disk;
  if (disk <= 0 || disk < table.low_disk[node]!) return NO_DISK;
  const exclusive = table.exclusive[node] === 1;
  if (exclusive && spindlesAfterAdding(state[at + FORTH_FREE_SPINDLES]!, demand) < 0) return NO_SPINDLES;
  const spindles = exclusive ? 0 : state[at + FORTH_INSTANCE_SPINDLES]! + demand.spindle_use;
  if (spindles > table.high_spindles[node]!) return NO_DISK;
  const needed = demand.reserves_memory ? demand.memory : 0;
  return needed >= state[at + FORTH_FREE_MEMORY]! ? NO_MEMORY : FITS;
}

/** Negative where there are not enough, or nobody knows how many the disks need. */
function spindlesAfterAdding(free: number, demand: Demand): number {
  return demand.spindles < 0 ? -1 : free - demand.spindles;
}

/**
 * Puts an instance's primary on a node, whatever the limits.
 * @param common {@link commonLocations} of its nodes, as they are to be
 */
export function addPrimary(table: Table, node: number, demand: Demand, common: number): void {
  note(table, ADDED_PRIMARY, node, demand, -1);
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    if (demand.uses_memory) state[at + INSTANCE_MEMORY]! += demand.memory;
    if (demand.local) state[at + FREE_DISK]! -= demand.disk;
    addSpindles(table, node, demand, FREE_SPINDLES, INSTANCE_SPINDLES);
    state[at + FAILS_N1] = unallocatedMemory(table, node) <= state[at + RESERVED_MEMORY]! ? 1 : 0;
    countPrimary(table, node, demand, common, 1);
  }
  countTags(table, node, demand, 1);
  state[at + FORTH_FREE_MEMORY]! -= demand.memory;
  if (demand.local) state[at + FORTH_FREE_DISK]! -= demand.disk;
  addSpindles(table, node, demand, FORTH_FREE_SPINDLES, FORTH_INSTANCE_SPINDLES);
  if (demand.uses_cpus) state[at + FORTH_USED_CPUS]! += demand.vcpus;
}

/** @param common as it was added with */
export function removePrimary(table: Table, node: number, demand: Demand, common: number): void {
  note(table, REMOVED_PRIMARY, node, demand, -1);
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    if (demand.uses_memory) state[at + INSTANCE_MEMORY]! -= demand.memory;
    if (demand.local) state[at + FREE_DISK]! += demand.disk;
    removeSpindles(table, node, demand, FREE_SPINDLES, INSTANCE_SPINDLES);
    state[at + FAILS_N1] = unallocatedMemory(table, node) <= state[at + RESERVED_MEMORY]! ? 1 : 0;
    countPrimary(table, node, demand, common, -1);
  }
  countTags(table, node, demand, -1);
  state[at + FORTH_FREE_MEMORY]! += demand.memory;
  if (demand.local) state[at + FORTH_FREE_DISK]! += demand.disk;
  removeSpindles(table, node, demand, FORTH_FREE_SPINDLES, FORTH_INSTANCE_SPINDLES);
  if (demand.uses_cpus) state[at + FORTH_USED_CPUS]! -= demand.vcpus;
}

/** @param primary the node that its primary is on, or is about to be on */
export function addSecondary(table: Table, node: number, demand: Demand, primary: number): void {
  note(table, ADDED_SECONDARY, node, demand, primary);
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    state[at + FREE_DISK]! -= demand.disk;
    addSpindles(table, node, demand, FREE_SPINDLES, INSTANCE_SPINDLES);
    const peer = node * table.node_count + primary;
    if (demand.reserves_memory) table.peers[peer]! += demand.memory;
    if (table.peers[peer]! > state[at + RESERVED_MEMORY]!) state[at + RESERVED_MEMORY] = table.peers[peer]!;
    state[at + FAILS_N1] = unallocatedMemory(table, node) <= state[at + RESERVED_MEMORY]! ? 1 : 0;
    state[at + DISK_LOAD]! += demand.disk_load;
    state[at + SECONDARIES]! += 1;
  }
  state[at + FORTH_FREE_DISK]! -= demand.disk;
  addSpindles(table, node, demand, FORTH_FREE_SPINDLES, FORTH_INSTANCE_SPINDLES);
}

/** @param primary as it was added with */
export function removeSecondary(table: Table, node: number, demand: Demand, primary: number): void {
  note(table, REMOVED_SECONDARY, node, demand, primary);
  const { state } = table;
  const at = node * STRIDE;
  if (!demand.forthcoming) {
    if (demand.local) state[at + FREE_DISK]! += demand.disk;
    removeSpindles(table, node, demand, FREE_SPINDLES, INSTANCE_SPINDLES);
    const peer = node * table.node_count + primary;
    const kept = table.peers[peer]!;
    if (demand.reserves_memory) table.peers[peer] = Math.max(0, kept - demand.memory);
    if (kept >= state[at + RESERVED_MEMORY]!) state[at + RESERVED_MEMORY] = mostReserved(table, node);
    state[at + FAILS_N1] = unallocatedMemory(table, node) <= state[at + RESERVED_MEMORY]! ? 1 : 0;
    state[at + DISK_LOAD]! -= demand.disk_load;
    state[at + SECONDARIES]! -= 1;
  }
  if (demand.local) state[at + FORTH_FREE_DISK]! += demand.disk;
  removeSpindles(table, node, demand, FORTH_FREE_SPINDLES, FORTH_INSTANCE_SPINDLES);
}

function mostReserved(table: Table, node: number): number {
  const { peers, node_count } = table;
  let most = 0;
  for (let at = node * node_count; at < (node + 1) * node_count; at++)
    if (peers[at]! > most) most = peers[at]!;
  return most;
}

function addSpindles(table: Table, node: number, demand: Demand, free: number, used: number): void {
  const { state } = table;
  const at = node * STRIDE;
  if (table.exclusive[node] === 1) {
    state[at + free] = spindlesAfterAdding(state[at + free]!, demand);
    state[at + used] = 0;
  } else {
    state[at + free] = 0;
    if (demand.local) state[at + used]! += demand.spindle_use;
  }
}

function takeForthSpindles(table: Table, node: number, demand: Demand): void {
  const { state } = table;
  const at = node * STRIDE + FORTH_FREE_SPINDLES;
  state[at] = table.exclusive[node] === 1 ? spindlesAfterAdding(state[at]!, demand) : 0;
}

function removeSpindles(table: Table, node: number, demand: Demand, free: number, used: number): void {
  const { state } = table;
  const at = node * STRIDE;
  if (table.exclusive[node] === 1) {
    if (demand.spindles >= 0) state[at + free]! += demand.spindles;
    state[at + used] = 0;
  } else {
    state[at + free] = 0;
    if (demand.local) state[at + used]! -= demand.spindle_use;
  }
}

/** What every real primary changes beyond memory and disk. @param by 1 or -1 */
function countPrimary(table: Table, node: number, demand: Demand, common: number, by: number): void {
  const { state } = table;
  const at = node * STRIDE;
  state[at + PRIMARIES]! += by;
  if (demand.uses_cpus) state[at + USED_CPUS]! += by * demand.vcpus;
  state[at + CPU_LOAD]! += by * demand.cpu_load;
  state[at + MEMORY_LOAD]! += by * demand.memory_load;
  state[at + DISK_LOAD]! += by * demand.disk_load;
  state[at + NET_LOAD]! += by * demand.net_load;
  state[at + LOCATION_SCORE]! += by * (common + missedLocations(table, node, demand));
}

function countTags(table: Table, node: number, demand: Demand, by: number): void {
  if (demand.exclusion.length === 0) return;
  const row = node * table.tags.exclusion_names.length;
  for (const tag of demand.exclusion) {
    const before = table.tag_counts[row + tag]!;
    table.tag_counts[row + tag] = before + by;
    if (by > 0 ? before > 0 : before > 1) table.state[node * STRIDE + TAG_CONFLICTS]! += by;
    if (!demand.forthcoming) table.real_tag_counts[row + tag]! += by;
  }
}

/** Writes down where an instance is now; the nodes' figures are another matter. */
export function place(table: Table, instance: number, primary: number, secondary: number): void {
  const { journal } = table;
  const entry = nextEntry(journal);
  journal.kinds[entry] = PLACED;
  journal.nodes[entry] = instance;
  journal.figures[entry * NOTE] = table.primary[instance]!;
  journal.figures[entry * NOTE + 1] = table.secondary[instance]!;
  table.primary[instance] = primary;
  table.secondary[instance] = secondary;
  if (table.rules !== null) moveInRules(table.rules, journal, entry, instance, primary, secondary);
}

/** The rules take an instance for being nowhere until it is placed: one of several that can only leave together. */
export function lift(table: Table, instance: number): void {
  if (table.rules === null) return;
  const entry = nextEntry(table.journal);
  table.journal.kinds[entry] = LIFTED;
  table.journal.nodes[entry] = instance;
  moveInRules(table.rules, table.journal, entry, instance, -1, -1);
}

/** What an instance that is not among the table's takes in the eyes of the rules; the figures are another matter. */
export function addSized(table: Table, node: number, size: PlacementInstance): void {
  if (table.rules === null) return;
  table.journal.kinds[nextEntry(table.journal)] = SIZED;
  addSize(table.rules, size, node);
}

function moveInRules(
  own: TableRules,
  { figures }: Journal,
  entry: number,
  instance: number,
  primary: number,
  secondary: number,
): void {
  figures[entry * NOTE + 2] = own.rules.primary[instance]!;
  figures[entry * NOTE + 3] = own.rules.secondary[instance]!;
  moveTo(own, instance, primary, secondary);
}

const ADDED_PRIMARY = 1;
const REMOVED_PRIMARY = 2;
const ADDED_SECONDARY = 3;
const REMOVED_SECONDARY = 4;
const PLACED = 5;
const LIFTED = 6;
const SIZED = 7;

/** The changes since the last {@link forget}, with what it takes to undo them. */
interface Journal {
  length: number;
  readonly kinds: number[];
  /** Or instances, where one was placed. */
  readonly nodes: number[];
  readonly primaries: number[];
  readonly demands: Demand[];
  /** Of each change: the node's figures before it, then what it kept for the primary; or where an instance was. */
  figures: Float64Array;
}

const NOTE = STRIDE + 1;

function newJournal(): Journal {
  return {
    length: 0,
    kinds: [],
    nodes: [],
    primaries: [],
    demands: [],
    figures: new Float64Array(16 * NOTE),
  };
}

function note(table: Table, kind: number, node: number, demand: Demand, primary: number): void {
  const { journal, state } = table;
  const entry = nextEntry(journal);
  journal.kinds[entry] = kind;
  journal.nodes[entry] = node;
  journal.primaries[entry] = primary;
  journal.demands[entry] = demand;
  const from = node * STRIDE;
  const to = entry * NOTE;
  for (let at = 0; at < STRIDE; at++) journal.figures[to + at] = state[from + at]!;
  if (primary >= 0) journal.figures[to + STRIDE] = table.peers[node * table.node_count + primary]!;
}

function nextEntry(journal: Journal): number {
  const entry = journal.length;
  if ((entry + 1) * NOTE > journal.figures.length) {
    const larger = new Float64Array(journal.figures.length * 2);
    larger.set(journal.figures);
    journal.figures = larger;
  }
  journal.length = entry + 1;
  return entry;
}

/** Where the journal stands now, for {@link undoTo}. */
export function mark(table: Table): number {
  return table.journal.length;
}

/** Undoes every change since the mark, to the last bit. */
export function undoTo(table: Table, to: number): void {
  const { journal, state } = table;
  while (journal.length > to) {
    const entry = journal.length - 1;
    journal.length = entry;
    const kind = journal.kinds[entry]!;
    const node = journal.nodes[entry]!;
    const from = entry * NOTE;
    if (kind === PLACED) {
      table.primary[node] = journal.figures[from]!;
      table.secondary[node] = journal.figures[from + 1]!;
    }
    if (kind === PLACED || kind === LIFTED) {
      if (table.rules !== null)
        moveTo(table.rules, node, journal.figures[from + 2]!, journal.figures[from + 3]!);
      continue;
    }
    if (kind === SIZED) {
      if (table.rules !== null) removeNewestSize(table.rules);
      continue;
    }
    const primary = journal.primaries[entry]!;
    if (kind === ADDED_PRIMARY) countTags(table, node, journal.demands[entry]!, -1);
    if (kind === REMOVED_PRIMARY) countTags(table, node, journal.demands[entry]!, 1);
    const at = node * STRIDE;
    for (let figure = 0; figure < STRIDE; figure++) state[at + figure] = journal.figures[from + figure]!;
    if (primary >= 0) table.peers[node * table.node_count + primary] = journal.figures[from + STRIDE]!;
  }
}

/** Lets go of what it takes to undo: what was done stays done. Marks from before are void. */
export function forget(table: Table): void {
  table.journal.length = 0;
}
