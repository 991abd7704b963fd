/**
 * How many more instances a cluster holds (hspace): of one size, or of the largest size that fits, made smaller step by
 * step. Each is placed as a new instance would be, until none fits any more.
 *
 * The smaller sizes: what most candidates failed for is made one step less. Where that leads nowhere, down to the least
 * step, the smallest cut of any one resource that makes room is looked for, of what most failed for first.
 */
import {
  type Allocation,
  type AllocationOptions,
  allocate,
  type Candidates,
  type FailureCounts,
  failure_order,
  type Placing,
  type Solution,
  settle,
  type Wanted,
} from './allocate.ts';
import { othersOf } from './allocate-group.ts';
import type { DiskTemplate, PlacementFailure, PlacementInstance, Spec } from './cluster.ts';
import { isRedundant, openRedundancy } from './redundancy.ts';
import { moveOutNewest, residentOf } from './residents.ts';
import { demandOf, mark, type Table, undoTo } from './table.ts';

/** What is asked for again and again. */
export interface InstanceSize {
  readonly memory_mib: number;
  readonly disk_mib: number;
  readonly vcpus: number;
  readonly spindles: number;
}

export interface PlacedSize extends Pick<Solution, 'primary' | 'secondary'> {
  readonly size: InstanceSize;
}

export interface CapacityRun {
  /** In the order in which they were placed. */
  readonly placed: readonly PlacedSize[];
  /** Why no further one fits. */
  readonly failures: FailureCounts;
}

export interface CapacityOptions extends AllocationOptions {
  readonly template: DiskTemplate;
  readonly spindle_use: number;
  readonly candidates: Candidates;
  /** As many as are placed at most; null: as many as fit. */
  readonly limit: number | null;
}

export function sizeOf(spec: Spec): InstanceSize {
  return {
    memory_mib: spec.memory_mib,
    disk_mib: spec.disk_mib,
    vcpus: spec.cpus,
    spindles: spec.spindle_use,
  };
}

/** Steps by which sizes are made smaller, and below which they do not go. */
const step: InstanceSize = { memory_mib: 64, disk_mib: 256, vcpus: 1, spindles: 1 };

const shrunk_for: { readonly [failure in PlacementFailure]?: keyof InstanceSize } = {
  memory: 'memory_mib',
  disk: 'disk_mib',
  cpu: 'vcpus',
  spindles: 'spindles',
};

/** One step less of what a failure is about; null if there is no such step. */
export function shrink(size: InstanceSize, failure: PlacementFailure): InstanceSize | null {
  const key = shrunk_for[failure];
  if (key === undefined) return null;
  const less = size[key] - step[key];
  return less < step[key] ? null : { ...size, [key]: less };
}

/** All online nodes of groups that may be used, in pairs of one group for templates with a copy. */
export function capacityCandidates(
  table: Table,
  template: DiskTemplate,
  mayUse: (group: number) => boolean,
): Candidates {
  const { nodes } = table.cluster;
  const online = nodes.flatMap(({ group }, node) =>
    table.offline[node] === 0 && mayUse(group) ? [node] : [],
  );
  if (template !== 'drbd') return { primaries: online, secondariesOf: null };
  const secondaries = new Map(
    online.map((node) => {
      const mates = online.filter((other) => nodes[other]!.group === nodes[node]!.group);
      return [node, othersOf(mates)(node)];
    }),
  );
  const secondariesOf = (node: number): readonly number[] => secondaries.get(node) ?? [];
  return { primaries: online.filter((node) => secondariesOf(node).length > 0), secondariesOf };
}

/** Something to place: the same for all of one size. */
function wantedOf(size: InstanceSize, { template, spindle_use }: CapacityOptions): Wanted {
  const instance: PlacementInstance = {
    name: 'new',
    uuid: 'new',
    memory_mib: size.memory_mib,
    disk_mib: size.disk_mib,
    disks: [{ size_mib: size.disk_mib, spindles: size.spindles }],
    vcpus: size.vcpus,
    status: 'running',
    auto_balance: true,
    primary: -1,
    secondary: -1,
    template,
    tags: [],
    spindle_use,
    forthcoming: false,
    nic_count: 0,
    networks: [],
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
  };
  return { index: -1, instance, demand: demandOf(instance) };
}

