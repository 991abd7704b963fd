/**
 * Fulfils IAllocator requests, as hail does: the same choices, the same words.
 *
 * The table that comes with the answer has the instances where the answer says they go; the cluster that was handed in is
 * not changed.
 */
import {
  type Allocation,
  type AllocationOptions,
  allocate,
  openPlacing,
  type Placing,
  type Solution,
  settle,
  type Wanted,
} from './allocate.ts';
import {
  byScore,
  chooseGroup,
  type Described,
  describeAllocation,
  describeAttempt,
  type GroupMethod,
  networkRefusal,
} from './allocate-group.ts';
import { mirrorKind, type PlacementCluster, type PlacementInstance } from './cluster.ts';
import { currentCluster } from './current-cluster.ts';
import { fixed } from './decimal.ts';
import { byLostAllocations, isDedicated } from './dedicated.ts';
import { type Evacuation, evacuate, evacuateOne, inTurn, namesOf, onlineNodes } from './evacuate.ts';
import { type AllocatorAnswer, failed, opcodeOf, successful } from './iallocator-answer.ts';
import type { AllocatorInput, AllocatorRequest, WantedInstance } from './iallocator-format.ts';
import type { RedundancyOptions } from './redundancy.ts';
import { moveOut } from './residents.ts';
import type { PlacementRules } from './rules.ts';
import { buildTable, commonLocations, demandOf, mark, removePrimary, type Table, undoTo } from './table.ts';
import { readRules } from './table-rules.ts';

export interface AllocatorOptions {
  /** Soft limits do not count. */
  readonly ignore_soft_errors?: boolean;
  /** Not false: the cluster has to stay so that any one node may die. */
  readonly capacity_checks?: boolean;
  /** Names of the only nodes for new instances; instead of those that the request names. */
  readonly restrict_to?: readonly string[] | null;
  readonly redundancy?: RedundancyOptions;
}

export interface AllocatorOutcome {
  readonly answer: AllocatorAnswer;
  /** As it is after the request. */
  readonly table: Table;
  /** All instances where they are then, new ones where hail puts them in its lists. */
  readonly instances: readonly PlacementInstance[];
}

export function runAllocator(input: AllocatorInput, options: AllocatorOptions = {}): AllocatorOutcome {
  const { cluster, request } = input;
  const waiting = wantedOf(request).map(({ instance }) => ({ ...instance, primary: -1, secondary: -1 }));
  const read = rulesWith(cluster, waiting);
  const table = buildTable(cluster, { waiting, rules: typeof read === 'string' ? null : read });
  if (typeof read === 'string') {
    return { answer: failed(read), table, instances: cluster.instances };
  }
  const run: Run = { cluster, table, options, placed: [] };
  const dedicated = goesByLostAllocations(input);
  const start = mark(table);
  const answer = answerTo(run, request, dedicated);
  if (!answer.success) {
    undoTo(table, start);
    run.placed.length = 0;
  }
  return { answer, table, instances: instancesAfter(run, request) };
}

/** Skein's own rules, new instances among those that have some; text: they cannot all be kept. */
function rulesWith(
  cluster: PlacementCluster,
  waiting: readonly PlacementInstance[],
): PlacementRules | null | string {
  const read = readRules({ ...cluster, instances: [...cluster.instances, ...waiting] });
  return 'errors' in read ? read.errors.map(({ text }) => text).join('; ') : read.rules;
}

function instancesAfter({ table, placed }: Run, request: AllocatorRequest): readonly PlacementInstance[] {
  const { nodes, instances } = table.cluster;
  const own = currentCluster(table, [...nodes.keys()], [...instances.keys()]).instances;
  switch (request.type) {
    case 'allocate':
      return [...placed, ...own];
    case 'multi-allocate':
      return [...own, ...placed];
    case 'allocate-secondary':
      return own.map((instance, at) =>
        at === request.instance && instance.secondary >= 0 ? { ...instance, template: 'drbd' } : instance,
      );
    default:
      return own;
  }
}

