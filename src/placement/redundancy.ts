/**
 * Could every instance be restarted at once if any one node died? (Ganeti's global N+1, `FailN1`.)
 *
 * Those with a copy start on their secondary; those whose disks every node reaches start where the group's score is then
 * least, one after the other; the others are made anew, the largest first. Only hard limits count. Nodes are judged one
 * by one, each against the cluster as it is.
 *
 * {@link survives} plays this through. {@link staysRedundant} asks it only where simple sums cannot tell: as long as
 * there are at least as many places of the largest size as there are instances to restart, no order of placing them can
 * fail, whatever the scores are.
 */
import {
  allowedOn,
  MADE_ANEW,
  moveIn,
  moveOutNewest,
  type Resident,
  type Residents,
  STARTS_ANYWHERE,
  TAKES_OVER,
} from './residents.ts';
import { currentScore, enter, leave, openScore, type RunningScore } from './score.ts';
import {
  addPrimary,
  addSecondary,
  addSized,
  commonLocations,
  FITS,
  FREE_DISK,
  lift,
  mark,
  mayMigrate,
  place,
  primaryFailure,
  removePrimary,
  removeSecondary,
  STRIDE,
  secondaryFailure,
  type Table,
  unallocatedMemory,
  undoTo,
} from './table.ts';
import { lacks, mayRestart } from './table-rules.ts';

export interface Redundancy {
  readonly table: Table;
  readonly residents: Residents;
  /** All that take part, by index, ascending. */
  readonly nodes: readonly number[];
  /** Those that may die. */
  readonly judged: readonly number[];
  /** Of each group: those of `nodes` that are in it. */
  readonly group_nodes: readonly (readonly number[])[];
  readonly any_exclusive: boolean;
  /** Nodes that are offline take nothing. */
  readonly only_online: boolean;
}

export interface RedundancyOptions {
  /** Nodes that are offline already are not judged. */
  readonly skip_offline?: boolean;
  /** Nodes that are offline (or drained) take nothing that has to go elsewhere. The htools have them take it. */
  readonly only_online?: boolean;
  /** Groups that are not judged, by index. */
  readonly ignored_groups?: ReadonlySet<number>;
}

export function openRedundancy(
  table: Table,
  residents: Residents,
  nodes: readonly number[],
  options: RedundancyOptions = {},
): Redundancy {
  const group_nodes: number[][] = table.cluster.groups.map(() => []);
  for (const node of nodes) group_nodes[groupOf(table, node)]!.push(node);
  return {
    table,
    residents,
    nodes,
    judged: nodes.filter(
      (node) =>
        !(options.skip_offline === true && table.offline[node] === 1) &&
        !(options.ignored_groups?.has(groupOf(table, node)) ?? false),
    ),
    group_nodes,
    any_exclusive: nodes.some((node) => table.exclusive[node] === 1),
    only_online: options.only_online === true,
  };
}

function groupOf(table: Table, node: number): number {
  return table.cluster.nodes[node]!.group;
}

/** Of the group of a node: those that may take what has to leave it. */
function othersOf({ table, group_nodes, only_online }: Redundancy, node: number): readonly number[] {
  return group_nodes[groupOf(table, node)]!.filter(
    (other) => other !== node && !(only_online && table.offline[other] === 1),
  );
}

export function isRedundant(redundancy: Redundancy): boolean {
  return redundancy.judged.every((node) => certainlySurvives(redundancy, node) || survives(redundancy, node));
}

/**
 * Told of each instance that finds no place, with the nodes that were tried, as the cluster then is. Answers whether to
 * go on with the others.
 */
export type FoundHomeless = (resident: Resident, targets: readonly number[]) => boolean;

/** Could all primaries of a node be restarted without it? Changes nothing. */
export function survives(redundancy: Redundancy, node: number): boolean {
  return playLoss(redundancy, node, () => false);
}

