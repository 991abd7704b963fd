/**
 * What is asked of placement inside a cluster, and what it answers: plain data that can go to a worker thread and back.
 *
 * A {@link PlacementView} is a cluster with, of each node, why nobody may be put on it whatever its figures are; such
 * nodes are offline in the cluster.
 */
import type { PlacementCluster, PlacementInstance } from './cluster.ts';

export type RefusedFor =
  | 'excluded'
  | 'not-vm-capable'
  | 'offline'
  | 'drained'
  | 'not-well'
  | 'group'
  | 'disks-elsewhere'
  | 'no-live-data'
  | 'policy'
  | 'memory'
  | 'disk'
  | 'cpu'
  | 'spindles'
  | 'tags'
  | 'rules';

export interface Refusal {
  readonly code: RefusedFor;
  /** Follows the node's name: `needs 2048 MiB of memory, has 512 MiB free (1536 MiB short)`. */
  readonly text: string;
}

export interface NodeRefusal extends Refusal {
  /** uuid. */
  readonly node: string;
  readonly name: string;
}

export interface PlacementView {
  readonly cluster: PlacementCluster;
  /** Of each node of the cluster; null: it takes instances. */
  readonly refusals: readonly (Refusal | null)[];
}

/** What becomes of an instance after which some node's loss could no longer be made up for. */
export type Admission = 'off' | 'warn' | 'refuse';

/** An instance that is on no node yet. */
export type WantedInstance = Omit<PlacementInstance, 'primary' | 'secondary'>;

/** A place for a new instance. */
export interface AllocateAsk {
  readonly type: 'allocate';
  readonly instance: WantedInstance;
  /** 2: with a copy. */
  readonly node_count: 1 | 2;
  /** uuid of the only group that will do, whatever its policy of allocation; null: any allocable one. */
  readonly group: string | null;
  /** uuids of nodes that will not do, with the text to show. */
  readonly exclude: readonly (readonly [string, string])[];
  readonly admission: Admission;
  /** Whether the instance policies of the groups count. */
  readonly check_policy: boolean;
}

/** Another place for an instance whose disks other nodes reach: in its group, or where somebody wants it. */
export interface RelocateAsk {
  readonly type: 'relocate';
  /** uuid. */
  readonly instance: string;
  /** Its own node will do too. */
  readonly may_stay: boolean;
  /** uuid of the only node that will do, in whatever group; null: any of its group. */
  readonly to: string | null;
}

/** Whether an instance may be on a node that somebody named, or may become what it is to be where it is. */
export interface AdmitAsk {
  readonly type: 'admit';
  /** In place of the one with its uuid, if there is one. */
  readonly instance: WantedInstance;
  /** uuid. */
  readonly node: string;
  readonly admission: Admission;
}

export type PlacementAsk = AllocateAsk | RelocateAsk | AdmitAsk;

export interface PlacementAnswer {
  /** The node, and the one of the copy; null: none will do. */
  readonly nodes: readonly { readonly node: string; readonly name: string }[] | null;
  /** Of the part of the cluster that was looked at, with the instance there; the least is best. */
  readonly score: number | null;
  /** By name; of the nodes that were looked at, only where none will do. */
  readonly refused: readonly NodeRefusal[];
  /** What the loss of which node could no longer be made up for, in words; null: of none, or it was so before. */
  readonly unsafe: string | null;
  /** Soft limits (ratios, exclusion tags) were waived, because nothing else would do. */
  readonly forced: boolean;
}

/** All refusals in one line, for an error message. */
export function explainRefusals(refused: readonly NodeRefusal[]): string {
  if (refused.length === 0) return 'the cluster has no nodes';
  return refused.map(({ name, text }) => `${name}: ${text}`).join('; ');
}