interface Run {
  readonly cluster: PlacementCluster;
  readonly table: Table;
  readonly options: AllocatorOptions;
  /** New instances, on their nodes. */
  readonly placed: PlacementInstance[];
}

function wantedOf(request: AllocatorRequest): readonly WantedInstance[] {
  if (request.type === 'allocate') return [request.wanted];
  return request.type === 'multi-allocate' ? request.wanted : [];
}

/**
 * Is it about new instances where all storage is exclusive? Several count as asked for one group if all that name one
 * name the same.
 */
export function goesByLostAllocations({ cluster, request }: AllocatorInput): boolean {
  const wanted = wantedOf(request);
  if (request.type !== 'allocate' && request.type !== 'multi-allocate') return false;
  const groups = [...new Set(wanted.flatMap(({ group }) => group ?? []))];
  return isDedicated(cluster, groups.length === 1 ? (groups[0] ?? null) : null);
}

function answerTo(run: Run, request: AllocatorRequest, dedicated: boolean): AllocatorAnswer {
  switch (request.type) {
    case 'allocate':
      return answerAllocate(run, request.wanted, request.restrict_to, dedicated);
    case 'multi-allocate':
      return answerMultiAllocate(run, request.wanted, dedicated);
    case 'allocate-secondary':
      return answerAllocateSecondary(run, request.instance);
    case 'relocate':
      return answerRelocate(run, request.instance, request.node_count, request.from);
    case 'node-evacuate': {
      const { table, options } = run;
      const force = options.ignore_soft_errors === true;
      return answerEvacuation(run.cluster, evacuate(table, request.instances, request.mode, force));
    }
    case 'change-group':
      return answerChangeGroup(run, request.instances, request.target_groups);
  }
}

function allocationOptions({ options }: Run): AllocationOptions {
  return {
    force: options.ignore_soft_errors === true,
    capacity_checks: options.capacity_checks !== false,
    ...(options.redundancy === undefined ? {} : { redundancy: options.redundancy }),
  };
}

/** Where one new instance goes, or nowhere; and what there is to say. */
interface Found {
  readonly solution: Pick<Solution, 'primary' | 'secondary'> | null;
  readonly info: string;
  /** Nodes of a group that was asked for were tried. */
  readonly could_be_tried: boolean;
}

function answerAllocate(
  run: Run,
  wanted: WantedInstance,
  restrict_to: readonly string[] | null,
  dedicated: boolean,
): AllocatorAnswer {
  const placing = openPlacing(run.table);
  const { solution, info } = findPlace(run, placing, wanted, 0, restrict_to, dedicated);
  if (solution === null) return failed(info);
  putDown(run, placing, wanted, 0, solution);
  return successful(info, nodeNames(run.cluster, solution));
}

/**
 * Each sees where the ones before it went. One that fits nowhere in the cluster fails the whole request; one that does
 * not fit in the group that was asked for is only told of.
 */
function answerMultiAllocate(
  run: Run,
  all_wanted: readonly WantedInstance[],
  dedicated: boolean,
): AllocatorAnswer {
  const placing = openPlacing(run.table);
  const allocated: (readonly [string, readonly string[]])[] = [];
  const refused: (readonly [string, string])[] = [];
  for (const [at, wanted] of all_wanted.entries()) {
    const { solution, info, could_be_tried } = findPlace(run, placing, wanted, at, null, dedicated);
    if (solution === null) {
      if (!could_be_tried) return failed(info);
      refused.push([wanted.instance.name, info]);
      continue;
    }
    putDown(run, placing, wanted, at, solution);
    allocated.push([wanted.instance.name, nodeNames(run.cluster, solution)]);
  }
  const info = `${refused.length} instances failed to allocate and ${allocated.length} were allocated successfully`;
  return successful(info, [allocated, refused]);
}

