/**
 * Every move of one instance, scored without applying it. Part of `move-search.ts`, which says what it is for.
 *
 * The instance is taken off its nodes while its moves are looked at, so that each limit is asked about the state that
 * the steps of the move would find (`moves.ts` has the steps). A move's score is then made of what all nodes have without
 * the instance, and of what its nodes gain from it.
 */
import { isCandidate, keepCandidate, type MoveSearch } from './move-search.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
} from './moves.ts';
import type { Columns } from './search-columns.ts';
import {
  commonLocations,
  type Demand,
  FAILS_N1,
  FITS,
  LOCATION_SCORE,
  mark,
  mayMigrate,
  missedLocations,
  PRIMARIES,
  primaryFailure,
  RESERVED_MEMORY,
  removePrimary,
  removeSecondary,
  SECONDARIES,
  STRIDE,
  secondaryFailure,
  TAG_CONFLICTS,
  type Table,
  unallocatedMemory,
  undoTo,
} from './table.ts';
import { addedPenalty, isConcerned, moveTo, refuses, type TableRules } from './table-rules.ts';

/** What the score has for an instance whose primary is offline, or whose secondary is. */
const offline_primary = 20;
const offline_secondary = 4;
const tag_weight = 2;

/** Offers every allowed move of the instance that may be the best one to the search's candidates. */
export function tryInstance(search: MoveSearch, instance: number): void {
  const { table, rules } = search;
  const demand = table.demands[instance]!;
  if (demand.mirrored ? table.secondary[instance]! < 0 : !rules.instance_moves) return;
  const start = mark(table);
  const primary = table.primary[instance]!;
  countPairsOf(search, primary, demand, -1);
  const ruled = askRules(table, instance);
  if (demand.mirrored) tryMirrored(search, instance, demand, ruled);
  else tryExternal(search, instance, demand, ruled);
  if (ruled !== null) moveTo(ruled.rules, instance, ruled.primary, ruled.secondary);
  undoTo(table, start);
  countPairsOf(search, primary, demand, 1);
}

/** Rules that an instance has to keep to, while it counts as being nowhere. */
interface Ruled {
  readonly rules: TableRules;
  readonly instance: number;
  /** Where it is. */
  readonly primary: number;
  readonly secondary: number;
  /** What the score has for it there. */
  readonly here: number;
}

function askRules({ rules, primary, secondary }: Table, instance: number): Ruled | null {
  if (rules === null || !isConcerned(rules, instance)) return null;
  const with_it = rules.penalty;
  moveTo(rules, instance, -1, -1);
  return {
    rules,
    instance,
    primary: primary[instance]!,
    secondary: secondary[instance]!,
    here: with_it - rules.penalty,
  };
}

/** What the score has for it there; infinite where it may not be. */
function ruledAt(ruled: Ruled | null, primary: number, secondary: number): number {
  if (ruled === null) return 0;
  const { rules, instance } = ruled;
  if (refuses(rules, instance, ruled, primary, secondary)) return Number.POSITIVE_INFINITY;
  return addedPenalty(rules, instance, primary, secondary);
}

