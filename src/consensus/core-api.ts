/**
 * The surface of the pure core. It has no clock, no I/O and no randomness of its own: it is stepped with ticks and
 * messages, and hands back {@link Ready}s.
 */
import type { RelayLimits } from './relay-plan.ts';
import type {
  CoreStatus,
  Entry,
  HardState,
  MemberChange,
  MemberId,
  MemberProgress,
  Message,
  Ready,
  SnapshotMeta,
} from './types.ts';

export interface CoreOptions {
  readonly id: MemberId;
  readonly election_ticks: number;
  readonly heartbeat_ticks: number;
  /** Payload bytes of one append message at most (an entry that is larger travels alone). */
  readonly max_append_bytes: number;
  /** Appends in flight to one follower, by count and by bytes. */
  readonly max_inflight: number;
  readonly max_inflight_bytes: number;
  /** Uncommitted payload bytes that the leader accepts before it answers `busy`. */
  readonly max_uncommitted_bytes: number;
  /** Absent: as in relay-plan.ts. */
  readonly relays?: RelayLimits;
  /** A commit index that has nothing to travel with waits for {@link Core.tellCommit}. Absent: it is sent at once. */
  readonly defer_commit?: boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface CoreInitial {
  readonly hard_state: HardState;
  readonly snapshot: SnapshotMeta;
  readonly entries: readonly Entry[];
  /** The state machine's durable index (>= snapshot.index): entries up to here are not handed out again. */
  readonly applied: number;
  /** Why this member's storage cannot be relied on: it only listens. Absent: it can. */
  readonly fault?: string;
}

export type ProposeResult =
  | { readonly ok: true; readonly first_index: number; readonly term: number }
  | {
      readonly ok: false;
      readonly reason: 'not-leader' | 'busy' | 'transferring' | 'refused';
      readonly detail: string;
    };

export interface Core {
  tick(): void;
  step(message: Message): void;
  propose(payloads: readonly Uint8Array[]): ProposeResult;
  /** One change or a joint one, as needed. Refused while another is unapplied or before an own-term entry is committed. */
  proposeChange(changes: readonly MemberChange[]): ProposeResult;
  /** Leader only: a read that must be confirmed by a quorum round begun from now on. False: not the leader, or no own-term entry committed yet. */
  requestRead(context: number): boolean;
  /** The connection to the leader closed: forget it and start a pre-vote in `delay_ticks` (0: now). No effect when `id` does not lead. */
  leaderLost(id: MemberId, delay_ticks: number): void;
  /** Flow control: the connection to a peer came up (probe it at once) or went down. */
  peer(id: MemberId, up: boolean): void;
  /** Leader: the commit index, if a member has not been told it yet; otherwise 0. */
  untoldCommit(): number;
  /** Leader: members that have not heard of commit index `upto` are told the present one. */
  tellCommit(upto: number): void;
  transfer(to: MemberId): ProposeResult;
  stepDown(): void;
  /** Leader: the chunks of a snapshot to `to` were all taken, or not. */
  snapshotSent(to: MemberId, ok: boolean): void;
  /** Follower: a snapshot was installed in log store and state machine. Ignored when the log already reaches it. */
  installed(meta: SnapshotMeta): void;
  /** null: nothing to do. Never hands out the same thing twice. */
  ready(): Ready | null;
  /** Everything of the Readys up to `seq` is durable. The core goes on meanwhile. */
  synced(seq: number): void;
  /** The state machine has applied everything up to `index`. */
  applied(index: number): void;
  /** A durable image covers `meta`: entries up to `meta.index - keep` may leave memory. */
  compacted(meta: SnapshotMeta, keep: number): void;
  /** Whether the leader's quorum round that is over last began at most this many ticks ago; 0 when not leader. */
  quorumAgeTicks(): number;
  status(): CoreStatus;
  /** Leader only: how far each member's log matches, by number; elsewhere nothing. Costs more with each member. */
  progress(): readonly MemberProgress[];
}
