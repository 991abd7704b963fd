/**
 * Where a new instance goes when all storage is exclusive (hail's dedicated allocation): where the fewest future
 * instances are lost.
 *
 * For each min-max pair of the policy, the largest disk first, a node still has room for so many of the pair's smallest
 * instances. What an allocation takes off these numbers is compared pair by pair; then the disk that is left, less being
 * better, so that nodes are filled up.
 */
import type { Allocation, AllocationOptions, Candidates, Wanted } from './allocate.ts';
import { type GroupMethod, groupCandidates, networkRefusal } from './allocate-group.ts';
import type { PlacementCluster, PlacementFailure, PlacementInstance } from './cluster.ts';
import { instanceBreach, policyAt } from './policy.ts';
import { openGate } from './rule-gate.ts';
import {
  addPrimary,
  addSecondary,
  type Demand,
  demandOf,
  FITS,
  FREE_DISK,
  failureOf,
  mark,
  primaryFailure,
  STRIDE,
  secondaryFailure,
  type Table,
  undoTo,
} from './table.ts';

/** For each size, how many instances are lost; and the disk that is left on the chosen nodes. */
export interface LostAllocations {
  readonly lost: readonly number[];
  readonly left_disk: number;
}

export interface DedicatedAllocation extends Pick<Allocation, 'failures' | 'successes' | 'reasons'> {
  readonly solution: (LostAllocations & { readonly primary: number; readonly secondary: number }) | null;
}

/** Is storage exclusive on every node that an allocation could use? @param group by name; null: any allocable one */
export function isDedicated(cluster: PlacementCluster, group: string | null): boolean {
  return cluster.nodes.every((node) => {
    if (node.exclusive_storage) return true;
    const { name, alloc_policy } = cluster.groups[node.group]!;
    return group === null ? alloc_policy === 'unallocable' : name !== group;
  });
}

/** Allocation in one group by what is lost. */
export function byLostAllocations(
  table: Table,
  wanted: Wanted,
  node_count: number,
  restrict_to: ReadonlySet<string> | null,
  options: Pick<AllocationOptions, 'force'>,
): GroupMethod<DedicatedAllocation> {
  return {
    checks_networks: true,
    tryGroup: (group) => {
      const refusal = networkRefusal(table.cluster, group, wanted.instance);
      if (refusal !== null) return refusal;
      const candidates = groupCandidates(table, group, node_count, restrict_to);
      return typeof candidates === 'string'
        ? candidates
        : allocateDedicated(table, wanted, candidates, options);
    },
    compare: (a, b) => compareLost(a.solution ?? nothing_lost, b.solution ?? nothing_lost),
    showScore: ({ solution }) =>
      solution === null ? '' : `([${solution.lost.join(',')}],${solution.left_disk})`,
  };
}

const nothing_lost: LostAllocations = { lost: [], left_disk: 0 };

export function compareLost(a: LostAllocations, b: LostAllocations): number {
  for (let at = 0; at < Math.min(a.lost.length, b.lost.length); at++) {
    if (a.lost[at] !== b.lost[at]) return a.lost[at]! - b.lost[at]!;
  }
  return a.lost.length - b.lost.length || a.left_disk - b.left_disk;
}