/** Disks that every node reaches: only the primary moves. */
function tryExternal(search: MoveSearch, instance: number, demand: Demand, ruled: Ruled | null): void {
  const { table, online, rules, roles, copies, base, candidates, scratch } = search;
  const { state } = table;
  const first = table.primary[instance]!;
  const first_at = first * STRIDE;
  const first_online = table.offline[first] === 0;
  const force = rules.ignore_soft_errors || !first_online;
  const real = demand.forthcoming ? 0 : 1;
  const used = demand.uses_memory ? demand.memory : 0;
  const unknown = demand.spindles < 0;
  const common = commonLocations(table, first, table.secondary[instance]!);
  const count = state[first_at + PRIMARIES]! + state[first_at + SECONDARIES]!;

  let fixed = base.linear + base.reserved - tagsOf(table, first) - real * n1Of(table, first);
  if (ruled !== null) fixed -= ruled.here;
  removePrimary(table, first, demand, common);
  fixed += tagsOf(table, first);
  if (first_online) {
    fixed -= real * pairsAdded(search, first, demand);
    if (unallocatedMemory(table, first) <= state[first_at + RESERVED_MEMORY]!) fixed += real * (count - 1);
  } else {
    fixed -= real * offline_primary;
  }
  takeOut(roles, scratch.primary_sums, scratch.primary_squares, instance, first);
  takeOut(copies, scratch.first_sums, scratch.first_squares, instance, first);

  for (const target of online) {
    if (target === first) continue;
    scratch.slack = unknown && table.exclusive[target] === 1 ? unforeseeable : 0;
    const score =
      fixed +
      roleGain(search, target, demand) +
      real * (common + n1WithPrimary(table, target, used) - n1Of(table, target)) +
      spreadWith(search, roles, scratch.primary_sums, scratch.primary_squares, instance, target) +
      spreadWith(search, copies, scratch.first_sums, scratch.first_squares, instance, target) +
      ruledAt(ruled, target, ruled === null ? -1 : ruled.secondary);
    if (
      isCandidate(candidates, score, scratch.slack) &&
      mayMigrate(table, first, target) &&
      primaryFailure(table, target, demand, force) === FITS
    ) {
      keepCandidate(candidates, instance, FAILOVER_TO_ANY, target, score, scratch.slack);
    }
  }
}

