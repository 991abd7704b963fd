/** Which kinds of move an instance has under the rules, and the one that leads where it is to be. */
import type { MoveRules } from './move-search.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  type MoveKind,
  nodesAfter,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
  tryMove,
} from './moves.ts';
import { FITS, type Table } from './table.ts';

/** From where it is now, whatever the limits of nodes. All kinds but a failover go to a target, which must be online. */
export function kindAllowed(table: Table, instance: number, kind: MoveKind, rules: MoveRules): boolean {
  const secondary = table.secondary[instance]!;
  if (!table.demands[instance]!.mirrored) return kind === FAILOVER_TO_ANY && rules.instance_moves;
  if (secondary < 0 || kind === FAILOVER_TO_ANY) return false;
  if (kind === REPLACE_SECONDARY) return rules.disk_moves;
  if (!rules.instance_moves) return false;
  const over = table.offline[secondary] === 0;
  if (kind === FAILOVER) return over;
  if (!rules.disk_moves) return false;
  if (kind === REPLACE_PRIMARY) return over && !rules.restricted_migration;
  const drained = table.offline[table.primary[instance]!] === 1;
  if (rules.restricted_migration && !drained) return false;
  return kind === REPLACE_AND_FAILOVER || (kind === FAILOVER_AND_REPLACE && over);
}

/** Puts an instance elsewhere, if one move leads there and is allowed. */
export function moveTo(
  table: Table,
  instance: number,
  primary: number,
  secondary: number,
  rules: MoveRules,
): { readonly kind: MoveKind; readonly target: number } | null {
  for (const kind of all_kinds) {
    if (!kindAllowed(table, instance, kind, rules)) continue;
    for (const target of kind === FAILOVER ? [-1] : [primary, secondary]) {
      const [first, second] = [table.primary[instance]!, table.secondary[instance]!];
      if (target === first || (target === second && target >= 0)) continue;
      if (kind !== FAILOVER && (target < 0 || table.offline[target] === 1)) continue;
      const after = nodesAfter(kind, target, first, second);
      if (after.primary !== primary || after.secondary !== secondary) continue;
      if (tryMove(table, instance, kind, target, rules.ignore_soft_errors) === FITS) return { kind, target };
    }
  }
  return null;
}

/** The ones that send least come first. */
const all_kinds: readonly MoveKind[] = [
  FAILOVER,
  FAILOVER_TO_ANY,
  REPLACE_SECONDARY,
  REPLACE_AND_FAILOVER,
  FAILOVER_AND_REPLACE,
  REPLACE_PRIMARY,
];
