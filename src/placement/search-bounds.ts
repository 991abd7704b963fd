/**
 * What the best move of an instance can be at most, without looking at its moves. Part of `move-search.ts`.
 *
 * The score is a sum of roots of variances. A root lies above the chord between the least and the greatest value that a
 * single move can give, and on the chord the shares of the node that an instance leaves and of the node that it goes to
 * simply add up. So the least that any target can add is worked out once for all instances that take the same, and for
 * each instance it remains to add what it leaves behind. Most instances are ruled out by that.
 *
 * What a node adds is counted as no more than a node at the mean would add: that keeps chords short, and a bound that is
 * too low is still a bound.
 */
import type { MoveSearch } from './move-search.ts';
import { penalty } from './rules.ts';
import type { Columns } from './search-columns.ts';
import {
  commonLocations,
  type Demand,
  FAILS_N1,
  missedLocations,
  PRIMARIES,
  RESERVED_MEMORY,
  SECONDARIES,
  STRIDE,
  type Table,
} from './table.ts';

export interface Bounds {
  readonly roles: Chords;
  readonly copies: Chords;
  readonly reserved: Chord & { cap: number };
  /** Instances that take the same are of one class, and classes that take about the same are in one bucket. */
  readonly class_of: readonly (Taker | undefined)[];
  readonly bucket_of: readonly (Taker | undefined)[];
  readonly buckets: readonly Taker[];
  /** Counts the states for which bounds were worked out. */
  round: number;
}

/** What some instances take: something between the low amounts and the high ones. */
interface Taker {
  readonly role_low: Float64Array;
  readonly role_high: Float64Array;
  readonly copy_low: Float64Array;
  readonly copy_high: Float64Array;
  readonly spindles_low: Float64Array | null;
  readonly spindles_high: Float64Array | null;
  /** Memory that a secondary keeps for them, at most. */
  readonly kept: number;
  /** The round for which the rest was worked out. */
  round: number;
  /** The least that any target adds: as the new secondary; as the new primary, with a copy. */
  least_secondary: number;
  least_primary: number;
}

/** With more classes than that, buckets are made of them. */
const most_buckets = 128;

/** A column's chord: its share of the score is at least `base + slope × change of the sum of squares`. */
interface Chord {
  base: number;
  slope: number;
}

interface Chords {
  /** Of all columns. */
  base: number;
  readonly slope: Float64Array;
  /** What one node's change counts for at most. */
  readonly cap: Float64Array;
  /** The largest amounts of any instance. */
  readonly most: Float64Array;
  readonly most_spindles: Float64Array;
}

export function openBounds(
  table: Table,
  roles: Columns,
  copies: Columns,
  instances: readonly number[],
): Bounds {
  const classes = new Map<string, { readonly taker: Taker; readonly instances: number[] }>();
  const class_of: (Taker | undefined)[] = [];
  for (const instance of instances) {
    const taker = takerOf(table, roles, copies, instance);
    const key = [taker.kept, ...taker.role_low, ...taker.copy_low, ...(taker.spindles_low ?? [])].join(' ');
    const found = classes.get(key);
    if (found === undefined) classes.set(key, { taker, instances: [instance] });
    else found.instances.push(instance);
    class_of[instance] = found?.taker ?? taker;
  }
  const takers = [...classes.values()].map(({ taker }) => taker);
  const split = splitUp(takers, most_buckets);
  const buckets = split.map(around);
  const bucket_of_class = new Map(split.flatMap((part, at) => part.map((taker) => [taker, buckets[at]!])));
  return {
    roles: openChords(
      takers.map((taker) => taker.role_high),
      null,
    ),
    copies: openChords(
      takers.map((taker) => taker.copy_high),
      copies.spindles === null ? null : takers.map((taker) => taker.spindles_high!),
    ),
    reserved: { base: 0, slope: 0, cap: 0 },
    class_of,
    bucket_of: class_of.map((taker) => (taker === undefined ? undefined : bucket_of_class.get(taker))),
    buckets,
    round: 0,
  };
}