/** Restarts all primaries of a node elsewhere, as far as `homeless` says to go on. Changes nothing. */
export function playLoss(redundancy: Redundancy, node: number, homeless: FoundHomeless): boolean {
  const here = redundancy.residents.on[node]!;
  if (here.length === 0) return true;
  const start = mark(redundancy.table);
  liftHomeless(redundancy, here);
  let all = true;
  const told: FoundHomeless = (resident, targets) => {
    all = false;
    return homeless(resident, targets);
  };
  const played =
    takeOvers(redundancy, node, here, told) &&
    restarts(redundancy, node, here, told) &&
    newOnes(redundancy, node, here, told);
  undoTo(redundancy.table, start);
  return played && all;
}

/** Those with a copy, on their secondaries. */
function takeOvers(
  { table }: Redundancy,
  node: number,
  here: readonly Resident[],
  homeless: FoundHomeless,
): boolean {
  for (const resident of here) {
    const { demand, rescue, secondary, index } = resident;
    if (rescue !== TAKES_OVER) continue;
    const refused = (): boolean => !homeless(resident, [secondary]);
    if (!mayMigrate(table, node, secondary)) {
      if (refused()) return false;
      continue;
    }
    const common = commonLocations(table, node, secondary);
    removePrimary(table, node, demand, common);
    removeSecondary(table, secondary, demand, node);
    if (primaryFailure(table, secondary, demand, true) !== FITS) {
      if (refused()) return false;
      continue;
    }
    addPrimary(table, secondary, demand, common);
    const offline = table.offline[node] === 1;
    if (secondaryFailure(table, node, demand, secondary, true, offline) === FITS) {
      addSecondary(table, node, demand, secondary);
      if (table.rules !== null && index >= 0) place(table, index, secondary, node);
    } else if (refused()) {
      return false;
    }
  }
  return true;
}

/** The rules forget where those are that have to go elsewhere: they are in nobody's way. */
function liftHomeless({ table }: Redundancy, here: readonly Resident[]): void {
  if (table.rules === null) return;
  for (const { rescue, index } of here) if (rescue !== TAKES_OVER && index >= 0) lift(table, index);
}

/** Those of the nodes that rules let an instance restart on. None: it is the rules that keep it down, not want of room. */
function allowedTargets(
  { rules }: Table,
  targets: readonly number[],
  node: number,
  { index }: Resident,
): readonly number[] {
  if (rules === null || index < 0) return targets;
  return targets.filter((target) => mayRestart(rules, index, node, target));
}

/** Those that start anywhere, the newest first, each where it leaves the group with the least score. */
function restarts(
  redundancy: Redundancy,
  node: number,
  here: readonly Resident[],
  homeless: FoundHomeless,
): boolean {
  if (!here.some(({ rescue }) => rescue === STARTS_ANYWHERE)) return true;
  const { table, group_nodes } = redundancy;
  const group = group_nodes[groupOf(table, node)]!;
  const score = openScore(table, group);
  const targets = othersOf(redundancy, node).filter((other) => mayMigrate(table, node, other));
  for (let at = here.length - 1; at >= 0; at--) {
    const resident = here[at]!;
    const { demand, rescue } = resident;
    if (rescue !== STARTS_ANYWHERE) continue;
    leave(score, table, node);
    removePrimary(table, node, demand, 0);
    enter(score, table, node);
    const allowed = allowedTargets(table, targets, node, resident);
    if (allowed.length === 0 && targets.length > 0) continue;
    if (!startOnBest(table, score, allowed, resident) && !homeless(resident, allowed)) return false;
  }
  return true;
}