function putDown(
  run: Run,
  placing: Placing,
  { instance }: WantedInstance,
  at: number,
  { primary, secondary }: Pick<Solution, 'primary' | 'secondary'>,
): void {
  const index = run.cluster.instances.length + at;
  const wanted: Wanted = { index, instance, demand: run.table.demands[index]! };
  settle(placing, wanted, { primary, secondary, score: 0 });
  run.placed.push({ ...instance, primary, secondary });
}

function nodeNames(
  cluster: PlacementCluster,
  { primary, secondary }: Pick<Solution, 'primary' | 'secondary'>,
): readonly string[] {
  return [primary, secondary].filter((node) => node >= 0).map((node) => cluster.nodes[node]!.name);
}

function findPlace(
  run: Run,
  placing: Placing,
  { instance, node_count, group }: WantedInstance,
  at: number,
  restrict_to: readonly string[] | null,
  dedicated: boolean,
): Found {
  const { cluster, table, options } = run;
  const names = options.restrict_to ?? restrict_to;
  const only = names === null ? null : new Set(names);
  const index = cluster.instances.length + at;
  const wanted: Wanted = { index, instance, demand: table.demands[index]! };
  const scope = group === null ? null : findGroup(cluster, group);
  if (scope === -1) return untried(`Wrong number of elems found with name ${group ?? ''}`);
  if (dedicated) {
    const method = byLostAllocations(table, wanted, node_count, only, allocationOptions(run));
    return scope === null ? inBestGroup(cluster, wanted, method) : inGroup(cluster, wanted, scope, method);
  }
  // In a group that was asked for, only its own nodes count.
  const nodes =
    scope === null ? placing.nodes : placing.nodes.filter((node) => cluster.nodes[node]!.group === scope);
  const method = byScore({ ...placing, nodes }, wanted, node_count, only, allocationOptions(run));
  return scope === null ? inBestGroup(cluster, wanted, method) : inGroup(cluster, wanted, scope, method);
}

function findGroup(cluster: PlacementCluster, name: string): number {
  return cluster.groups.findIndex((group) => group.name === name || group.uuid === name);
}

function inBestGroup<T extends Described>(
  cluster: PlacementCluster,
  wanted: Wanted,
  method: GroupMethod<T>,
): Found {
  const { chosen, messages } = chooseGroup(cluster, wanted.instance, null, method);
  const told = messages.join(', ');
  if (chosen === null) return untried(told);
  const { name } = cluster.groups[chosen.group]!;
  return { ...untried(`Selected group: ${name}, ${told}`), solution: chosen.allocation.solution };
}

function untried(info: string): Found {
  return { solution: null, info, could_be_tried: false };
}

function inGroup<T extends Described>(
  cluster: PlacementCluster,
  wanted: Wanted,
  group: number,
  method: GroupMethod<T>,
): Found {
  const refusal = networkRefusal(cluster, group, wanted.instance);
  if (refusal !== null) return untried(refusal);
  const outcome = method.tryGroup(group);
  if (typeof outcome === 'string') return untried(outcome);
  return {
    solution: outcome.solution,
    info: describeAttempt(cluster, { group, outcome }, method.showScore),
    could_be_tried: true,
  };
}

/** A copy for an instance that has none, as for a new one whose primary is where it is. */
function answerAllocateSecondary(run: Run, index: number): AllocatorAnswer {
  const { cluster, table } = run;
  const primary = table.primary[index]!;
  const instance = { ...cluster.instances[index]!, template: 'drbd' as const };
  if (table.secondary[index]! >= 0) return failed('Instance already has a secondary');
  const placing = openPlacing(table);
  moveOut(placing.residents, primary, cluster.instances[index]!);
  removePrimary(table, primary, table.demands[index]!, commonLocations(table, primary, -1));
  const { exclusion, desired } = table.tags;
  const wanted: Wanted = { index, instance, demand: demandOf(instance, exclusion[index], desired[index]) };
  const others = onlineNodes(table, cluster.nodes[primary]!.group).filter((node) => node !== primary);
  if (others.length === 0) return failed('Not enough online nodes');
  const candidates = { primaries: [primary], secondariesOf: () => others };
  const allocation = allocate(placing, wanted, candidates, allocationOptions(run));
  const info = describeAllocation(cluster, allocation, fixed(allocation.solution?.score ?? 0, 8));
  const { solution } = allocation;
  if (solution === null) return failed(info);
  settle(placing, wanted, solution);
  return successful(info, cluster.nodes[solution.secondary]!.name);
}