/** With a copy on its secondary node: five kinds of move. */
function tryMirrored(search: MoveSearch, instance: number, demand: Demand, ruled: Ruled | null): void {
  const { table, online, rules, roles, copies, reserved, base, candidates, scratch } = search;
  const { state, peers, node_count } = table;
  const { unit: reserved_unit, value: reserved_value, total_weight } = reserved;
  const nodes = online.length;
  const first = table.primary[instance]!;
  const second = table.secondary[instance]!;
  const first_at = first * STRIDE;
  const second_at = second * STRIDE;
  const first_online = table.offline[first] === 0;
  const second_online = table.offline[second] === 0;
  const force = rules.ignore_soft_errors;
  const force_first = force || !first_online;
  const force_second = force || !second_online;
  const real = demand.forthcoming ? 0 : 1;
  const used = demand.uses_memory ? demand.memory : 0;
  const kept = demand.reserves_memory && !demand.forthcoming ? demand.memory : 0;

  // Its two nodes, with it and without it.
  const first_count = state[first_at + PRIMARIES]! + state[first_at + SECONDARIES]!;
  const second_count = state[second_at + PRIMARIES]! + state[second_at + SECONDARIES]!;
  const first_reserved = state[first_at + RESERVED_MEMORY]!;
  const second_reserved = state[second_at + RESERVED_MEMORY]!;
  const first_with = unallocatedMemory(table, first);
  let fixed = base.linear - tagsOf(table, first) - real * (n1Of(table, first) + n1Of(table, second));
  if (ruled !== null) fixed -= ruled.here;
  removePrimary(table, first, demand, commonLocations(table, first, second));
  removeSecondary(table, second, demand, first);
  fixed += tagsOf(table, first);
  if (first_online) fixed -= real * pairsAdded(search, first, demand);
  else fixed -= real * offline_primary;
  if (!second_online) fixed -= real * offline_secondary;
  const first_free = unallocatedMemory(table, first);
  const second_free = unallocatedMemory(table, second);
  const second_left = state[second_at + RESERVED_MEMORY]!;
  const on_first = first_online ? real : 0;
  const on_second = second_online ? real : 0;

  // The columns without it.
  takeOut(roles, scratch.primary_sums, scratch.primary_squares, instance, first);
  takeOut(copies, scratch.first_sums, scratch.first_squares, instance, first);
  takeOut(copies, scratch.second_sums, scratch.second_squares, instance, second);
  const drop = (second_left - second_reserved) * reserved_unit[second]!;
  const sum = reserved.sum + drop;
  const squares = reserved.squares + drop * (2 * reserved_value[second]! + drop);

  // What each of its nodes adds in the part that it may have after the move.
  const first_stays =
    (first_online ? roleGain(search, first, demand) : real * offline_primary) +
    on_first * (first_with <= first_reserved ? first_count : 0);
  const first_gone = on_first * (first_free <= first_reserved ? first_count - 1 : 0);
  const first_copy = first_online ? 0 : real * offline_secondary;
  const second_gone = on_second * (second_free <= second_left ? second_count - 1 : 0);
  const second_role = on_second * (second_free - used <= second_left ? second_count : 0);

  // Which kinds of move there are.
  const { disk_moves, instance_moves, restricted_migration } = rules;
  const may_fail_over =
    instance_moves &&
    second_online &&
    mayMigrate(table, first, second) &&
    primaryFailure(table, second, demand, force_first) === FITS;
  const may_replace = disk_moves && primaryFailure(table, first, demand, true) === FITS;
  const may_swap = disk_moves && instance_moves && (!restricted_migration || !first_online);
  const over_ruled = may_fail_over ? ruledAt(ruled, second, first) : 0;
  // It runs on the secondary for as long as the new copy takes.
  const may_replace_primary =
    may_swap && may_fail_over && !restricted_migration && Number.isFinite(over_ruled);
  const may_go_on = may_swap && may_fail_over;

  const unknown = demand.spindles < 0;
  const here = table.exclusive[first] === 1 || table.exclusive[second] === 1;
  scratch.slack = unknown && here ? unforeseeable : 0;
  let over = 0;
  if (may_fail_over) {
    over =
      fixed +
      roleGain(search, second, demand) +
      second_role +
      total_weight * drop +
      spreadWith(search, roles, scratch.primary_sums, scratch.primary_squares, instance, second);
    const after = Math.max(first_reserved, peers[first * node_count + second]! + kept);
    const rise = (after - first_reserved) * reserved_unit[first]!;
    const score =
      over +
      real * commonLocations(table, second, first) +
      first_copy +
      on_first * (first_free <= after ? first_count : 0) +
      total_weight * rise +
      over_ruled +
      base.copies +
      reservedSpread(sum, squares, rise, reserved_value[first]!, nodes);
    if (
      isCandidate(candidates, score, scratch.slack) &&
      secondaryFailure(table, first, demand, second, force_first, !first_online) === FITS
    ) {
      keepCandidate(candidates, instance, FAILOVER, -1, score, scratch.slack);
    }
  }
  if (!disk_moves) return;
  const over_slack = scratch.slack;
  const replaced = fixed + first_stays + second_gone + total_weight * drop + base.roles;

  for (const target of online) {
    if (target === first || target === second) continue;
    const at = target * STRIDE;
    const before = state[at + RESERVED_MEMORY]!;
    const free = unallocatedMemory(table, target);
    const unit = reserved_unit[target]!;
    const value = reserved_value[target]!;
    const count_after = state[at + PRIMARIES]! + state[at + SECONDARIES]! + 1;
    const n1_before = real * n1Of(table, target);
    scratch.slack = unknown && table.exclusive[target] === 1 ? unforeseeable : over_slack;
    const from_second = spreadWith(
      search,
      copies,
      scratch.second_sums,
      scratch.second_squares,
      instance,
      target,
    );

    if (may_replace) {
      const after = Math.max(before, peers[target * node_count + first]! + kept);
      const rise = (after - before) * unit;
      const score =
        replaced +
        on_first * commonLocations(table, first, target) -
        n1_before +
        (free <= after ? real * count_after : 0) +
        total_weight * rise +
        from_second +
        ruledAt(ruled, first, target) +
        reservedSpread(sum, squares, rise, value, nodes);
      if (
        isCandidate(candidates, score, scratch.slack) &&
        secondaryFailure(table, target, demand, first, force_second) === FITS
      ) {
        keepCandidate(candidates, instance, REPLACE_SECONDARY, target, score, scratch.slack);
      }
    }
    if (!may_swap) continue;

    const taken =
      fixed -
      n1_before +
      real * n1WithPrimary(table, target, used) +
      roleGain(search, target, demand) +
      spreadWith(search, roles, scratch.primary_sums, scratch.primary_squares, instance, target);
    {
      const after = Math.max(first_reserved, peers[first * node_count + target]! + kept);
      const rise = (after - first_reserved) * reserved_unit[first]!;
      const score =
        taken +
        real * commonLocations(table, target, first) +
        first_copy +
        on_first * (first_free <= after ? first_count : 0) +
        second_gone +
        total_weight * (drop + rise) +
        from_second +
        ruledAt(ruled, target, first) +
        reservedSpread(sum, squares, rise, reserved_value[first]!, nodes);
      if (
        isCandidate(candidates, score, scratch.slack) &&
        mayMigrate(table, first, target) &&
        primaryFailure(table, target, demand, force) === FITS &&
        secondaryFailure(table, first, demand, target, force_second) === FITS
      ) {
        keepCandidate(candidates, instance, REPLACE_AND_FAILOVER, target, score, scratch.slack);
      }
    }
    if (!may_go_on) continue;

    const from_first = spreadWith(
      search,
      copies,
      scratch.first_sums,
      scratch.first_squares,
      instance,
      target,
    );
    if (may_replace_primary) {
      const after = Math.max(second_left, peers[second * node_count + target]! + kept);
      const change = (after - second_reserved) * reserved_unit[second]!;
      const score =
        taken +
        real * commonLocations(table, target, second) +
        first_gone +
        (second_free <= after ? on_second * second_count : 0) +
        total_weight * change +
        from_first +
        ruledAt(ruled, target, second) +
        reservedSpread(reserved.sum, reserved.squares, change, reserved_value[second]!, nodes);
      if (
        isCandidate(candidates, score, scratch.slack) &&
        mayMigrate(table, second, target) &&
        primaryFailure(table, target, demand, force_first) === FITS &&
        secondaryFailure(table, second, demand, target, force_first) === FITS
      ) {
        keepCandidate(candidates, instance, REPLACE_PRIMARY, target, score, scratch.slack);
      }
    }
    const after = Math.max(before, peers[target * node_count + second]! + kept);
    const rise = (after - before) * unit;
    const score =
      over +
      real * commonLocations(table, second, target) +
      first_gone -
      n1_before +
      (free <= after ? real * count_after : 0) +
      total_weight * rise +
      from_first +
      ruledAt(ruled, second, target) +
      reservedSpread(sum, squares, rise, value, nodes);
    if (
      isCandidate(candidates, score, scratch.slack) &&
      secondaryFailure(table, target, demand, second, force_first) === FITS
    ) {
      keepCandidate(candidates, instance, FAILOVER_AND_REPLACE, target, score, scratch.slack);
    }
  }
}

