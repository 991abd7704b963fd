/**
 * Where instances go that have to leave their nodes, and in which steps.
 *
 * One after the other, each one's new place chosen for the least score of the group that it goes to, of equally good
 * nodes the last; the next one sees where the ones before it went. An instance that cannot go is told with its reason
 * and stays where it is; the others go all the same.
 *
 * With a copy: `primary-only` swaps roles, `secondary-only` makes a new copy elsewhere, `all` makes a copy on the new
 * primary, swaps roles and makes the other copy. Disks that every node reaches: the instance starts on another node.
 * Others cannot go.
 */
import { type DiskTemplate, failureName, type PlacementCluster, type PlacementFailure } from './cluster.ts';
import type { MoveStep } from './iallocator-answer.ts';
import type { EvacuationMode } from './iallocator-format.ts';
import { FAILOVER, FAILOVER_TO_ANY, nodesAfter, REPLACE_SECONDARY, tryMove } from './moves.ts';
import { leastIndex } from './near-ties.ts';
import { boundTo } from './rules.ts';
import { clusterScore, currentScore, enter, leave, openScore, type RunningScore } from './score.ts';
import { FITS, failureOf, lift, mark, NO_RULE, type Table, undoTo } from './table.ts';
import { reasonsOf } from './table-rules.ts';

export interface EvacuatedInstance {
  readonly instance: number;
  /** The group that it is in now. */
  readonly group: number;
  /** Its nodes now, the primary first. */
  readonly nodes: readonly number[];
  /** One job. */
  readonly steps: readonly MoveStep[];
}

export interface Evacuation {
  readonly moved: readonly EvacuatedInstance[];
  readonly failed: readonly { readonly instance: number; readonly reason: string }[];
}

/** Moves instances off their nodes within their groups; the table has them in their new places afterwards. */
export function evacuate(
  table: Table,
  instances: readonly number[],
  mode: EvacuationMode,
  force: boolean,
): Evacuation {
  const left = nodesToLeave(table, instances, mode);
  const leaveOne: Leave = (instance, allowed) => {
    const primary = table.primary[instance]!;
    const { group } = table.cluster.nodes[primary]!;
    const targets = onlineNodes(table, group).filter((node) => !left.has(node) && node !== primary);
    return evacuateOne(table, instance, mode, group, targets, force, allowed);
  };
  return inTurn(table, instances, leaveOne, mode);
}

/** Moves an instance in the table, or says why not. @param allowed whether a node will do as the primary */
export type Leave = (instance: number, allowed: (primary: number) => boolean) => readonly MoveStep[] | string;

/** Lets each instance leave, in order; those that only leave together, as soon as the first of them does. */
export function inTurn(
  table: Table,
  instances: readonly number[],
  leaveOne: Leave,
  mode: EvacuationMode = 'all',
): Evacuation {
  const moved: EvacuatedInstance[] = [];
  const failed: { instance: number; reason: string }[] = [];
  const outcomes = new Map<number, readonly MoveStep[] | string>();
  for (const instance of instances) {
    if (!outcomes.has(instance)) {
      const company = mode === 'secondary-only' ? [instance] : companyOf(table, instance, instances);
      for (const [at, outcome] of leaveTogether(table, company, leaveOne)) outcomes.set(at, outcome);
    }
    const outcome = outcomes.get(instance)!;
    if (typeof outcome === 'string') {
      failed.push({ instance, reason: outcome });
      continue;
    }
    const primary = table.primary[instance]!;
    const secondary = table.secondary[instance]!;
    const mirrored = table.demands[instance]!.mirrored;
    moved.push({
      instance,
      group: table.cluster.nodes[primary]!.group,
      nodes: mirrored ? [primary, secondary] : [primary],
      steps: outcome,
    });
  }
  return { moved, failed };
}

/** Those of the instances that a hard rule binds to this one's node, itself first. */
function companyOf(table: Table, instance: number, instances: readonly number[]): readonly number[] {
  if (table.rules === null || table.rules.rules.asks[instance] === 0) return [instance];
  const asked = new Set(instances);
  const others = boundTo(table.rules.rules, instance).filter((at) => at !== instance && asked.has(at));
  return [instance, ...others];
}