function takerOf(table: Table, roles: Columns, copies: Columns, instance: number): Taker {
  const amounts = ({ amount, count }: Columns): Float64Array =>
    amount.subarray(instance * count, (instance + 1) * count);
  const { count } = copies;
  const spindles = copies.spindles?.subarray(instance * count, (instance + 1) * count) ?? null;
  return {
    role_low: amounts(roles),
    role_high: amounts(roles),
    copy_low: amounts(copies),
    copy_high: amounts(copies),
    spindles_low: spindles,
    spindles_high: spindles,
    kept: keptFor(table.demands[instance]!),
    round: 0,
    least_secondary: 0,
    least_primary: 0,
  };
}

/** Halves the takers again and again, each time by what they differ most in. */
function splitUp(takers: readonly Taker[], parts: number): readonly (readonly Taker[])[] {
  if (takers.length <= 1 || parts <= 1) return takers.length === 0 ? [] : [takers];
  const figures = takers.map(({ role_low, copy_low, kept }) => [...role_low, ...copy_low, kept]);
  let widest = 0;
  let width = -1;
  for (let at = 0; at < figures[0]!.length; at++) {
    const values = figures.map((row) => row[at]!);
    const most = values.reduce((one, other) => Math.max(one, other));
    const least = values.reduce((one, other) => Math.min(one, other));
    const relative = most === 0 ? 0 : (most - least) / most;
    if (relative > width) {
      widest = at;
      width = relative;
    }
  }
  const order = takers.map((_, at) => at).sort((a, b) => figures[a]![widest]! - figures[b]![widest]!);
  const half = Math.ceil(takers.length / 2);
  const part = (from: number, to: number): readonly Taker[] => order.slice(from, to).map((at) => takers[at]!);
  return [
    ...splitUp(part(0, half), Math.ceil(parts / 2)),
    ...splitUp(part(half, takers.length), Math.floor(parts / 2)),
  ];
}

/** One that stands for several. */
function around(takers: readonly Taker[]): Taker {
  const only = takers[0]!;
  if (takers.length === 1) return only;
  const least = (of: (taker: Taker) => Float64Array): Float64Array =>
    of(only).map((_, at) =>
      takers.reduce((found, taker) => Math.min(found, of(taker)[at]!), Number.POSITIVE_INFINITY),
    );
  const most = (of: (taker: Taker) => Float64Array): Float64Array =>
    of(only).map((_, at) => takers.reduce((found, taker) => Math.max(found, of(taker)[at]!), 0));
  return {
    role_low: least((taker) => taker.role_low),
    role_high: most((taker) => taker.role_high),
    copy_low: least((taker) => taker.copy_low),
    copy_high: most((taker) => taker.copy_high),
    spindles_low: only.spindles_low === null ? null : least((taker) => taker.spindles_low!),
    spindles_high: only.spindles_high === null ? null : most((taker) => taker.spindles_high!),
    kept: takers.reduce((found, taker) => Math.max(found, taker.kept), 0),
    round: 0,
    least_secondary: 0,
    least_primary: 0,
  };
}

function openChords(amounts: readonly Float64Array[], spindles: readonly Float64Array[] | null): Chords {
  const count = amounts[0]?.length ?? 0;
  const most = (of: readonly Float64Array[] | null): Float64Array =>
    Float64Array.from({ length: count }, (_, column) =>
      (of ?? []).reduce((found, row) => Math.max(found, row[column]!), 0),
    );
  return {
    base: 0,
    slope: new Float64Array(count),
    cap: new Float64Array(count),
    most: most(amounts),
    most_spindles: most(spindles),
  };
}

/** Memory that an instance's secondary keeps for it. */
function keptFor(demand: Demand): number {
  return demand.reserves_memory && !demand.forthcoming ? demand.memory : 0;
}

