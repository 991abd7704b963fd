/**
 * What a replica is made of, and the limits it keeps.
 */
import type { Timing } from './api.ts';
import { type CompactorLimits, compactor_limits } from './compactor.ts';
import type { DiskLogStore } from './log-store.ts';
import { type RelayLimits, relay_limits } from './relay-plan.ts';
import { type TransferLimits, transfer_limits } from './snapshot-transfer.ts';
import type { LogStore, MemberId, ReplicaEnv, SnapshotSpool, StateMachine, Transport } from './types.ts';
import { proposal_limits } from './waiting-proposals.ts';

export interface ReplicaOptions {
  readonly id: MemberId;
  readonly timing: Timing;
  readonly limits?: Partial<ReplicaLimits>;
}

export interface ReplicaLimits {
  /** These four: see CoreOptions. */
  readonly max_append_bytes: number;
  readonly max_inflight: number;
  readonly max_inflight_bytes: number;
  readonly max_uncommitted_bytes: number;
  /** A leader whose disk takes longer than this for a write gives up the lead. */
  readonly slow_append_ms: number;
  readonly relays: RelayLimits;
  readonly compaction: Partial<CompactorLimits>;
  readonly transfer: Partial<TransferLimits>;
}

export interface ReplicaDeps {
  readonly log: LogStore & Partial<Pick<DiskLogStore, 'underPressure'>>;
  readonly machine: StateMachine;
  readonly transport: Transport;
  readonly env: ReplicaEnv;
  /** Where a snapshot waits while it arrives; absent: in memory. */
  readonly spool?: SnapshotSpool;
}

const default_limits: ReplicaLimits = {
  max_append_bytes: 256 * 1024,
  max_inflight: 64,
  max_inflight_bytes: 8 * 1024 * 1024,
  max_uncommitted_bytes: proposal_limits.bytes,
  slow_append_ms: 5000,
  relays: relay_limits,
  compaction: {},
  transfer: {},
};

/** The limits in force: what was given, and the defaults for the rest. */
export function limitsOf(given: Partial<ReplicaLimits> = {}): Omit<
  ReplicaLimits,
  'compaction' | 'transfer'
> & {
  readonly compaction: CompactorLimits;
  readonly transfer: TransferLimits;
} {
  return {
    ...default_limits,
    ...given,
    compaction: { ...compactor_limits, ...given.compaction },
    transfer: { ...transfer_limits, ...given.transfer },
  };
}