/**
 * The first one goes to its best place where the others fit, too. If there is none, none of them goes: each is told
 * what kept it, or whom it would not leave.
 */
function leaveTogether(
  table: Table,
  company: readonly number[],
  leaveOne: Leave,
): ReadonlyMap<number, readonly MoveStep[] | string> {
  const [first = -1, ...others] = company;
  const { rules } = table;
  if (rules === null || others.length === 0) return new Map([[first, leaveOne(first, () => true)]]);
  for (const instance of company) rules.together.add(instance);
  const outcomes = whereAllFit(table, company, leaveOne);
  rules.together.clear();
  return outcomes;
}

function whereAllFit(
  table: Table,
  company: readonly number[],
  leaveOne: Leave,
): ReadonlyMap<number, readonly MoveStep[] | string> {
  const [first = -1] = company;
  const start = mark(table);
  const full = new Set<number>();
  let kept: string | null = null;
  for (;;) {
    for (const instance of company) lift(table, instance);
    const outcomes = new Map<number, readonly MoveStep[] | string>();
    let failure: string | null = null;
    for (const instance of company) {
      const outcome = leaveOne(instance, (node) => instance !== first || !full.has(node));
      outcomes.set(instance, outcome);
      if (typeof outcome === 'string') {
        failure = outcome;
        break;
      }
    }
    if (failure === null) return outcomes;
    const tried = table.primary[first]!;
    const stuck = outcomes.size === 1 || full.has(tried);
    undoTo(table, start);
    // Where the first has tried every node, it is the others that did not fit.
    if (!stuck || kept === null) kept = failure;
    const told = kept;
    if (stuck) return new Map(company.map((instance) => [instance, told]));
    full.add(tried);
  }
}

export function onlineNodes(table: Table, group: number): readonly number[] {
  const online: number[] = [];
  for (let node = 0; node < table.node_count; node++) {
    if (table.offline[node] === 0 && table.cluster.nodes[node]!.group === group) online.push(node);
  }
  return online;
}

/** Nodes that some instance is to leave: none of the others may go there either. */
function nodesToLeave(table: Table, instances: readonly number[], mode: EvacuationMode): ReadonlySet<number> {
  const nodes = new Set<number>();
  for (const instance of instances) {
    const secondary = table.secondary[instance]!;
    if (mode !== 'secondary-only') nodes.add(table.primary[instance]!);
    if (mode !== 'primary-only' && table.demands[instance]!.mirrored && secondary >= 0) nodes.add(secondary);
  }
  return nodes;
}

type Method = 'mirrored' | 'reachable' | 'stuck';

const methods: { readonly [template in DiskTemplate]: Method } = {
  drbd: 'mirrored',
  mirror: 'mirrored',
  diskless: 'reachable',
  sharedfile: 'reachable',
  blockdev: 'reachable',
  rbd: 'reachable',
  ext: 'reachable',
  gluster: 'reachable',
  plain: 'stuck',
  file: 'stuck',
};

/**
 * Moves one instance to nodes of `targets`, which are in `group`; to one that is `allowed` if its primary moves. The steps; or why it cannot go, and then it has not.
 */
