/**
 * The node's own side of its lease (docs/ha.md, "Node lease" and the table after it). Pure over (grants, now).
 * Guarantees: the lease is counted from the sending of a renewal, never from a reply's arrival; a late grant of an
 * older renewal or term changes nothing. It must never say that something may start on an index not yet applied here.
 */
import type { LeaseGrant, LeaseRenewal, LeaseStage, LeaseState } from '../ha-types.ts';

/** Fractions of L since the last granted renewal was sent. */
export const suspect_at = 0.3;
export const pause_at = 0.65;

export interface NodeLeaseMemory {
  readonly lease: LeaseState;
  /** Of the newest grant taken. */
  readonly term: number;
  readonly sequence: number;
}

export const no_node_lease: NodeLeaseMemory = {
  lease: { deadline_ms: 0, index: 0, lease_ms: 0, guard_slack_ms: 0 },
  term: 0,
  sequence: 0,
};

/**
 * Takes a grant in, or returns the same object when it must not count.
 * @param sent the renewal that it answers: a grant that names another sending (an earlier boot's, say) is refused.
 */
export function takeGrant(
  memory: NodeLeaseMemory,
  grant: LeaseGrant,
  sent?: Pick<LeaseRenewal, 'sequence' | 'sent_at_ms'>,
): NodeLeaseMemory {
  if (sent !== undefined && (grant.sequence !== sent.sequence || grant.sent_at_ms !== sent.sent_at_ms))
    return memory;
  if (grant.term < memory.term || grant.sequence <= memory.sequence) return memory;
  if (!(grant.lease_ms > 0) || !(grant.guard_slack_ms >= 0)) return memory;
  return {
    lease: {
      deadline_ms: grant.sent_at_ms + grant.lease_ms,
      index: Math.max(grant.index, memory.lease.index),
      lease_ms: grant.lease_ms,
      guard_slack_ms: grant.guard_slack_ms,
    },
    term: grant.term,
    sequence: grant.sequence,
  };
}

export function stageOf(now_ms: number, lease: LeaseState): LeaseStage {
  if (lease.deadline_ms === 0 || now_ms >= lease.deadline_ms) return 'kill';
  const since_ms = now_ms - (lease.deadline_ms - lease.lease_ms);
  if (since_ms >= pause_at * lease.lease_ms) return 'pause';
  return since_ms >= suspect_at * lease.lease_ms ? 'suspect' : 'ok';
}

/** When the next stage begins that asks for an act on guests, if no grant comes; null: none is ahead. */
export function nextHarmAtMs(now_ms: number, lease: LeaseState): number | null {
  switch (stageOf(now_ms, lease)) {
    case 'ok':
    case 'suspect':
      return lease.deadline_ms - lease.lease_ms + pause_at * lease.lease_ms;
    case 'pause':
      return lease.deadline_ms;
    case 'kill':
      return null;
  }
}

/**
 * Why nothing may be started or resumed now; null when it may. The caller also needs the applied epoch that names this
 * node and boot, looked up in the same moment: between this answer and the act there may be no wait.
 */
export function startRefusal(now_ms: number, lease: LeaseState, applied: number): string | null {
  if (lease.deadline_ms === 0) return 'this node has no lease yet';
  const stage = stageOf(now_ms, lease);
  if (stage !== 'ok') return `this node's lease was not renewed in time (${stage})`;
  if (applied < lease.index)
    return `this node has applied entry ${applied}, its lease counts from ${lease.index}`;
  return null;
}

export type LeaseTransition = 'none' | 'find-path' | 'pause' | 'kill' | 'resume';

/** What a change of stage asks of the agent. Going down, each stage includes what the ones before it ask. */
export function leaseTransition(from: LeaseStage, to: LeaseStage): LeaseTransition {
  if (from === to) return 'none';
  switch (to) {
    case 'ok':
      return from === 'suspect' ? 'none' : 'resume';
    case 'suspect':
      // Back from a pause but late again: nothing is resumed on a lease that is already in doubt.
      return 'find-path';
    case 'pause':
      return from === 'kill' ? 'none' : 'pause';
    case 'kill':
      return 'kill';
  }
}

/** The functions above around one memory: the form the agent's loop uses. */
export interface NodeLease {
  state(): LeaseState;
  /** True when the grant counted. */
  take(grant: LeaseGrant, sent?: Pick<LeaseRenewal, 'sequence' | 'sent_at_ms'>): boolean;
  stage(now_ms: number): LeaseStage;
  /** null: yes; otherwise why not. */
  mayStart(now_ms: number, applied: number): string | null;
}

export function createNodeLease(): NodeLease {
  let memory = no_node_lease;
  return {
    state: () => memory.lease,
    take(grant, sent) {
      const before = memory;
      memory = takeGrant(memory, grant, sent);
      return memory !== before;
    },
    stage: (now_ms) => stageOf(now_ms, memory.lease),
    mayStart: (now_ms, applied) => startRefusal(now_ms, memory.lease, applied),
  };
}