/** Those that are made anew, the largest first. The old ones stay where they are. */
function newOnes(
  redundancy: Redundancy,
  node: number,
  here: readonly Resident[],
  homeless: FoundHomeless,
): boolean {
  const made_anew = here
    .filter(({ rescue }) => rescue === MADE_ANEW)
    .reverse()
    .sort((a, b) => b.demand.memory - a.demand.memory);
  if (made_anew.length === 0) return true;
  const { table, nodes } = redundancy;
  const score = openScore(table, nodes);
  const others = othersOf(redundancy, node);
  for (const resident of made_anew) {
    const targets = others.filter((other) => allowedOn(table, other, resident.instance));
    const allowed = allowedTargets(table, targets, node, resident);
    if (allowed.length === 0 && targets.length > 0) continue;
    if (!startOnBest(table, score, allowed, resident) && !homeless(resident, allowed)) return false;
  }
  return true;
}

/** Of equally good nodes the last. */
function startOnBest(
  table: Table,
  score: RunningScore,
  targets: readonly number[],
  { demand, index, instance }: Resident,
): boolean {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (const target of targets) {
    if (primaryFailure(table, target, demand, true) !== FITS) continue;
    if (table.rules !== null && lacks(table.rules, index, instance, target) !== null) continue;
    const start = mark(table);
    leave(score, table, target);
    addPrimary(table, target, demand, 0);
    enter(score, table, target);
    const value = currentScore(score);
    leave(score, table, target);
    undoTo(table, start);
    enter(score, table, target);
    // Not a number where a node has none of something; the first one will do then.
    if (best === -1 || value <= least) {
      best = target;
      least = value;
    }
  }
  if (best === -1) return false;
  leave(score, table, best);
  addPrimary(table, best, demand, 0);
  enter(score, table, best);
  tellRules(table, index, instance, best, -1);
  return true;
}

function tellRules(
  table: Table,
  index: number,
  instance: Resident['instance'],
  primary: number,
  secondary: number,
): void {
  if (table.rules === null) return;
  if (index >= 0) place(table, index, primary, secondary);
  else addSized(table, primary, instance);
}

/** Instances of a node that have to go elsewhere, other than to their secondaries. */
interface Homeless {
  readonly count: number;
  readonly memory: number;
  /** Of the largest that needs disk where it goes; -1: none does. */
  readonly disk: number;
  /** One of them is not allowed anywhere by the policy of the group. */
  readonly refused: boolean;
  /** Tags say where those that start anywhere may go. */
  readonly bound: boolean;
  /** Skein's rules have a say: sums of places do not tell whether all can go. */
  readonly ruled: boolean;
}

function homelessOf(redundancy: Redundancy, node: number, extra: Resident | null): Homeless {
  const { table, residents, group_nodes } = redundancy;
  let count = 0;
  let memory = 0;
  let disk = -1;
  let refused = false;
  let bound = false;
  let ruled = false;
  const add = (resident: Resident): void => {
    const { rescue, demand } = resident;
    if (rescue === TAKES_OVER) return;
    count += 1;
    ruled ||= isRuled(table, resident);
    if (demand.uses_memory) memory = Math.max(memory, demand.memory);
    if (rescue === STARTS_ANYWHERE) {
      bound ||= table.tags.migration !== null;
      return;
    }
    if (demand.local) disk = Math.max(disk, demand.disk);
    const other = group_nodes[groupOf(table, node)]!.find((one) => one !== node);
    refused ||= other === undefined || !allowedOn(table, other, resident.instance);
  };
  for (const resident of residents.on[node]!) add(resident);
  if (extra !== null) add(extra);
  return { count, memory, disk, refused, bound, ruled };
}

function isRuled({ rules }: Table, { index }: Resident): boolean {
  if (rules === null) return false;
  return rules.rules.capacity.any || (index >= 0 && rules.rules.asks[index] === 1);
}

/** Places of the largest size on a node, once it has taken over what it has copies of. */
function placesOn(
  table: Table,
  homeless: Homeless,
  dead: number,
  node: number,
  unallocated: number,
  free_disk: number,
): number {
  if (homeless.bound && !mayMigrate(table, dead, node)) return 0;
  const by_memory = places(unallocated, homeless.memory);
  return homeless.disk < 0 ? by_memory : Math.min(by_memory, places(free_disk, homeless.disk));
}