/** The sums of all columns without what the instance has on a node. */
function takeOut(
  columns: Columns,
  sums: Float64Array,
  squares: Float64Array,
  instance: number,
  node: number,
): void {
  const { count, value, unit, amount, spindle_unit, spindles } = columns;
  for (let column = 0; column < count; column++) {
    const here = node * count + column;
    const of = instance * count + column;
    let change = -amount[of]! * unit[here]!;
    if (spindle_unit !== null) change -= spindles![of]! * spindle_unit[here]!;
    sums[column] = columns.sums[column]! + change;
    squares[column] = columns.squares[column]! + change * (2 * value[here]! + change);
  }
}

/** The columns' share of the score once a node has the instance. */
function spreadWith(
  search: MoveSearch,
  columns: Columns,
  sums: Float64Array,
  squares: Float64Array,
  instance: number,
  node: number,
): number {
  const { count, value, unit, amount, spindle_unit, spindles } = columns;
  const inverse = 1 / search.online.length;
  let spread = 0;
  let here = node * count;
  let of = instance * count;
  for (let column = 0; column < count; column++, here++, of++) {
    let change = amount[of]! * unit[here]!;
    if (spindle_unit !== null) change += spindles![of]! * spindle_unit[here]!;
    const sum = sums[column]! + change;
    const square = squares[column]! + change * (2 * value[here]! + change);
    const variance = square - sum * sum * inverse;
    const whole = square + columns.squares[column]!;
    if (variance < vanishing * whole) {
      search.scratch.slack += lost_digits * Math.sqrt(whole);
      if (variance > 0) spread += Math.sqrt(variance);
    } else {
      spread += Math.sqrt(variance);
    }
  }
  return spread;
}