export function evacuateOne(
  table: Table,
  instance: number,
  mode: EvacuationMode,
  group: number,
  targets: readonly number[],
  force: boolean,
  allowed: (primary: number) => boolean = () => true,
): readonly MoveStep[] | string {
  const { template } = table.cluster.instances[instance]!;
  switch (methods[template]) {
    case 'stuck':
      return `Instances of type ${template} cannot be relocated`;
    case 'reachable': {
      if (mode === 'secondary-only') {
        return `Instances with disk template '${template}' can't execute change secondary`;
      }
      const node = moveToBest(table, instance, FAILOVER_TO_ANY, group, targets.filter(allowed), force);
      return typeof node === 'string' ? node : [{ kind: 'take-over', node }];
    }
    case 'mirrored': {
      if (mode === 'primary-only') {
        const secondary = table.secondary[instance]!;
        const primary = table.primary[instance]!;
        const failure = allowed(secondary) ? tryMove(table, instance, FAILOVER, -1, force) : NO_RULE;
        if (failure === FITS) return [take_over];
        return failureText(table, instance, failureOf(failure), secondary, primary);
      }
      if (mode === 'all') return replaceBoth(table, instance, group, targets, force, allowed);
      const node = moveToBest(table, instance, REPLACE_SECONDARY, group, targets, force);
      return typeof node === 'string' ? node : [{ kind: 'replace-secondary', node }];
    }
  }
}

/** In the htools' word; of a rule, in words of its own as well. */
function failureText(
  { rules }: Table,
  instance: number,
  failure: PlacementFailure,
  primary: number,
  secondary: number,
): string {
  const [reason] =
    rules === null || failure !== 'rules' ? [] : reasonsOf(rules, instance, primary, secondary);
  return reason === undefined ? failureName[failure] : `${failureName[failure]} (${reason})`;
}

const take_over: MoveStep = { kind: 'take-over', node: null };

/** A score of the nodes of one group that is kept while an instance moves between them. */
interface Watch {
  readonly table: Table;
  readonly score: RunningScore;
  readonly watched: Uint8Array;
}

function watchGroup(table: Table, group: number): Watch {
  const nodes: number[] = [];
  const watched = new Uint8Array(table.node_count);
  for (const [node, { group: of }] of table.cluster.nodes.entries()) {
    if (of !== group) continue;
    nodes.push(node);
    watched[node] = 1;
  }
  return { table, score: openScore(table, nodes), watched };
}

/** Changes the table with the score following; both are as they were if it did not fit. */
function follow({ table, score, watched }: Watch, involved: readonly number[], change: () => number): number {
  for (const node of involved) if (node >= 0 && watched[node] === 1) leave(score, table, node);
  const failure = change();
  for (const node of involved) if (node >= 0 && watched[node] === 1) enter(score, table, node);
  return failure;
}

function undoing(watch: Watch, involved: readonly number[], start: number): void {
  follow(watch, involved, () => {
    undoTo(watch.table, start);
    return FITS;
  });
}

/** The score after one move, with the move undone; or why it does not fit. */
function probe(
  watch: Watch,
  instance: number,
  kind: typeof FAILOVER_TO_ANY | typeof REPLACE_SECONDARY,
  target: number,
  force: boolean,
): number | PlacementFailure {
  const { table } = watch;
  const involved = [table.primary[instance]!, table.secondary[instance]!, target];
  const start = mark(table);
  const failure = follow(watch, involved, () => tryMove(table, instance, kind, target, force));
  if (failure !== FITS) return failureOf(failure);
  const score = currentScore(watch.score);
  undoing(watch, involved, start);
  return score;
}

function moveToBest(
  table: Table,
  instance: number,
  kind: typeof FAILOVER_TO_ANY | typeof REPLACE_SECONDARY,
  group: number,
  targets: readonly number[],
  force: boolean,
): number | string {
  const watch = watchGroup(table, group);
  const fitting: number[] = [];
  const scores: number[] = [];
  let reasons = '';
  for (const target of targets) {
    const score = probe(watch, instance, kind, target, force);
    if (typeof score === 'number') {
      fitting.push(target);
      scores.push(score);
    } else {
      const to = nodesAfter(kind, target, table.primary[instance]!, table.secondary[instance]!);
      const why = failureText(table, instance, score, to.primary, to.secondary);
      reasons += ` Node ${table.cluster.nodes[target]!.name} failed: ${why};`;
    }
  }
  const best = leastIndex(scores, (index) =>
    exactScore(watch, () => tryMove(table, instance, kind, fitting[index]!, force)),
  );
  if (best === -1) return `Can't find any good node: ${reasons}`;
  tryMove(table, instance, kind, fitting[best]!, force);
  return fitting[best]!;
}

