/**
 * Who has its primary on which node, and what becomes of it when that node dies. Follows a {@link Table} whose primaries
 * and secondaries change; reservations are not in it, there is nothing of them to restart.
 */
import type { DiskTemplate, PlacementInstance } from './cluster.ts';
import { instanceBreach, policyAt } from './policy.ts';
import type { Demand, Table } from './table.ts';

/** Its copy on the secondary takes over. */
export const TAKES_OVER = 0;
/** It can be started on every node of its group. */
export const STARTS_ANYWHERE = 1;
/** It has to be made anew on some node of its group. */
export const MADE_ANEW = 2;

const rescues: { readonly [template in DiskTemplate]: 0 | 1 | 2 } = {
  drbd: TAKES_OVER,
  mirror: TAKES_OVER,
  diskless: STARTS_ANYWHERE,
  sharedfile: STARTS_ANYWHERE,
  rbd: STARTS_ANYWHERE,
  ext: STARTS_ANYWHERE,
  gluster: STARTS_ANYWHERE,
  plain: MADE_ANEW,
  file: MADE_ANEW,
  blockdev: MADE_ANEW,
};

export interface Resident {
  readonly demand: Demand;
  readonly rescue: 0 | 1 | 2;
  /** -1: none. */
  readonly secondary: number;
  readonly instance: PlacementInstance;
  /** In the rules; -1: it is not in them, a mere size. */
  readonly index: number;
}

export interface Residents {
  /** Of each node, the oldest first. */
  readonly on: readonly Resident[][];
  /** [primary × nodes + secondary]: how many take over there, and the memory that they need. */
  readonly take_overs: Int32Array;
  readonly take_over_memory: Float64Array;
}

/** Those of the table's own instances that are on nodes now. */
export function readResidents(table: Table): Residents {
  const { node_count, cluster } = table;
  const residents: Residents = {
    on: Array.from({ length: node_count }, () => []),
    take_overs: new Int32Array(node_count * node_count),
    take_over_memory: new Float64Array(node_count * node_count),
  };
  for (const [at, instance] of cluster.instances.entries()) {
    const demand = table.demands[at]!;
    const primary = table.primary[at]!;
    moveIn(residents, primary, residentOf(instance, demand, table.secondary[at]!, at));
  }
  return residents;
}

export function residentOf(
  instance: PlacementInstance,
  demand: Demand,
  secondary: number,
  index: number,
): Resident {
  const own = rescues[instance.template];
  const rescue = own === TAKES_OVER && secondary < 0 ? MADE_ANEW : own;
  return { demand, rescue, secondary, instance, index };
}

/** A new primary on a node. Reservations are left out. */
export function moveIn(residents: Residents, primary: number, resident: Resident): void {
  if (resident.demand.forthcoming) return;
  residents.on[primary]!.push(resident);
  countTakeOver(residents, primary, resident, 1);
}

/** Takes out the newest one of a node, which is `resident`. */
export function moveOutNewest(residents: Residents, primary: number, resident: Resident): void {
  if (resident.demand.forthcoming) return;
  residents.on[primary]!.pop();
  countTakeOver(residents, primary, resident, -1);
}

/** Takes out an instance, by its identity. */
export function moveOut(residents: Residents, primary: number, instance: PlacementInstance): void {
  const here = residents.on[primary]!;
  const at = here.findIndex((resident) => resident.instance === instance);
  if (at === -1) return;
  const [resident] = here.splice(at, 1);
  countTakeOver(residents, primary, resident!, -1);
}

function countTakeOver(residents: Residents, primary: number, resident: Resident, by: number): void {
  if (resident.rescue !== TAKES_OVER) return;
  const at = primary * residents.on.length + resident.secondary;
  residents.take_overs[at]! += by;
  if (resident.demand.uses_memory) residents.take_over_memory[at]! += by * resident.demand.memory;
}

/** Could an instance be made anew on a node, as far as policies go? */
export function allowedOn(table: Table, node: number, instance: PlacementInstance): boolean {
  return instanceBreach(instance, policyAt(table.cluster, node), table.exclusive[node] === 1) === null;
}
