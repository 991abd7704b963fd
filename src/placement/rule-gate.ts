/**
 * What Skein's rules say of the nodes that a new instance could go to: one of the table's, by its tags; or a mere size,
 * of which only the cluster's and the groups' rules speak, and what a node has to give.
 */
import type { PlacementFailure, PlacementInstance } from './cluster.ts';
import type { Table } from './table.ts';
import {
  addedPenalty,
  isConcerned,
  lacks,
  reasonsOf,
  refuses,
  sizePenalty,
  spreadRefusesSize,
} from './table-rules.ts';

export interface RuleGate {
  /** Why a node cannot have the primary, whatever the secondary; null: it can. */
  readonly primaryRefusal: (node: number) => PlacementFailure | null;
  readonly refusesPair: (primary: number, secondary: number) => boolean;
  /** All that broken rules then add to the score. @param secondary -1: none */
  readonly penalty: (primary: number, secondary: number) => number;
  /** Of what was refused for a rule, the first few in words. */
  readonly reasons: () => readonly string[];
}

/** As many as a reader wants to see. */
const most_reasons = 3;

/** null: there is nothing to ask. Holds for the table as it is now. */
export function openGate(
  table: Table,
  wanted: { readonly instance: PlacementInstance; readonly index: number },
): RuleGate | null {
  const { rules } = table;
  const { instance, index } = wanted;
  if (rules === null) return null;
  const reasons: string[] = [];
  if (index < 0) {
    return {
      primaryRefusal: (node) => lacks(rules, index, instance, node),
      refusesPair: (primary, secondary) => spreadRefusesSize(rules, primary, secondary),
      penalty: (primary, secondary) => rules.penalty + sizePenalty(rules, primary, secondary),
      reasons: () => reasons,
    };
  }
  const from = { primary: table.primary[index]!, secondary: table.secondary[index]! };
  const concerned = isConcerned(rules, index);
  const here =
    concerned && rules.rules.primary[index]! >= 0
      ? addedPenalty(rules, index, from.primary, from.secondary)
      : 0;
  const refusedAt = (primary: number, secondary: number): boolean => {
    if (!concerned || !refuses(rules, index, from, primary, secondary)) return false;
    for (const text of reasonsOf(rules, index, primary, secondary)) {
      if (reasons.length < most_reasons && !reasons.includes(text)) reasons.push(text);
    }
    return true;
  };
  return {
    primaryRefusal: (node) => {
      if (!refusedAt(node, -1)) return null;
      return lacks(rules, index, instance, node) ?? 'rules';
    },
    refusesPair: refusedAt,
    penalty: (primary, secondary) =>
      rules.penalty + (concerned ? addedPenalty(rules, index, primary, secondary) - here : 0),
    reasons: () => reasons,
  };
}
