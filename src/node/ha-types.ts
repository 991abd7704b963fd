/**
 * Leases and the decisions built on them (docs/ha.md), as pure parts with their inputs and outputs. A thin loop in
 * the agent feeds them.
 */
import type { HaParams, Instance, Node } from '../config/model.ts';
import type { LiveNode } from '../ops/types.ts';
import type { PowerProof } from './ha/power-watch.ts';

/** Node to leader, every `renew_ms`. */
export interface LeaseRenewal {
  readonly node: string;
  readonly boot: number;
  readonly sequence: number;
  /** On the node's own boot-time clock; comes back in the grant. */
  readonly sent_at_ms: number;
  readonly applied: number;
  readonly watchdog: 'none' | 'unproven' | 'proven';
  /** Something waits for the grant; otherwise it is routine and may share a round with others. */
  readonly urgent: boolean;
  /** L and K that the node's keeper still has in force: the leader waits for the largest. */
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
  readonly live: Omit<LiveNode, 'age_ms' | 'boot'>;
}

/** Counts for starting or resuming only once the node has applied `index`. */
export interface LeaseGrant {
  readonly sequence: number;
  readonly sent_at_ms: number;
  readonly term: number;
  readonly index: number;
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
}

/** The node's own side: when it must pause, kill, and whether it may start. Pure over (now, last grant). */
export interface LeaseState {
  /** sent-at + L of the last granted renewal; 0: none in this boot. */
  readonly deadline_ms: number;
  readonly index: number;
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
}

export type LeaseStage = 'ok' | 'suspect' | 'pause' | 'kill';

/** Leader's side: what is known of one node's lease. */
export interface HeardNode {
  readonly uuid: string;
  /** Leader's clock when the last renewal that was *answered or may have been answered* arrived; null: not heard in this term. */
  readonly heard_at_ms: number | null;
  readonly boot: number;
  /** The largest values that the node may still hold. */
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
  readonly kill_ms: number;
}

/** Everything the repair decider sees. `now_ms` and all `_ms` are the leader's clock. */
export interface HaView {
  readonly now_ms: number;
  /** When this leader was elected (its own-term entry applied). */
  readonly leader_since_ms: number;
  readonly ha: HaParams;
  readonly nodes: readonly Node[];
  readonly instances: readonly Instance[];
  readonly heard: ReadonlyMap<string, HeardNode>;
  /** uuids of nodes not seen since the cluster was recovered, and whether an operator says that they are off; absent: none. */
  readonly unseen?: ReadonlyMap<string, boolean>;
  /** Silent nodes that have no power, by what their out-of-band programs say; absent: none. */
  readonly no_power?: ReadonlyMap<string, PowerProof>;
  readonly live: ReadonlyMap<string, LiveNode>;
  /** Instances with a repair job or any other job that holds their lock. */
  readonly busy: ReadonlySet<string>;
  /** When each instance's last repair attempt ended without success, and how many there were. */
  readonly failures: ReadonlyMap<string, { readonly at_ms: number; readonly count: number }>;
}

export type HaAction =
  | {
      readonly type: 'node-health';
      readonly node: string;
      readonly health: Node['health'];
      readonly reason: string;
      readonly if_boot: number;
    }
  /** Submit a failover job (owner's node lost, or this boot of it gone). `target`: null lets placement choose. */
  | {
      readonly type: 'failover';
      readonly instance: string;
      readonly target: string | null;
      readonly reason: string;
    }
  /** Its owner's node is well and of the right boot, but it does not run. */
  | { readonly type: 'start'; readonly instance: string; readonly reason: string }
  | { readonly type: 'hold'; readonly reason: string };