/** Draws the chords for the state as it is. */
export function refreshBounds(search: MoveSearch): void {
  const { bounds, roles, copies } = search;
  bounds.round += 1;
  drawChords(search, bounds.roles, roles);
  drawChords(search, bounds.copies, copies);
  drawReserved(search);
}

function drawChords(search: MoveSearch, chords: Chords, columns: Columns): void {
  const { online } = search;
  const { count, value, unit, spindle_unit } = columns;
  chords.base = 0;
  for (let column = 0; column < count; column++) {
    let most_value = 0;
    let least_change = Number.POSITIVE_INFINITY;
    let most_change = Number.NEGATIVE_INFINITY;
    for (const node of online) {
      const at = node * count + column;
      most_value = Math.max(most_value, Math.abs(value[at]!));
      const change =
        chords.most[column]! * unit[at]! + chords.most_spindles[column]! * (spindle_unit?.[at] ?? 0);
      least_change = Math.min(least_change, change);
      most_change = Math.max(most_change, change);
    }
    // Off an offline node nothing is left behind; and where some nodes count disk and others spindles, an instance may
    // take much of the one and little of the other.
    if (spindle_unit !== null || online.length < search.nodes.length) {
      least_change = Math.min(least_change, 0);
      most_change = Math.max(most_change, 0);
    }
    const largest = Math.max(-least_change, most_change);
    const least = leastSquares(most_value, largest);
    const moved = (most_change - least_change) ** 2 / online.length;
    const sum = columns.sums[column]!;
    const variance = Math.max(0, columns.squares[column]! - (sum * sum) / online.length);
    chords.cap[column] = largest * largest;
    const { base, slope } = chord(variance, 2 * least - moved, 2 * chords.cap[column]!);
    chords.slope[column] = slope;
    chords.base += base - slope * moved;
  }
}

/** The least that one node adds to a sum of squares: a change c where the value is v adds c(2v + c), least at c = -v. */
function leastSquares(most_value: number, most_change: number): number {
  return most_value <= most_change ? -most_value * most_value : most_change * (most_change - 2 * most_value);
}

/** From `variance + low` to `variance + high`. */
function chord(variance: number, low: number, high: number): Chord {
  const from = Math.max(low, -variance);
  if (!(high > from)) return { base: Math.sqrt(Math.max(0, variance + from)), slope: 0 };
  const start = Math.sqrt(variance + from);
  const slope = (Math.sqrt(variance + high) - start) / (high - from);
  return { base: start - slope * from, slope };
}

function drawReserved(search: MoveSearch): void {
  const { bounds, reserved, online } = search;
  let most_kept = 0;
  for (const { kept } of bounds.buckets) most_kept = Math.max(most_kept, kept);
  let most_value = 0;
  let most_change = 0;
  for (const node of online) {
    most_value = Math.max(most_value, Math.abs(reserved.value[node]!));
    most_change = Math.max(most_change, most_kept * reserved.unit[node]!);
  }
  const moved = (most_change * most_change) / online.length;
  const variance = Math.max(0, reserved.squares - (reserved.sum * reserved.sum) / online.length);
  const low = 2 * leastSquares(most_value, most_change) - moved;
  const { base, slope } = chord(variance, low, most_change * most_change);
  bounds.reserved.slope = slope;
  bounds.reserved.base = base - slope * moved;
  bounds.reserved.cap = most_change * most_change;
}