/** Places instances of one size until none fits; they stay. */
export function fillStandard(placing: Placing, size: InstanceSize, options: CapacityOptions): CapacityRun {
  const wanted = wantedOf(size, options);
  const run = fillUp(placing, wanted, options, options.limit);
  return { placed: run.solutions.map((solution) => placedAt(size, solution)), failures: run.failures };
}

function placedAt(size: InstanceSize, { primary, secondary }: Solution): PlacedSize {
  return { size, primary, secondary };
}

interface Filling {
  readonly solutions: readonly Solution[];
  readonly failures: FailureCounts;
}

/** Steps between two looks at whether any node may die, once a long run has turned out to be too long. */
const short_run = 10;
const least_long_run = 20;

/**
 * Whether any node may die is not looked at for each instance: as long as the cluster can bear it after a run of them,
 * it could all the way. Runs are long at first, as long as the memory promises; then short; and from the last run that
 * was borne on, each instance is placed with that check. (The same runs as hspace's: where placing more changes how the
 * homeless would be packed, they decide what is found.) Instances with a copy are placed without it, as in hspace: the
 * memory kept for each copy answers for them.
 */
function fillUp(placing: Placing, wanted: Wanted, options: CapacityOptions, most: number | null): Filling {
  const trail = openTrail(placing, wanted);
  const unchecked = { ...options, capacity_checks: false };
  if (!options.capacity_checks || wanted.instance.template === 'drbd') {
    return { failures: extend(trail, unchecked, most), solutions: trail.solutions };
  }
  let limit = most;
  for (let long = true; ; ) {
    const run = long ? longRun(placing, wanted) : short_run;
    const start = trail.solutions.length;
    const failures = extend(trail, unchecked, limit === null ? run : Math.min(run, limit));
    if (bears(placing, options)) {
      limit = limit === null ? null : Math.max(0, limit - run);
      if (limit === 0 || trail.solutions.length === start) return { failures, solutions: trail.solutions };
    } else {
      goBack(trail, start);
      if (!long) return { failures: extend(trail, options, limit), solutions: trail.solutions };
      long = false;
    }
  }
}

/** About as many as there is memory for, less one for each node, and without the largest node. */
function longRun({ table }: Placing, { instance }: Wanted): number {
  const { nodes } = table.cluster;
  const free = nodes.reduce((sum, node) => sum + node.free_memory_mib, 0);
  const largest = nodes.reduce((most, node) => Math.max(most, node.total_memory_mib), 0);
  const fitting = Math.floor((free - Math.round(largest)) / Math.max(1, instance.memory_mib));
  return Math.max(least_long_run, fitting - nodes.length);
}

function bears({ table, residents, nodes }: Placing, { redundancy }: CapacityOptions): boolean {
  return isRedundant(openRedundancy(table, residents, nodes, redundancy));
}

/** What was placed since, with where the table's journal stood before each. */
interface Trail {
  readonly placing: Placing;
  readonly wanted: Wanted;
  readonly solutions: Solution[];
  readonly marks: number[];
}

function openTrail(placing: Placing, wanted: Wanted): Trail {
  return { placing, wanted, solutions: [], marks: [] };
}

function take(trail: Trail, solution: Solution): void {
  trail.marks.push(mark(trail.placing.table));
  trail.solutions.push(solution);
  settle(trail.placing, trail.wanted, solution);
}

/** Until none fits, or `limit` more are placed. Why the next one was not. */
function extend(trail: Trail, options: CapacityOptions, limit: number | null): FailureCounts {
  for (let count = 0; ; count++) {
    const { solution, failures } = allocate(trail.placing, trail.wanted, options.candidates, options);
    if (solution === null || (limit !== null && count >= limit)) return failures;
    take(trail, solution);
  }
}

