/**
 * What a cluster still holds and what it can bear: of each group, how many more instances fit in the standard size and
 * in ever smaller ones from the largest on; of each node, which instances would find no place if it were lost.
 */

import { type InstanceSize, type PlacedSize, sizeOf } from './capacity.ts';
import type { AllocPolicy, DiskTemplate, PlacementCluster } from './cluster.ts';
import { measureCapacity } from './cluster-capacity.ts';
import { type HomelessInstance, lossOf } from './node-loss.ts';
import type { PlacementView } from './placement-ask.ts';
import { openRedundancy } from './redundancy.ts';
import { readResidents } from './residents.ts';
import { buildTable, type Table } from './table.ts';
import { readRules } from './table-rules.ts';

export interface ReportAsk {
  /** What new instances have their disks on. */
  readonly template: DiskTemplate;
  /** uuid of the only node whose loss is looked at; null: all of them. */
  readonly lost: string | null;
  /** Only what losses would do. */
  readonly losses_only: boolean;
}

export interface SizeCount {
  readonly size: InstanceSize;
  readonly count: number;
}

export interface GroupReport {
  readonly name: string;
  readonly alloc_policy: AllocPolicy;
  readonly nodes: number;
  /** Of them, how many take instances. */
  readonly usable: number;
  readonly standard: SizeCount;
  /** The largest sizes first. */
  readonly tiered: readonly SizeCount[];
  /** Why nothing was counted; null: it was. */
  readonly stopped: string | null;
}

export interface LossReport {
  readonly node: string;
  readonly instances: number;
  readonly homeless: readonly {
    readonly name: string;
    readonly short_memory_mib: number;
    readonly short_disk_mib: number;
    readonly text: string;
  }[];
}

export interface ClusterReport {
  readonly template: DiskTemplate;
  readonly groups: readonly GroupReport[];
  /** By name of node. */
  readonly losses: readonly LossReport[];
}

export function reportCluster({ cluster, refusals }: PlacementView, ask: ReportAsk): ClusterReport {
  const groups = ask.losses_only
    ? []
    : cluster.groups.map((_, group) => reportGroup(cluster, refusals, group, ask.template));
  return { template: ask.template, groups, losses: losses(cluster, ask.lost) };
}

/** Tags that contradict each other are no reason to report nothing. */
function tableOf(cluster: PlacementCluster): Table {
  const read = readRules(cluster);
  return buildTable(cluster, { rules: 'errors' in read ? null : read.rules });
}

function losses(cluster: PlacementCluster, lost: string | null): readonly LossReport[] {
  const table = tableOf(cluster);
  const nodes = cluster.nodes.map((_, node) => node);
  const redundancy = openRedundancy(table, readResidents(table), nodes, { only_online: true });
  return nodes
    .filter((node) => lost === null || cluster.nodes[node]!.uuid === lost)
    .map((node): LossReport => {
      const { instances, homeless } = lossOf(redundancy, node);
      return { node: cluster.nodes[node]!.name, instances, homeless: homeless.map(shown) };
    })
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

function shown({ instance, ...rest }: HomelessInstance): LossReport['homeless'][number] {
  return { name: instance.name, ...rest };
}

/** A group by itself: what the others are like does not matter to it. */
function reportGroup(
  cluster: PlacementCluster,
  refusals: PlacementView['refusals'],
  group: number,
  template: DiskTemplate,
): GroupReport {
  const { name, alloc_policy, policy } = cluster.groups[group]!;
  const own = ofGroup(cluster, group);
  const usable = cluster.nodes.filter((node, at) => node.group === group && refusals[at] === null).length;
  const standard = sizeOf(policy.std);
  const empty = { standard: { size: standard, count: 0 }, tiered: [] };
  const report = { name, alloc_policy, nodes: own.nodes.length, usable };
  if (usable === 0) return { ...report, ...empty, stopped: 'no node of it takes instances' };
  if (alloc_policy === 'unallocable') return { ...report, ...empty, stopped: 'it is unallocable' };
  // One node alone was never to be made up for.
  const alone = usable === 1;
  const measured = measureCapacity(tableOf(own), {
    template,
    capacity_checks: !alone,
    accept_existing: alone,
    only_online: true,
  });
  if (typeof measured === 'string') return { ...report, ...empty, stopped: measured };
  const stopped = measured.tiered.stopped
    ? 'a node of it could not take over from another already'
    : !alone && measured.bad_groups.length > 0
      ? 'the loss of some node of it could not be made up for already'
      : null;
  return {
    ...report,
    standard: { size: standard, count: measured.standard.placed.length },
    tiered: counted(measured.tiered.placed),
    stopped,
  };
}

function ofGroup(cluster: PlacementCluster, group: number): PlacementCluster {
  const place = new Map<number, number>();
  const nodes = cluster.nodes.flatMap((node, at) => {
    if (node.group !== group) return [];
    place.set(at, place.size);
    return [{ ...node, group: 0 }];
  });
  const own = cluster.groups[group]!;
  const instances = cluster.instances.flatMap((instance) => {
    const primary = place.get(instance.primary);
    if (primary === undefined) return [];
    return [{ ...instance, primary, secondary: place.get(instance.secondary) ?? -1 }];
  });
  return { ...cluster, policy: own.policy, groups: [own], nodes, instances };
}

function counted(placed: readonly PlacedSize[]): readonly SizeCount[] {
  const counts: { size: InstanceSize; count: number }[] = [];
  for (const { size } of placed) {
    const last = counts.at(-1);
    if (last !== undefined && last.size === size) last.count += 1;
    else counts.push({ size, count: 1 });
  }
  return counts;
}