/** How many of a size fit so that something is left. More than enough if they take nothing. */
function places(free: number, size: number): number {
  if (free <= 0) return 0;
  return size === 0 ? 1e9 : Math.ceil(free / size) - 1;
}

/** Where this is false, {@link survives} has to tell. */
function certainlySurvives(redundancy: Redundancy, node: number): boolean {
  const { table, residents, any_exclusive } = redundancy;
  if (any_exclusive) return false;
  if (!copiesSurvive(table, residents, node)) return false;
  const homeless = homelessOf(redundancy, node, null);
  if (homeless.count === 0) return true;
  if (homeless.refused || homeless.ruled) return false;
  let count = 0;
  for (const other of othersOf(redundancy, node)) {
    count += placesNow(table, residents, homeless, node, other);
    if (count >= homeless.count) return true;
  }
  return false;
}

function placesNow(
  table: Table,
  residents: Residents,
  homeless: Homeless,
  dead: number,
  node: number,
): number {
  const needed = residents.take_over_memory[dead * table.node_count + node]!;
  const unallocated = unallocatedMemory(table, node) - needed;
  return placesOn(table, homeless, dead, node, unallocated, table.state[node * STRIDE + FREE_DISK]!);
}

/** All that have a copy can start on it. For nodes without exclusive storage. */
function copiesSurvive(table: Table, residents: Residents, node: number): boolean {
  const { node_count } = table;
  const row = node * node_count;
  let any = false;
  for (let other = 0; other < node_count; other++) {
    if (residents.take_overs[row + other]! === 0) continue;
    any = true;
    if (unallocatedMemory(table, other) - residents.take_over_memory[row + other]! <= 0) return false;
    if (table.state[other * STRIDE + FREE_DISK]! <= 0 || !mayMigrate(table, node, other)) return false;
  }
  return !any || table.offline[node] === 1 || table.state[node * STRIDE + FREE_DISK]! > 0;
}

/** What is known of each judged node before anything is added. */
export interface Outlook {
  readonly redundancy: Redundancy;
  /** Some node is lost already; whatever is added cannot help. */
  readonly hopeless: boolean;
  /** Of each node: the most memory that it may have to take over from one judged node; -1: it has no copies. */
  readonly most_taken_over: Float64Array;
  /** Judged nodes with homeless instances, and how many places the others have for those. */
  readonly homeless: readonly (Homeless & { readonly node: number; readonly places: number })[];
}

export function openOutlook(redundancy: Redundancy): Outlook {
  const { table, residents, judged } = redundancy;
  const { node_count } = table;
  const most_taken_over = new Float64Array(node_count).fill(-1);
  for (const node of judged) {
    for (let other = 0; other < node_count; other++) {
      const at = node * node_count + other;
      if (residents.take_overs[at]! === 0) continue;
      most_taken_over[other] = Math.max(most_taken_over[other]!, residents.take_over_memory[at]!);
    }
  }
  const homeless = judged.flatMap((node) => {
    const own = homelessOf(redundancy, node, null);
    if (own.count === 0) return [];
    let sum = 0;
    for (const other of othersOf(redundancy, node)) sum += placesNow(table, residents, own, node, other);
    return [{ ...own, node, places: sum }];
  });
  return { redundancy, hopeless: !isRedundant(redundancy), most_taken_over, homeless };
}

/** Is the cluster redundant once `added` is on `primary` (and its copy on its secondary)? Changes nothing. */
export function staysRedundant(outlook: Outlook, added: Resident, primary: number): boolean {
  const { redundancy, hopeless } = outlook;
  if (hopeless) return false;
  if (added.demand.forthcoming) return true;
  if (redundancy.any_exclusive) return playedThrough(outlook, added, primary, redundancy.judged);
  if (!copiesStaySafe(outlook, added, primary)) return false;
  const doubtful = doubtfulNodes(outlook, added, primary);
  return doubtful.length === 0 || playedThrough(outlook, added, primary, doubtful);
}

