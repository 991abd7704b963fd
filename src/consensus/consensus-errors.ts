/**
 * The errors of a replica, made in one place so that the same thing always reads the same.
 */
import { ConsensusError } from './api.ts';
import type { ProposeResult } from './core-api.ts';
import type { MemberId } from './types.ts';

/** The answer to who asked the wrong member. */
export function notLeader(leader: MemberId): ConsensusError {
  const text = leader === 0 ? 'no leader is known' : `member ${leader} leads`;
  return new ConsensusError('not-leader', `this member does not lead; ${text}`, 'not-proposed', leader);
}

export function closedError(outcome: ConsensusError['outcome'] = 'not-proposed'): ConsensusError {
  return new ConsensusError('closed', 'the replica is closed', outcome);
}

export function lostError(
  why: string,
  outcome: ConsensusError['outcome'],
  leader: MemberId = 0,
): ConsensusError {
  return new ConsensusError('lost', `lost: ${why}`, outcome, leader);
}

/** What the core's refusal means to the caller. */
export function refusedBy(result: Extract<ProposeResult, { ok: false }>, leader: MemberId): ConsensusError {
  switch (result.reason) {
    case 'not-leader':
      return notLeader(leader);
    case 'busy':
    case 'transferring':
      return new ConsensusError('busy', result.detail, 'not-proposed', leader);
    case 'refused':
      return new ConsensusError('config-refused', result.detail, 'not-proposed', leader);
    default:
      return result.reason satisfies never;
  }
}

/** A leader that does not know yet what is committed cannot answer reads. */
export function tooEarly(leader: MemberId): ConsensusError {
  return new ConsensusError('busy', 'the new leader has not committed an entry yet', 'not-proposed', leader);
}