/** Of a variance that is less than this share of what it was made of, few digits are left. */
const vanishing = 1e-6;
/** How far off its root may be, for a whole of 1. */
const lost_digits = 1e-7;
/**
 * Has a move scored the long way in any case: a node with exclusive storage that gets an instance of which nobody knows
 * how many spindles it needs counts as having -1 left, as in the htools.
 */
const unforeseeable = 1e12;

/** The share of the score for memory in reserve, once a node's has changed. */
function reservedSpread(sum: number, squares: number, change: number, value: number, nodes: number): number {
  const after = sum + change;
  const variance = squares + change * (2 * value + change) - (after * after) / nodes;
  return variance > 0 ? Math.sqrt(variance) : 0;
}

/** Instances that count because the node fails N+1. */
function n1Of(table: Table, node: number): number {
  if (table.offline[node] === 1) return 0;
  const { state } = table;
  const at = node * STRIDE;
  return state[at + FAILS_N1] === 1 ? state[at + PRIMARIES]! + state[at + SECONDARIES]! : 0;
}

/** The same for an online node that takes a primary. */
function n1WithPrimary(table: Table, node: number, used: number): number {
  const { state } = table;
  const at = node * STRIDE;
  if (unallocatedMemory(table, node) - used > state[at + RESERVED_MEMORY]!) return 0;
  return state[at + PRIMARIES]! + state[at + SECONDARIES]! + 1;
}

/** A node's share of the score for tags and locations. */
function tagsOf(table: Table, node: number): number {
  if (table.offline[node] === 1) return 0;
  const at = node * STRIDE;
  return tag_weight * table.state[at + TAG_CONFLICTS]! + table.state[at + LOCATION_SCORE]!;
}

/** What an online node's share of the score for tags gains from a primary; but for locations common to both nodes. */
function roleGain(search: MoveSearch, node: number, demand: Demand): number {
  const { table } = search;
  let gain = demand.forthcoming ? 0 : missedLocations(table, node, demand);
  if (demand.exclusion.length > 0) {
    const row = node * table.tags.exclusion_names.length;
    for (const [at, tag] of demand.exclusion.entries()) {
      if (table.tag_counts[row + tag]! > 0 || demand.exclusion.indexOf(tag) < at) gain += tag_weight;
    }
    if (!demand.forthcoming) gain += pairsAdded(search, node, demand);
  }
  return gain;
}

/** By how much the metric of pairs grows if the instance, now on no node, gets its primary on an online one. */
function pairsAdded(search: MoveSearch, node: number, demand: Demand): number {
  const { pairs, table } = search;
  if (pairs.length === 0 || demand.exclusion.length === 0) return 0;
  const tag_count = table.tags.exclusion_names.length;
  let added = 0;
  for (const location of table.tags.locations[node]!) {
    for (const [at, tag] of demand.exclusion.entries()) {
      if (pairs[location * tag_count + tag]! > 0 || demand.exclusion.indexOf(tag) < at) added += 1;
    }
  }
  return added;
}

function countPairsOf(search: MoveSearch, node: number, demand: Demand, by: number): void {
  const { pairs, table } = search;
  if (pairs.length === 0 || demand.forthcoming || table.offline[node] === 1) return;
  const tag_count = table.tags.exclusion_names.length;
  for (const location of table.tags.locations[node]!) {
    for (const tag of demand.exclusion) pairs[location * tag_count + tag]! += by;
  }
}