/** Works out the least that any target adds, once a round. */
function lookAtTargets(search: MoveSearch, taker: Taker): void {
  const { bounds, online, roles, copies, reserved } = search;
  if (taker.round === bounds.round) return;
  taker.round = bounds.round;
  taker.least_secondary = Number.POSITIVE_INFINITY;
  taker.least_primary = Number.POSITIVE_INFINITY;
  for (const target of online) {
    const copy = leastShare(
      bounds.copies,
      copies,
      target,
      taker.copy_low,
      taker.copy_high,
      taker.spindles_low,
      taker.spindles_high,
    );
    const rise = leastOfRise(search, reserved.value[target]!, taker.kept * reserved.unit[target]!);
    const role = leastShare(bounds.roles, roles, target, taker.role_low, taker.role_high, null, null);
    if (copy + rise < taker.least_secondary) taker.least_secondary = copy + rise;
    if (copy + role < taker.least_primary) taker.least_primary = copy + role;
  }
}

/** The least that a node's columns add if it gets something between the two amounts. */
function leastShare(
  chords: Chords,
  columns: Columns,
  node: number,
  low: Float64Array,
  high: Float64Array,
  spindles_low: Float64Array | null,
  spindles_high: Float64Array | null,
): number {
  const { count, value, unit, spindle_unit } = columns;
  const { slope, cap } = chords;
  let share = 0;
  let here = node * count;
  for (let column = 0; column < count; column++, here++) {
    let one = low[column]! * unit[here]!;
    let other = high[column]! * unit[here]!;
    if (spindle_unit !== null) {
      one += spindles_low![column]! * spindle_unit[here]!;
      other += spindles_high![column]! * spindle_unit[here]!;
    }
    // A change c adds c(2v + c) to the squares, least at c = -v.
    const lowest = -value[here]!;
    const change = clamp(lowest, Math.min(one, other), Math.max(one, other));
    share += slope[column]! * Math.min(change * (change - 2 * lowest), cap[column]!);
  }
  return share;
}

function clamp(value: number, from: number, to: number): number {
  return Math.min(Math.max(value, from), to);
}

/** What a node's columns add (sign 1) if it gets the instance, or if it loses it (sign -1). */
function shareOf(chords: Chords, columns: Columns, instance: number, node: number, sign: number): number {
  const { count, value, unit, amount, spindle_unit, spindles } = columns;
  const { slope, cap } = chords;
  let share = 0;
  let here = node * count;
  let of = instance * count;
  for (let column = 0; column < count; column++, here++, of++) {
    let change = amount[of]! * unit[here]!;
    if (spindle_unit !== null) change += spindles![of]! * spindle_unit[here]!;
    change *= sign;
    const squares = change * (2 * value[here]! + change);
    share += slope[column]! * Math.min(squares, cap[column]!);
  }
  return share;
}

/** The least that memory in reserve can add on a node where it rises, by `most` at most. */
function leastOfRise(search: MoveSearch, value: number, most: number): number {
  const { slope } = search.bounds.reserved;
  const { total_weight } = search.reserved;
  const rise = slope > 0 ? clamp(-(value + total_weight / (2 * slope)), 0, most) : 0;
  return rise * (total_weight + slope * (2 * value + rise));
}

/** The same where it changes by something between a fall and a rise. */
function leastOfChange(search: MoveSearch, value: number, fall: number, rise: number): number {
  const nearest = clamp(-value, fall, rise);
  return fall * search.reserved.total_weight + search.bounds.reserved.slope * nearest * (2 * value + nearest);
}

/**
 * No move of the instance brings the score below this.
 * @param closely work it out for its own class, not for the bucket of that
 */
