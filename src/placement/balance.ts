/**
 * Balancing a group of nodes: the best move, again and again, as long as it is worth it. Greedy, and stable: started
 * again from the middle of its own solution it goes on with the rest of it.
 */
import type { DiskTemplate } from './cluster.ts';
import { findMove, type MoveRules, type MoveSearch, openSearch } from './move-search.ts';
import { type MoveKind, tryMove } from './moves.ts';
import { clusterScore, leastScore } from './score.ts';
import { forget, type Table } from './table.ts';

export interface BalanceOptions extends MoveRules {
  /** At most so many moves; negative: no limit. */
  readonly max_moves: number;
  /** How near to the least score of all is near enough. */
  readonly min_score: number;
  /** What a move must gain, once the score is at most `min_gain_limit`. */
  readonly min_gain: number;
  readonly min_gain_limit: number;
  /** Only instances on offline nodes. */
  readonly evacuate: boolean;
  /** Instances that must stay, by index. */
  readonly fixed: ReadonlySet<number>;
}

export const default_balance: BalanceOptions = {
  disk_moves: true,
  instance_moves: true,
  restricted_migration: false,
  ignore_soft_errors: false,
  max_moves: -1,
  min_score: 1e-9,
  min_gain: 1e-2,
  min_gain_limit: 1e-1,
  evacuate: false,
  fixed: new Set(),
};

/** One move that was made. */
export interface Step {
  readonly instance: number;
  readonly kind: MoveKind;
  readonly target: number;
  readonly old_primary: number;
  /** -1: none. */
  readonly old_secondary: number;
  readonly primary: number;
  readonly secondary: number;
  /** After it. */
  readonly score: number;
}

/** Of these, only the disks' template says whether an instance can move at all. */
const movable: ReadonlySet<DiskTemplate> = new Set([
  'drbd',
  'mirror',
  'blockdev',
  'sharedfile',
  'gluster',
  'rbd',
  'ext',
]);

/** Nodes of a group, ascending. */
export function nodesOfGroup(table: Table, group: number): readonly number[] {
  return table.cluster.nodes.flatMap((node, at) => (node.group === group ? [at] : []));
}

/** Instances whose primary is on one of the nodes. */
export function instancesOn(table: Table, nodes: readonly number[]): readonly number[] {
  const wanted = new Set(nodes);
  return table.cluster.instances.flatMap((_, at) => (wanted.has(table.primary[at]!) ? [at] : []));
}

/** Of the instances on a group's nodes, those that may be moved. */
export function movableOn(
  table: Table,
  nodes: readonly number[],
  options: Pick<BalanceOptions, 'fixed'>,
): readonly number[] {
  const { instances, nodes: all } = table.cluster;
  return instancesOn(table, nodes).filter((at) => {
    const instance = instances[at]!;
    const secondary = table.secondary[at]!;
    return (
      instance.auto_balance &&
      movable.has(instance.template) &&
      !options.fixed.has(at) &&
      (secondary < 0 || all[secondary]!.group === all[table.primary[at]!]!.group)
    );
  });
}

/**
 * Makes one move after another in the table, and yields each when it is made.
 * @param nodes of one group, ascending
 */
export function* balance(
  table: Table,
  nodes: readonly number[],
  options: BalanceOptions,
): Generator<Step, void, undefined> {
  const wanted_score = leastScore(table, nodes) + options.min_score;
  const instances = movableOn(table, nodes, options);
  let score = clusterScore(table, nodes);
  let search: MoveSearch | null = null;
  for (let made = 0; options.max_moves < 0 || made < options.max_moves; made++) {
    if (!(score > wanted_score)) return;
    search ??= openSearch(table, nodes, instances, options);
    const candidates = options.evacuate ? instances.filter((at) => isOnOffline(table, at)) : instances;
    const found = findMove(search, candidates, score);
    if (found === null) return;
    if (score <= options.min_gain_limit && score - found.score < options.min_gain) return;
    const { instance, kind, target } = found;
    const old_primary = table.primary[instance]!;
    const old_secondary = table.secondary[instance]!;
    tryMove(table, instance, kind, target, options.ignore_soft_errors);
    forget(table);
    score = found.score;
    yield {
      instance,
      kind,
      target,
      old_primary,
      old_secondary,
      primary: table.primary[instance]!,
      secondary: table.secondary[instance]!,
      score,
    };
  }
}

function isOnOffline(table: Table, instance: number): boolean {
  const secondary = table.secondary[instance]!;
  if (table.offline[table.primary[instance]!] === 1) return true;
  return table.demands[instance]!.mirrored && secondary >= 0 && table.offline[secondary] === 1;
}
