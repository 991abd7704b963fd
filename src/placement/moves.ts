/**
 * The ways in which an instance can change its nodes, applied to a {@link Table} step by step: each step is checked
 * against the state that the steps before it left, as it will be when the move is carried out.
 */
import {
  addPrimary,
  addSecondary,
  commonLocations,
  FITS,
  mark,
  mayMigrate,
  NO_MIGRATION,
  NO_RULE,
  place,
  primaryFailure,
  removePrimary,
  removeSecondary,
  secondaryFailure,
  type Table,
  undoTo,
} from './table.ts';
import { refuses } from './table-rules.ts';

/** f: primary and secondary change roles. */
export const FAILOVER = 0;
/** fa:T: another node takes over the disks, which every node reaches. */
export const FAILOVER_TO_ANY = 1;
/** f r:T f: over to the secondary, a new copy on T, over to T. */
export const REPLACE_PRIMARY = 2;
/** r:T: a new copy on T in place of the secondary's. */
export const REPLACE_SECONDARY = 3;
/** r:T f: a new copy on T, and over to T; the old primary has the other copy. */
export const REPLACE_AND_FAILOVER = 4;
/** f r:T: over to the secondary, and a new copy on T. */
export const FAILOVER_AND_REPLACE = 5;

/** One of the six above. */
export type MoveKind = 0 | 1 | 2 | 3 | 4 | 5;

export interface Move {
  readonly instance: number;
  readonly kind: MoveKind;
  /** The node that it did not have before; -1 for a failover. */
  readonly target: number;
}

/** Where an instance with these nodes is after a move. */
export function nodesAfter(
  kind: MoveKind,
  target: number,
  primary: number,
  secondary: number,
): { readonly primary: number; readonly secondary: number } {
  switch (kind) {
    case FAILOVER:
      return { primary: secondary, secondary: primary };
    case FAILOVER_TO_ANY:
    case REPLACE_PRIMARY:
      return { primary: target, secondary };
    case REPLACE_SECONDARY:
      return { primary, secondary: target };
    case REPLACE_AND_FAILOVER:
      return { primary: target, secondary: primary };
    case FAILOVER_AND_REPLACE:
      return { primary: secondary, secondary: target };
  }
}

/**
 * Moves an instance. {@link FITS}: done; otherwise why not, and nothing has changed.
 * @param force soft limits do not count. They never do for what leaves an offline node.
 */
export function tryMove(
  table: Table,
  instance: number,
  kind: MoveKind,
  target: number,
  force: boolean,
): number {
  if (table.rules !== null && breaksRule(table, instance, kind, target)) return NO_RULE;
  const start = mark(table);
  const failure = steps(table, instance, kind, target, force);
  if (failure !== FITS) {
    undoTo(table, start);
    return failure;
  }
  const after = nodesAfter(kind, target, table.primary[instance]!, table.secondary[instance]!);
  place(table, instance, after.primary, after.secondary);
  return FITS;
}

/** Whether a hard rule forbids where the move leads to, or where the instance runs on the way there. */
function breaksRule(table: Table, instance: number, kind: MoveKind, target: number): boolean {
  const { rules } = table;
  if (rules === null) return false;
  const from = { primary: table.primary[instance]!, secondary: table.secondary[instance]! };
  const { primary, secondary } = nodesAfter(kind, target, from.primary, from.secondary);
  if (kind === REPLACE_PRIMARY && refuses(rules, instance, from, from.secondary, from.primary)) return true;
  return refuses(rules, instance, from, primary, secondary);
}

function steps(table: Table, instance: number, kind: MoveKind, target: number, force: boolean): number {
  const demand = table.demands[instance]!;
  const primary = table.primary[instance]!;
  const secondary = table.secondary[instance]!;
  const common = commonLocations(table, primary, secondary);
  const leaves_offline = table.offline[primary] === 1;
  const force_primary = force || leaves_offline;
  const force_secondary = force || (secondary >= 0 && table.offline[secondary] === 1);
  let failure: number = FITS;
  switch (kind) {
    case FAILOVER:
      if (!mayMigrate(table, primary, secondary)) return NO_MIGRATION;
      removePrimary(table, primary, demand, common);
      removeSecondary(table, secondary, demand, primary);
      failure = primaryFailure(table, secondary, demand, force_primary);
      if (failure !== FITS) return failure;
      addPrimary(table, secondary, demand, common);
      failure = secondaryFailure(table, primary, demand, secondary, force_primary, leaves_offline);
      if (failure !== FITS) return failure;
      addSecondary(table, primary, demand, secondary);
      return FITS;

    case FAILOVER_TO_ANY:
      if (!mayMigrate(table, primary, target)) return NO_MIGRATION;
      failure = primaryFailure(table, target, demand, force_primary);
      if (failure !== FITS) return failure;
      addPrimary(table, target, demand, common);
      removePrimary(table, primary, demand, common);
      return FITS;

    case REPLACE_PRIMARY: {
      if (!mayMigrate(table, primary, secondary)) return NO_MIGRATION;
      if (!mayMigrate(table, secondary, target)) return NO_MIGRATION;
      const new_common = commonLocations(table, target, secondary);
      removePrimary(table, primary, demand, common);
      removeSecondary(table, secondary, demand, primary);
      // The secondary runs it while the new copy is made.
      failure = primaryFailure(table, secondary, demand, force_primary);
      if (failure !== FITS) return failure;
      addPrimary(table, secondary, demand, new_common);
      removePrimary(table, secondary, demand, new_common);
      failure = primaryFailure(table, target, demand, force_primary);
      if (failure !== FITS) return failure;
      addPrimary(table, target, demand, new_common);
      failure = secondaryFailure(table, secondary, demand, target, force_primary);
      if (failure !== FITS) return failure;
      addSecondary(table, secondary, demand, target);
      return FITS;
    }

    case REPLACE_SECONDARY:
      failure = secondaryFailure(table, target, demand, primary, force_secondary);
      if (failure !== FITS) return failure;
      removePrimary(table, primary, demand, common);
      failure = primaryFailure(table, primary, demand, true);
      if (failure !== FITS) return failure;
      addPrimary(table, primary, demand, commonLocations(table, primary, target));
      removeSecondary(table, secondary, demand, primary);
      addSecondary(table, target, demand, primary);
      return FITS;

    case REPLACE_AND_FAILOVER:
      if (!mayMigrate(table, primary, target)) return NO_MIGRATION;
      failure = primaryFailure(table, target, demand, force);
      if (failure !== FITS) return failure;
      removePrimary(table, primary, demand, common);
      removeSecondary(table, secondary, demand, primary);
      addPrimary(table, target, demand, commonLocations(table, target, primary));
      failure = secondaryFailure(table, primary, demand, target, force_secondary);
      if (failure !== FITS) return failure;
      addSecondary(table, primary, demand, target);
      return FITS;

    case FAILOVER_AND_REPLACE:
      if (!mayMigrate(table, primary, secondary)) return NO_MIGRATION;
      removePrimary(table, primary, demand, common);
      removeSecondary(table, secondary, demand, primary);
      failure = primaryFailure(table, secondary, demand, force_primary);
      if (failure !== FITS) return failure;
      addPrimary(table, secondary, demand, commonLocations(table, secondary, target));
      failure = secondaryFailure(table, target, demand, secondary, force_primary);
      if (failure !== FITS) return failure;
      addSecondary(table, target, demand, secondary);
      return FITS;
  }
}