export function leastScoreOf(search: MoveSearch, instance: number, closely: boolean): number {
  const { bounds, base, table, roles, copies } = search;
  const taker = (closely ? bounds.class_of : bounds.bucket_of)[instance]!;
  lookAtTargets(search, taker);
  const demand = table.demands[instance]!;
  // What an unknown number of spindles does where storage is exclusive is not seen from the sums.
  if (demand.spindles < 0 && copies.spindles !== null) return Number.NEGATIVE_INFINITY;
  const first = table.primary[instance]!;
  const second = table.secondary[instance]!;
  const real = demand.forthcoming ? 0 : 1;
  const first_offline = table.offline[first]!;
  const lost = tagsLost(search, first, second, demand) + rulesLost(table, instance);
  const linear = base.linear - lost - real * n1Of(table, first);
  const leave_role = bounds.roles.base + shareOf(bounds.roles, roles, instance, first, -1);
  const leave_first = bounds.copies.base + shareOf(bounds.copies, copies, instance, first, -1);
  if (!demand.mirrored) {
    const anywhere = leave_role + leave_first + taker.least_primary;
    return linear + base.reserved + anywhere - 20 * real * first_offline;
  }
  const { reserved } = search;
  const second_offline = table.offline[second]!;
  const kept = keptFor(demand);
  const value = reserved.value[second]!;
  const drop = dropOf(table, second, first, kept) * reserved.unit[second]!;
  const squares = Math.min(drop * (2 * value + drop), bounds.reserved.cap);
  const dropped = drop * reserved.total_weight + bounds.reserved.slope * squares;
  const here = leastOfRise(search, reserved.value[first]!, kept * reserved.unit[first]!);
  const there = leastOfChange(search, value, drop, kept * reserved.unit[second]!);
  const leave_second = bounds.copies.base + shareOf(bounds.copies, copies, instance, second, -1);
  const over = leave_role + shareOf(bounds.roles, roles, instance, second, 1);
  const next_secondary = taker.least_secondary;
  const next_primary = taker.least_primary;
  const gone = 20 * real * first_offline;
  const role_gone = 16 * real * first_offline;
  const copy_gone = 4 * real * second_offline;
  const least = Math.min(
    base.roles + leave_second + dropped + next_secondary - copy_gone,
    leave_role + leave_second + dropped + here + next_primary - role_gone - copy_gone,
    leave_role + leave_first + there + next_primary - gone,
    over + leave_first + dropped + next_secondary - gone,
    over + base.copies + dropped + here - role_gone,
  );
  return linear - real * n1Of(table, second) + bounds.reserved.base + least;
}

/** By how much the memory in reserve changes if the instance's copy goes away; at most 0. */
function dropOf(table: Table, node: number, primary: number, kept: number): number {
  const { peers, node_count, state } = table;
  const reserved = state[node * STRIDE + RESERVED_MEMORY]!;
  const row = node * node_count;
  const own = peers[row + primary]!;
  if (kept === 0 || own < reserved) return 0;
  let most = own - kept;
  for (let at = row; at < row + node_count; at++) {
    if (peers[at]! > most && at !== row + primary) most = peers[at]!;
  }
  return most - reserved;
}

function n1Of(table: Table, node: number): number {
  if (table.offline[node] === 1) return 0;
  const at = node * STRIDE;
  const { state } = table;
  return state[at + FAILS_N1] === 1 ? state[at + PRIMARIES]! + state[at + SECONDARIES]! : 0;
}

/** What the score loses at most, for rules, if the instance leaves its nodes. */
function rulesLost({ rules, primary, secondary }: Table, instance: number): number {
  return rules === null ? 0 : penalty(rules.rules, instance, primary[instance]!, secondary[instance]!);
}

/** What the score loses at most, for tags and locations, if the primary leaves its node. */
function tagsLost(search: MoveSearch, first: number, second: number, demand: Demand): number {
  const { table, pairs } = search;
  if (table.offline[first] === 1) return 0;
  let lost = demand.forthcoming
    ? 0
    : commonLocations(table, first, second) + missedLocations(table, first, demand);
  if (demand.exclusion.length === 0) return lost;
  const tag_count = table.tags.exclusion_names.length;
  for (const tag of demand.exclusion) {
    if (table.tag_counts[first * tag_count + tag]! > 1) lost += 2;
    if (pairs.length === 0) continue;
    for (const location of table.tags.locations[first]!)
      if (pairs[location * tag_count + tag]! > 1) lost += 1;
  }
  return lost;
}
