/**
 * What a placement worker is sent, and the copy of the cluster that it keeps. A viewer hands out the same row as long as
 * nothing of it has changed (placement-view.ts): only rows that are other objects than those sent last go over. Pure.
 *
 * The order of rows is sent only when it changes. Whoever lost the copy begins anew with {@link createMirrorSender}.
 */

import type { PlacementCluster } from '../placement/cluster.ts';
import type { PlacementAnswer, PlacementAsk, PlacementView, Refusal } from '../placement/placement-ask.ts';
import type { Report, ReportResults } from '../placement/reports.ts';

interface Keyed {
  readonly uuid: string;
}

/** Rows that changed, and the order of all if that did. */
export interface ListDiff<T> {
  readonly rows: readonly T[];
  /** uuids; null: as before. */
  readonly order: readonly string[] | null;
}

export interface ViewDiff {
  readonly groups: ListDiff<PlacementCluster['groups'][number]>;
  readonly nodes: ListDiff<PlacementCluster['nodes'][number]>;
  readonly instances: ListDiff<PlacementCluster['instances'][number]>;
  readonly refusals: readonly (Refusal | null)[];
  readonly tags: readonly string[];
  readonly policy: PlacementCluster['policy'];
}

export interface WorkerRequest {
  readonly id: number;
  readonly view: ViewDiff;
  readonly ask: PlacementAsk | { readonly type: 'report'; readonly report: Report };
}

export type WorkerAnswer = PlacementAnswer | ReportResults[keyof ReportResults];

export type WorkerResponse =
  | { readonly id: number; readonly answer: WorkerAnswer }
  | { readonly id: number; readonly error: string };

export interface MirrorSender {
  diff(view: PlacementView): ViewDiff;
}

export function createMirrorSender(): MirrorSender {
  const groups = createListSender<PlacementCluster['groups'][number]>();
  const nodes = createListSender<PlacementCluster['nodes'][number]>();
  const instances = createListSender<PlacementCluster['instances'][number]>();
  return {
    diff: ({ cluster, refusals }) => ({
      groups: groups(cluster.groups),
      nodes: nodes(cluster.nodes),
      instances: instances(cluster.instances),
      refusals,
      tags: cluster.tags,
      policy: cluster.policy,
    }),
  };
}

function createListSender<T extends Keyed>(): (list: readonly T[]) => ListDiff<T> {
  let sent: readonly T[] = [];
  return (list) => {
    const before = sent;
    sent = list;
    const reordered = list.length !== before.length || list.some(({ uuid }, at) => uuid !== before[at]!.uuid);
    if (!reordered) return { rows: list.filter((row, at) => row !== before[at]), order: null };
    const known = new Map(before.map((row) => [row.uuid, row]));
    return {
      rows: list.filter((row) => known.get(row.uuid) !== row),
      order: list.map(({ uuid }) => uuid),
    };
  };
}

export interface Mirror {
  take(diff: ViewDiff): PlacementView;
}

export function createMirror(): Mirror {
  const groups = createListCopy<PlacementCluster['groups'][number]>();
  const nodes = createListCopy<PlacementCluster['nodes'][number]>();
  const instances = createListCopy<PlacementCluster['instances'][number]>();
  return {
    take: (diff) => ({
      cluster: {
        groups: groups(diff.groups),
        nodes: nodes(diff.nodes),
        instances: instances(diff.instances),
        tags: diff.tags,
        policy: diff.policy,
      },
      refusals: diff.refusals,
    }),
  };
}

function createListCopy<T extends Keyed>(): (diff: ListDiff<T>) => readonly T[] {
  let order: readonly string[] = [];
  let rows = new Map<string, T>();
  return (diff) => {
    for (const row of diff.rows) rows.set(row.uuid, row);
    if (diff.order !== null) {
      ({ order } = diff);
      rows = new Map(order.map((uuid) => [uuid, rows.get(uuid)!]));
      return [...rows.values()];
    }
    return order.map((uuid) => rows.get(uuid)!);
  };
}
