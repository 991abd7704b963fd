/**
 * A plan as Ganeti carries it out: moves that touch no common node form a jobset, and a jobset waits for the one before.
 * Each move is one job, and each job is one to three commands.
 */
import type { Step } from './balance.ts';
import { isRunning, type RunStatus } from './cluster.ts';
import {
  FAILOVER,
  FAILOVER_AND_REPLACE,
  FAILOVER_TO_ANY,
  REPLACE_AND_FAILOVER,
  REPLACE_PRIMARY,
  REPLACE_SECONDARY,
} from './moves.ts';
import { hardPairRules, type PlacementRules } from './rules.ts';

/**
 * Consecutive steps that share no node, nor a hard rule between instances: of two in one set nobody knows which comes
 * first. As in the htools they are gathered from the last one backwards, which decides
 * where a set is cut.
 */
export function splitJobsets(
  steps: readonly Step[],
  rules: PlacementRules | null = null,
): readonly (readonly Step[])[] {
  const sets: Step[][] = [];
  let touched = new Set<number | string>();
  for (const step of steps.toReversed()) {
    const nodes: (number | string)[] = [
      ...[step.primary, step.secondary, step.old_primary, step.old_secondary].filter((at) => at >= 0),
      ...(rules === null ? [] : hardPairRules(rules, step.instance).map((rule) => `rule ${rule}`)),
    ];
    const current = sets[0];
    if (current === undefined || nodes.some((node) => touched.has(node))) {
      sets.unshift([step]);
      touched = new Set(nodes);
    } else {
      current.unshift(step);
      for (const node of nodes) touched.add(node);
    }
  }
  return sets;
}

/** hbal's notation: `f` and `fa:node` move the primary, `r:node` makes a new copy. */
export function moveText(step: Step, nodeName: (node: number) => string): string {
  const target = step.target < 0 ? '' : nodeName(step.target);
  switch (step.kind) {
    case FAILOVER:
      return 'f';
    case FAILOVER_TO_ANY:
      return `fa:${target}`;
    case REPLACE_PRIMARY:
      return `f r:${target} f`;
    case REPLACE_SECONDARY:
      return `r:${target}`;
    case REPLACE_AND_FAILOVER:
      return `r:${target} f`;
    case FAILOVER_AND_REPLACE:
      return `f r:${target}`;
  }
}

/** The commands of one job, each to be put behind `gnt-instance`. */
export function moveCommands(
  step: Step,
  status: RunStatus,
  instance: string,
  nodeName: (node: number) => string,
): readonly string[] {
  const target = step.target < 0 ? '' : nodeName(step.target);
  const verb = isRunning(status) ? 'migrate' : 'failover';
  const over = `${verb} -f ${instance}`;
  const replace = `replace-disks -n ${target} ${instance}`;
  switch (step.kind) {
    case FAILOVER:
      return [over];
    case FAILOVER_TO_ANY:
      return [`${verb} -f -n ${target} ${instance}`];
    case REPLACE_PRIMARY:
      return [over, replace, over];
    case REPLACE_SECONDARY:
      return [replace];
    case REPLACE_AND_FAILOVER:
      return [replace, over];
    case FAILOVER_AND_REPLACE:
      return [over, replace];
  }
}