/** One node of an instance is exchanged: the secondary if it has a copy there, otherwise the primary. */
function answerRelocate(
  run: Run,
  index: number,
  node_count: number,
  from: readonly number[],
): AllocatorAnswer {
  const { cluster, table, options } = run;
  if (node_count !== 1) return failed(`Exchange ${node_count} nodes mode is not implemented`);
  const kind = mirrorKind[cluster.instances[index]!.template];
  if (kind === 'none') return failed("Can't relocate non-mirrored instances");
  const by_copy = kind === 'internal';
  const leaves = by_copy ? table.secondary[index]! : table.primary[index]!;
  if (from.length !== 1 || from[0] !== leaves) {
    const which = by_copy ? 'secondary' : 'primary';
    return failed(
      `Unsupported request: excluded nodes not equal to instance's ${which}` +
        `(${leaves} versus [${from.join(',')}])`,
    );
  }
  const mode = by_copy ? 'secondary-only' : 'primary-only';
  const { moved, failed: refused } = evacuate(table, [index], mode, options.ignore_soft_errors === true);
  if (moved.length === 0)
    return failed(refused[0]?.reason ?? 'Internal error: lost instance idx during move');
  const node = by_copy ? table.secondary[index]! : table.primary[index]!;
  return successful('success', [cluster.nodes[node]!.name]);
}

function answerEvacuation(
  cluster: PlacementCluster,
  { moved, failed: refused }: Evacuation,
): AllocatorAnswer {
  const info = `${refused.length} instances failed to move and ${moved.length} were moved successfully`;
  return successful(info, [
    moved.map((one) => namesOf(cluster, one)),
    refused.map(({ instance, reason }) => [cluster.instances[instance]!.name, reason]),
    moved.map(({ instance, steps }) => steps.map((step) => opcodeOf(cluster, instance, step))),
  ]);
}

/** Each instance to the group that would be chosen for it if it were new. */
function answerChangeGroup(
  run: Run,
  instances: readonly number[],
  target_groups: readonly number[],
): AllocatorAnswer {
  const { cluster, table } = run;
  const groupOf = (instance: number): number => cluster.nodes[table.primary[instance]!]!.group;
  const left = new Set(instances.map(groupOf));
  const targets = (
    target_groups.length === 0 ? cluster.groups.map((_, group) => group) : target_groups
  ).filter((group) => !left.has(group));
  return answerEvacuation(
    cluster,
    inTurn(table, instances, (index, allowed) => {
      const instance = cluster.instances[index]!;
      const wanted: Wanted = { index, instance, demand: table.demands[index]! };
      const node_count = instance.template === 'drbd' ? 2 : 1;
      const method = byScore(
        openPlacing(table),
        wanted,
        node_count,
        restriction(run),
        allocationOptions(run),
      );
      const { chosen, messages, none_allowed } = chooseGroup<Allocation>(cluster, instance, targets, method);
      if (chosen !== null) {
        const online = onlineNodes(table, chosen.group);
        return evacuateOne(table, index, 'all', chosen.group, online, false, allowed);
      }
      if (!none_allowed) return messages.join(', ');
      const names = cluster.groups.map(({ name }) => name).join(',');
      return `no groups for evacuation: allowed groups was Just [${targets.join(',')}], all groups: [${names}]`;
    }),
  );
}

function restriction({ options }: Run): ReadonlySet<string> | null {
  const names = options.restrict_to ?? null;
  return names === null ? null : new Set(names);
}
