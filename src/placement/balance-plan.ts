/**
 * Which moves would balance a cluster that lives, and whether each is worth what it costs. Pure; the input is not changed.
 *
 * Each move is the best that greedy balancing (balance.ts) finds; one that gains less than it costs is passed over, and
 * the best of the other instances is looked for.
 */
import { type BalanceOptions, balance, default_balance, nodesOfGroup, type Step } from './balance.ts';
import { isRunning, mirrorKind, type PlacementCluster } from './cluster.ts';
import type { Named } from './maintenance-plan.ts';
import { clusterScore } from './score.ts';
import { buildTable, cloneTable, type Table } from './table.ts';
import { readRules } from './table-rules.ts';

export interface BalancePlanRequest {
  /** uuid; null: every group. */
  readonly group: string | null;
  /** Of each group. */
  readonly max_moves: number;
  /** What any move must gain in score. */
  readonly min_gain: number;
  /** What a move must gain beyond that for each GiB that it copies, and for each second that its instance stands still. */
  readonly gain_per_gib: number;
  readonly gain_per_down_s: number;
  /** false: only what need not be stopped for it. */
  readonly allow_restart: boolean;
}

export interface PlannedMove {
  readonly instance: Named;
  readonly from: Named;
  readonly to: Named;
  readonly gain: number;
  /** Of its group, after it. */
  readonly score: number;
  /** What goes over the network. */
  readonly mib: number;
  /** How long the instance does not run. */
  readonly down_s: number;
}

export interface GroupBalance {
  readonly group: Named;
  readonly before: number;
  readonly after: number;
  readonly moves: readonly PlannedMove[];
  /** Moves that gain less than they cost. */
  readonly not_worth: number;
}

export interface BalancePlan {
  readonly groups: readonly GroupBalance[];
}

/** Stop and start elsewhere, where live migration is not there: assumed of any guest. */
const restart_s = 40;
/** So many instances are passed over, then it is good enough as it is. */
const most_passed_over = 20;

export function balancePlan(cluster: PlacementCluster, request: BalancePlanRequest): BalancePlan {
  const groups = cluster.groups.flatMap(({ name, uuid }, at) =>
    request.group === null || request.group === uuid ? [{ at, named: { name, uuid } }] : [],
  );
  return { groups: groups.map(({ at, named }) => balanceGroup(cluster, at, named, request)) };
}

function balanceGroup(
  cluster: PlacementCluster,
  at: number,
  group: Named,
  request: BalancePlanRequest,
): GroupBalance {
  const read = readRules(cluster);
  let table = buildTable(cluster, { rules: 'errors' in read ? null : read.rules });
  const nodes = nodesOfGroup(table, at);
  const before = clusterScore(table, nodes);
  const moves: PlannedMove[] = [];
  // What has a copy of its own elsewhere cannot be moved yet, and what runs not without a restart.
  const fixed = new Set(
    cluster.instances.flatMap(({ template, status }, index) =>
      mirrorKind[template] === 'external' && (request.allow_restart || !isRunning(status)) ? [] : [index],
    ),
  );
  let score = before;
  let not_worth = 0;
  while (moves.length < request.max_moves && not_worth < most_passed_over) {
    const options: BalanceOptions = { ...default_balance, max_moves: 1, min_gain: 0, fixed };
    const trial = cloneTable(table);
    const step = balance(trial, nodes, options).next().value;
    if (step === undefined) break;
    const move = described(trial, step, score);
    const price =
      request.min_gain + (move.mib / 1024) * request.gain_per_gib + move.down_s * request.gain_per_down_s;
    if (!(move.gain >= price)) {
      fixed.add(step.instance);
      not_worth += 1;
      continue;
    }
    moves.push(move);
    score = move.score;
    table = trial;
  }
  return { group, before, after: score, moves, not_worth };
}

function described(table: Table, step: Step, before: number): PlannedMove {
  const { instances, nodes } = table.cluster;
  const { name, uuid, status } = instances[step.instance]!;
  const named = (node: number): Named => ({ name: nodes[node]!.name, uuid: nodes[node]!.uuid });
  return {
    instance: { name, uuid },
    from: named(step.old_primary),
    to: named(step.primary),
    gain: before - step.score,
    score: step.score,
    mib: 0,
    down_s: isRunning(status) ? restart_s : 0,
  };
}

/** Lines for people. */
export function balanceLines({ groups }: BalancePlan): readonly string[] {
  return groups.flatMap(({ group, before, after, moves, not_worth }) => [
    `group ${group.name}: score ${before.toFixed(8)}${moves.length === 0 ? ', nothing to do' : ` -> ${after.toFixed(8)} in ${moves.length} moves`}${not_worth === 0 ? '' : `; ${not_worth} moves gain less than they cost`}`,
    ...moves.map(
      ({ instance, from, to, gain, down_s }) =>
        `  ${instance.name} ${from.name} -> ${to.name}: gains ${gain.toFixed(8)}${down_s === 0 ? '' : `, stands still for about ${down_s} s`}`,
    ),
  ]);
}