function allocateDedicated(
  table: Table,
  wanted: Wanted,
  { primaries, secondariesOf }: Candidates,
  { force }: Pick<AllocationOptions, 'force'>,
): DedicatedAllocation {
  const failures = new Map<PlacementFailure, number>();
  const failed = (failure: PlacementFailure, by: number): void => {
    if (by > 0) failures.set(failure, (failures.get(failure) ?? 0) + by);
  };
  const rooms = openRooms(table);
  const gate = openGate(table, wanted);
  let successes = 0;
  let solution: DedicatedAllocation['solution'] = null;
  const offer = (offered: NonNullable<DedicatedAllocation['solution']>): void => {
    successes += 1;
    if (solution === null || compareLost(solution, offered) >= 0) solution = offered;
  };
  for (const primary of primaries) {
    const secondaries = secondariesOf === null ? [-1] : secondariesOf(primary);
    const refusal = refusalAt(table, primary, wanted, force) ?? gate?.primaryRefusal(primary) ?? null;
    if (refusal !== null) {
      failed(refusal, secondaries.length);
      continue;
    }
    const as_primary = lostOn(rooms, primary, (node) => addPrimary(table, node, wanted.demand, 0));
    for (const secondary of secondaries) {
      if (secondary < 0) {
        offer({ ...as_primary, primary, secondary });
        continue;
      }
      if (gate?.refusesPair(primary, secondary) === true) {
        failed('rules', 1);
        continue;
      }
      const failure = secondaryFailure(table, secondary, wanted.demand, primary, false);
      if (failure !== FITS) {
        failed(failureOf(failure), 1);
        continue;
      }
      const as_secondary = lostOn(rooms, secondary, (node) =>
        addSecondary(table, node, wanted.demand, primary),
      );
      offer({
        lost: as_primary.lost.map((count, at) => count + (as_secondary.lost[at] ?? 0)),
        left_disk: as_primary.left_disk + as_secondary.left_disk,
        primary,
        secondary,
      });
    }
  }
  return { failures, successes, solution, reasons: gate?.reasons() ?? [] };
}

function refusalAt(table: Table, node: number, wanted: Wanted, force: boolean): PlacementFailure | null {
  const exclusive = table.exclusive[node] === 1;
  const breach = instanceBreach(wanted.instance, policyAt(table.cluster, node), exclusive);
  if (breach !== null) return breach.failure;
  const failure = primaryFailure(table, node, wanted.demand, force);
  return failure === FITS ? null : failureOf(failure);
}

/** The room of each node before anything is added, worked out once. */
interface Rooms {
  readonly table: Table;
  readonly before: Map<number, readonly number[]>;
  readonly sizes: Map<number, readonly Demand[]>;
}

function openRooms(table: Table): Rooms {
  return { table, before: new Map(), sizes: new Map() };
}

function lostOn(rooms: Rooms, node: number, add: (node: number) => void): LostAllocations {
  const { table } = rooms;
  let before = rooms.before.get(node);
  if (before === undefined) {
    before = roomFor(rooms, node);
    rooms.before.set(node, before);
  }
  const start = mark(table);
  add(node);
  const after = roomFor(rooms, node);
  const left_disk = table.state[node * STRIDE + FREE_DISK]!;
  undoTo(table, start);
  return { lost: before.map((count, at) => count - (after[at] ?? 0)), left_disk };
}

/** How many of each size still fit on a node. */
function roomFor(rooms: Rooms, node: number): readonly number[] {
  const { table } = rooms;
  const { group } = table.cluster.nodes[node]!;
  let sizes = rooms.sizes.get(group);
  if (sizes === undefined) {
    sizes = smallestOf(table.cluster, node);
    rooms.sizes.set(group, sizes);
  }
  return sizes.map((demand) => {
    const start = mark(table);
    let count = 0;
    // Something has to be used up, or it would never end.
    const uses_nothing = demand.memory <= 0 && demand.disk <= 0 && demand.vcpus <= 0;
    while (!uses_nothing && primaryFailure(table, node, demand, false) === FITS) {
      addPrimary(table, node, demand, 0);
      count += 1;
    }
    undoTo(table, start);
    return count;
  });
}

/** The smallest instances of each pair of a node's policy, the largest disk first. */
function smallestOf(cluster: PlacementCluster, node: number): readonly Demand[] {
  return policyAt(cluster, node)
    .minmax.map(({ min }) => min)
    .sort((a, b) => b.disk_mib - a.disk_mib)
    .map((spec) =>
      demandOf({
        name: 'minimalspecinstance',
        uuid: '',
        memory_mib: spec.memory_mib,
        disk_mib: spec.disk_mib,
        disks: [],
        vcpus: spec.cpus,
        status: 'running',
        auto_balance: false,
        primary: -1,
        secondary: -1,
        template: 'plain',
        tags: [],
        spindle_use: spec.spindle_use,
        forthcoming: false,
        nic_count: 0,
        networks: [],
        utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
      } satisfies PlacementInstance),
    );
}