/** Undoes all but the first `length`. */
function goBack(trail: Trail, length: number): void {
  const { placing, wanted, solutions, marks } = trail;
  while (solutions.length > length) {
    const { primary, secondary } = solutions.pop()!;
    undoTo(placing.table, marks.pop()!);
    moveOutNewest(placing.residents, primary, residentOf(wanted.instance, wanted.demand, secondary, -1));
  }
}

/** A size at which nothing fitted any more, and what then most failed for, the most frequent first. */
interface Level {
  readonly size: InstanceSize;
  readonly failures: FailureCounts;
  readonly by_frequency: readonly PlacementFailure[];
  readonly limit: number | null;
}

/**
 * Places instances of ever smaller sizes, from each of `sizes` on; they stay.
 *
 * A limit is counted down as hspace does it.
 */
export function fillTiered(
  placing: Placing,
  sizes: readonly InstanceSize[],
  options: CapacityOptions,
): CapacityRun {
  const placed: PlacedSize[] = [];
  let failures: FailureCounts = new Map();
  for (const size of sizes) {
    if (options.limit !== null && options.limit <= placed.length) break;
    const limit = options.limit === null ? null : options.limit - placed.length;
    failures = fillFrom(placing, size, options, limit, placed);
  }
  return { placed, failures };
}

function fillFrom(
  placing: Placing,
  first: InstanceSize,
  options: CapacityOptions,
  first_limit: number | null,
  placed: PlacedSize[],
): FailureCounts {
  // Levels since something was last placed, the largest size first. What failed there is what is told in the end.
  let levels: Level[] = [];
  let tried = new Map<string, Allocation>();
  let size: InstanceSize | null = first;
  let limit = first_limit;
  while (size !== null) {
    const { solutions, failures } = fillUp(placing, wantedOf(size, options), options, limit);
    for (const solution of solutions) placed.push(placedAt(size, solution));
    if (solutions.length > 0) {
      levels = [];
      tried = new Map();
    }
    const full = limit !== null && limit <= placed.length;
    const by_frequency = mostFrequentFirst(failures);
    limit = limit === null ? null : limit - placed.length;
    levels.push({ size, failures, by_frequency, limit });
    size = full ? null : shrink(size, by_frequency[0]!);
    // One that is full has no further steps of its own, but those before it may.
    for (let depth = levels.length - (full ? 2 : 1); size === null && depth >= 0; depth--) {
      const level = levels[depth]!;
      size = largeStep(placing, level, options, tried);
      limit = level.limit;
      if (size !== null) levels.length = depth + 1;
    }
  }
  return levels[0]?.failures ?? new Map();
}

/** Of equally frequent ones the last in {@link failure_order} first. */
function mostFrequentFirst(failures: FailureCounts): readonly PlacementFailure[] {
  const count = (failure: PlacementFailure): number => failures.get(failure) ?? 0;
  return [...failure_order].sort((a, b) => count(a) - count(b)).reverse();
}

/** The largest size that fits with less of one resource, as long as that is what candidates fail for. */
function largeStep(
  placing: Placing,
  { size, by_frequency }: Level,
  options: CapacityOptions,
  tried: Map<string, Allocation>,
): InstanceSize | null {
  for (const failure of by_frequency) {
    for (let less: InstanceSize | null = size; less !== null; less = shrink(less, failure)) {
      const allocation = tryOnce(placing, less, options, tried);
      if (allocation.solution !== null) return less;
      if ((allocation.failures.get(failure) ?? 0) === 0) break;
    }
  }
  return null;
}

function tryOnce(
  placing: Placing,
  size: InstanceSize,
  options: CapacityOptions,
  tried: Map<string, Allocation>,
): Allocation {
  const key = `${size.memory_mib},${size.disk_mib},${size.vcpus},${size.spindles}`;
  let allocation = tried.get(key);
  if (allocation === undefined) {
    allocation = allocate(placing, wantedOf(size, options), options.candidates, options);
    tried.set(key, allocation);
  }
  return allocation;
}
