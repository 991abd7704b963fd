/**
 * The whole of what hspace finds out of a cluster: how it is, what more it holds in the largest sizes that fit, and how
 * many of the standard size. A cluster on which some node fails N+1 already holds nothing more, unless its groups are
 * looked at one by one or what is wrong is accepted.
 */
import { openPlacing } from './allocate.ts';
import {
  type CapacityOptions,
  type CapacityRun,
  capacityCandidates,
  fillStandard,
  fillTiered,
  type InstanceSize,
  sizeOf,
} from './capacity.ts';
import type { DiskTemplate } from './cluster.ts';
import { isRedundant, openRedundancy, type RedundancyOptions } from './redundancy.ts';
import { type Residents, readResidents } from './residents.ts';
import { cloneTable, FAILS_N1, STRIDE, type Table } from './table.ts';

export interface CapacityRequest {
  /** null: the first that the cluster's policy allows. */
  readonly template?: DiskTemplate | null;
  /** null: the policy's standard. */
  readonly spindle_use?: number | null;
  /** null: the policy's standard. */
  readonly standard?: InstanceSize | null;
  /** null: the greatest of each of the policy's pairs. */
  readonly tiered?: InstanceSize | null;
  readonly limit?: number | null;
  readonly independent_groups?: boolean;
  readonly accept_existing?: boolean;
  /** What is lost cannot go to nodes that are offline or drained. */
  readonly only_online?: boolean;
  readonly capacity_checks?: boolean;
}

/** A run, and the cluster as it then is. */
export interface CapacityResult extends CapacityRun {
  readonly table: Table;
  /** What was asked for; of several sizes the first. */
  readonly size: InstanceSize;
  readonly spindle_use: number;
  /** Nothing was tried, as nodes fail N+1 already. */
  readonly stopped: boolean;
}

export interface ClusterCapacity {
  readonly template: DiskTemplate;
  /** Before anything is added. */
  readonly table: Table;
  /** Online nodes that could not take over the instances of some other node. */
  readonly bad_nodes: readonly number[];
  /** Groups that could not bear the death of one of their nodes. */
  readonly bad_groups: readonly number[];
  readonly candidates: CapacityOptions['candidates'];
  readonly tiered: CapacityResult;
  readonly standard: CapacityResult;
}

/** Text: why nothing can be measured. @param table is not changed */
export function measureCapacity(table: Table, request: CapacityRequest): ClusterCapacity | string {
  const { cluster } = table;
  const { policy } = cluster;
  const template = request.template ?? policy.disk_templates[0];
  if (template === undefined) return 'null list of disk templates received from cluster';
  const sizes =
    request.tiered === undefined || request.tiered === null
      ? policy.minmax.map(({ max }) => sizeOf(max))
      : [request.tiered];
  const [first_size] = sizes;
  if (first_size === undefined) return 'Empty list of specs received from the cluster';
  const residents = readResidents(table);
  const bad_nodes = cluster.nodes.flatMap((_, node) =>
    table.offline[node] === 0 && table.state[node * STRIDE + FAILS_N1] === 1 ? [node] : [],
  );
  const accepted = request.accept_existing === true;
  const only_online = request.only_online === true;
  const independent = request.independent_groups === true;
  const bad_groups = cluster.groups.flatMap((_, group) =>
    groupIsRedundant(table, residents, group, redundancyOptions(accepted, [], only_online)) ? [] : [group],
  );
  const unusable = new Set<number>();
  if (!accepted) for (const node of bad_nodes) unusable.add(cluster.nodes[node]!.group);
  if (independent) for (const group of bad_groups) unusable.add(group);
  const mayUse = (group: number): boolean =>
    !unusable.has(group) && cluster.groups[group]!.alloc_policy !== 'unallocable';
  const options: CapacityOptions = {
    template,
    spindle_use: request.spindle_use ?? policy.std.spindle_use,
    candidates: capacityCandidates(table, template, mayUse),
    limit: request.limit ?? null,
    force: false,
    capacity_checks: request.capacity_checks !== false,
    redundancy: redundancyOptions(accepted, independent ? bad_groups : [], only_online),
  };
  const any_left = cluster.groups.some((_, group) => mayUse(group));
  const stopped = !accepted && !(independent && any_left) && bad_nodes.length > 0;
  if (!stopped && options.candidates.primaries.length === 0) {
    const problem = template === 'drbd' ? 'Not enough online nodes' : 'No online nodes';
    return `failure during allocation: ${problem}`;
  }
  const measure = (size: InstanceSize, fill: (placing: ReturnType<typeof openPlacing>) => CapacityRun) => {
    const filled = cloneTable(table);
    const run = stopped ? stopped_run : fill(openPlacing(filled));
    return { size, table: filled, spindle_use: options.spindle_use, stopped, ...run };
  };
  const standard_size = request.standard ?? sizeOf(policy.std);
  return {
    template,
    table,
    bad_nodes,
    bad_groups,
    candidates: options.candidates,
    tiered: measure(first_size, (placing) => fillTiered(placing, sizes, options)),
    standard: measure(standard_size, (placing) => fillStandard(placing, standard_size, options)),
  };
}

const stopped_run: CapacityRun = { placed: [], failures: new Map([['n1', 1]]) };

function redundancyOptions(
  accepted: boolean,
  ignored: readonly number[],
  only_online: boolean,
): RedundancyOptions {
  return { skip_offline: accepted, ignored_groups: new Set(ignored), only_online };
}

function groupIsRedundant(
  table: Table,
  residents: Residents,
  group: number,
  options: RedundancyOptions,
): boolean {
  const nodes = table.cluster.nodes.flatMap(({ group: of }, node) => (of === group ? [node] : []));
  const redundancy = openRedundancy(table, residents, nodes, options);
  return isRedundant(redundancy);
}
