/**
 * What the replica offers to the rest of the program, and the errors it answers with.
 */
import type { Configuration, CoreStatus, MemberChange, MemberId, MemberProgress, Role } from './types.ts';

/** Timing, in ticks and milliseconds. Derivations in docs/design/consensus-timing.md. */
export interface Timing {
  readonly tick_ms: number;
  /** A follower that heard nothing for this many ticks (up to twice as many, drawn) starts a pre-vote. */
  readonly election_ticks: number;
  readonly heartbeat_ticks: number;
}

/** 2 s to 4 s of silence, a heartbeat every 0.4 s: five in the shortest silence that counts. A closed connection is noticed at once and waits for none of this. */
export const default_timing: Timing = { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 8 };

/** `outcome: 'not-proposed'`: nothing happened, ask the leader. `'unknown'`: it may still commit; find out before doing it again. */
export class ConsensusError extends Error {
  readonly code: 'not-leader' | 'lost' | 'timeout' | 'closed' | 'busy' | 'config-refused';
  readonly outcome: 'not-proposed' | 'unknown';
  readonly leader: MemberId;
  constructor(
    code: ConsensusError['code'],
    message: string,
    outcome: ConsensusError['outcome'],
    leader: MemberId = 0,
  ) {
    super(message);
    this.name = 'ConsensusError';
    this.code = code;
    this.outcome = outcome;
    this.leader = leader;
  }
}

export interface ReplicaStatus extends CoreStatus {
  /** The leader has committed and applied an entry of its own term: it may take up a leader's duties. */
  readonly established: boolean;
  /**
   * Leader only: when the last quorum round that is over *began* (now_ms clock). No lease: voters whose connections to the
   * leader have closed elect another within a few ticks, while this one has heard of nothing. It can commit nothing then.
   */
  readonly quorum_at_ms: number;
}

export interface ReplicaEvents {
  /** Role, leader, term or `established` changed. */
  readonly role: (status: { role: Role; leader: MemberId; term: number; established: boolean }) => void;
  readonly applied: (index: number) => void;
  readonly configuration: (configuration: Configuration) => void;
}

export interface ReplicaApi {
  /**
   * Leader only: replicates, applies, and resolves with the apply result.
   * Rejects with {@link ConsensusError}; bounded: at most 4,096 proposals or 16 MiB wait at a time (`busy`).
   */
  propose(data: Uint8Array): Promise<{ index: number; result: unknown }>;
  /**
   * Leader only: an index such that a read at or after it is linearizable, confirmed by a quorum round that *began
   * after this call* (thesis, section 6.4). `term` is the leader's at the time. Rounds are shared by all who wait.
   */
  readIndex(): Promise<{ index: number; term: number }>;
  /** Resolves once `index` is applied here; rejects with code `timeout`. */
  waitApplied(index: number, timeout_ms: number): Promise<void>;
  changeMembers(changes: readonly MemberChange[]): Promise<void>;
  /** Hands the lead to `to`, or to the most advanced voter. Resolves when this member no longer leads. */
  transferLeadership(to?: MemberId): Promise<void>;
  /** Leader only: gives up the lead at once (slow disk, stalled event loop). */
  stepDown(reason: string): void;
  status(): ReplicaStatus;
  /** Leader only: how far each member's log matches, by number; elsewhere nothing. Costs more with each member. */
  progress(): readonly MemberProgress[];
  on<K extends keyof ReplicaEvents>(event: K, handler: ReplicaEvents[K]): () => void;
  /** Stops; nothing is answered afterwards. Waits for writes under way. */
  close(): Promise<void>;
}