/** The group's score after a change, worked out from nothing; the change is undone. */
function exactScore({ table, score }: Watch, change: () => void): number {
  const start = mark(table);
  change();
  const value = clusterScore(table, score.nodes);
  undoTo(table, start);
  return value;
}

/** New primary and new secondary: a copy there, roles swapped, and the other copy. */
function replaceBoth(
  table: Table,
  instance: number,
  group: number,
  targets: readonly number[],
  force: boolean,
  allowed: (primary: number) => boolean,
): readonly MoveStep[] | string {
  const origin = mark(table);
  const steps: MoveStep[] = [];
  let reason = 'no nodes available';
  const pairs: { readonly primary: number; readonly secondary: number }[] = [];
  const scores: number[] = [];
  // Swapped at once where the primary cannot run it any more.
  const first_swap =
    table.offline[table.primary[instance]!] === 1 ? tryMove(table, instance, FAILOVER, -1, force) : null;
  if (first_swap === FITS) steps.push(take_over);
  const from = [table.primary[instance]!, table.secondary[instance]!];
  const start = mark(table);
  const watch = watchGroup(table, group);
  for (const primary of targets) {
    const others = targets.filter((node) => node !== primary);
    if (others.length === 0 || !allowed(primary)) continue;
    const swapped =
      first_swap !== null && first_swap !== FITS
        ? `Failing over to the secondary: ${failureName[failureOf(first_swap)]}`
        : becomePrimary(watch, instance, [...from, primary], primary, force);
    if (typeof swapped === 'string') {
      reason = `Allocation failed: ${swapped}`;
      continue;
    }
    for (const secondary of others) {
      const score = probe(watch, instance, REPLACE_SECONDARY, secondary, force);
      if (typeof score !== 'number') {
        reason = `Allocation failed: Changing secondary to final secondary: ${failureText(table, instance, score, primary, secondary)}`;
      } else {
        pairs.push({ primary, secondary });
        scores.push(score);
      }
    }
    undoing(watch, [...from, primary], start);
  }
  const move = ({ primary, secondary }: (typeof pairs)[number]): void => {
    tryMove(table, instance, REPLACE_SECONDARY, primary, force);
    tryMove(table, instance, FAILOVER, -1, force);
    tryMove(table, instance, REPLACE_SECONDARY, secondary, force);
  };
  const best = pairs[leastIndex(scores, (index) => exactScore(watch, () => move(pairs[index]!)))];
  if (best === undefined) {
    undoTo(table, origin);
    return `Can't find any good nodes for relocation: ${reason}`;
  }
  move(best);
  return [
    ...steps,
    { kind: 'replace-secondary', node: best.primary },
    take_over,
    { kind: 'replace-secondary', node: best.secondary },
  ];
}

/** A copy on a node, and over to it. Done if the result is no text. */
function becomePrimary(
  watch: Watch,
  instance: number,
  involved: readonly number[],
  node: number,
  force: boolean,
): string | null {
  const { table } = watch;
  const start = mark(table);
  let reason: string | null = null;
  follow(watch, involved, () => {
    const copied = tryMove(table, instance, REPLACE_SECONDARY, node, force);
    const swapped = copied === FITS ? tryMove(table, instance, FAILOVER, -1, force) : FITS;
    if (copied !== FITS) {
      reason = `Changing secondary to new primary: ${failureName[failureOf(copied)]}`;
    } else if (swapped !== FITS) {
      reason = `Failing over to new primary: ${failureName[failureOf(swapped)]}`;
    }
    if (reason !== null) undoTo(table, start);
    return FITS;
  });
  return reason;
}

/** The names of an evacuation's instances, groups and nodes, for an answer. */
export function namesOf(
  cluster: PlacementCluster,
  { instance, group, nodes }: EvacuatedInstance,
): readonly [string, string, readonly string[]] {
  return [
    cluster.instances[instance]!.name,
    cluster.groups[group]!.name,
    nodes.map((node) => cluster.nodes[node]!.name),
  ];
}