function copiesStaySafe(outlook: Outlook, added: Resident, primary: number): boolean {
  const { table, residents, judged } = outlook.redundancy;
  const { demand, secondary } = added;
  const memory = demand.uses_memory ? demand.memory : 0;
  const disk = demand.local ? demand.disk : 0;
  if (outlook.most_taken_over[primary]! >= 0) {
    if (unallocatedMemory(table, primary) - memory - outlook.most_taken_over[primary]! <= 0) return false;
    if (table.state[primary * STRIDE + FREE_DISK]! - disk <= 0) return false;
  }
  if (added.rescue !== TAKES_OVER || !judged.includes(primary)) return true;
  if (!mayMigrate(table, primary, secondary)) return false;
  const needed = residents.take_over_memory[primary * table.node_count + secondary]! + memory;
  return (
    unallocatedMemory(table, secondary) - needed > 0 &&
    table.state[secondary * STRIDE + FREE_DISK]! - disk > 0 &&
    table.state[primary * STRIDE + FREE_DISK]! - disk > 0
  );
}

/** Nodes of which the sums do not say whether they still survive. */
function doubtfulNodes(outlook: Outlook, added: Resident, primary: number): readonly number[] {
  const { table, residents, judged } = outlook.redundancy;
  const { demand, secondary } = added;
  const group = groupOf(table, primary);
  const memory = demand.uses_memory ? demand.memory : 0;
  const disk = demand.local ? demand.disk : 0;
  const doubtful: number[] = [];
  const placesAfter = (homeless: Homeless, dead: number, node: number): number => {
    const taken_over =
      residents.take_over_memory[dead * table.node_count + node]! +
      (dead === primary && node === secondary ? memory : 0);
    const unallocated = unallocatedMemory(table, node) - taken_over - (node === primary ? memory : 0);
    const taken_disk = node === primary || node === secondary ? disk : 0;
    const free_disk = table.state[node * STRIDE + FREE_DISK]! - taken_disk;
    return placesOn(table, homeless, dead, node, unallocated, free_disk);
  };
  for (const homeless of outlook.homeless) {
    const { node } = homeless;
    if (node === primary || groupOf(table, node) !== group) continue;
    let left = homeless.places;
    left += placesAfter(homeless, node, primary) - placesNow(table, residents, homeless, node, primary);
    if (secondary >= 0 && secondary !== node && groupOf(table, secondary) === group) {
      left += placesAfter(homeless, node, secondary) - placesNow(table, residents, homeless, node, secondary);
    }
    if (homeless.refused || homeless.ruled || left < homeless.count) doubtful.push(node);
  }
  if (judged.includes(primary)) {
    const own = homelessOf(outlook.redundancy, primary, added);
    let sum = 0;
    if (own.count > 0) {
      for (const other of othersOf(outlook.redundancy, primary)) sum += placesAfter(own, primary, other);
    }
    if (own.refused || own.ruled || sum < own.count) doubtful.push(primary);
  }
  return doubtful;
}

function playedThrough(
  outlook: Outlook,
  added: Resident,
  primary: number,
  nodes: readonly number[],
): boolean {
  const { redundancy } = outlook;
  const { table, residents } = redundancy;
  const start = mark(table);
  addPrimary(table, primary, added.demand, commonLocations(table, primary, added.secondary));
  if (added.secondary >= 0) addSecondary(table, added.secondary, added.demand, primary);
  tellRules(table, added.index, added.instance, primary, added.secondary);
  moveIn(residents, primary, added);
  const survived = nodes.every((node) => survives(redundancy, node));
  moveOutNewest(residents, primary, added);
  undoTo(table, start);
  return survived;
}
