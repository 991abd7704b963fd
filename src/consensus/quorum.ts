/**
 * Counting: what a majority, or both majorities of a joint configuration, agree on (thesis, sections 3.6 and 4.3).
 * Pure functions. An empty half agrees with everything: that makes a simple configuration the joint one whose outgoing
 * half is empty.
 */
import type { Configuration, MemberId } from './types.ts';

export type VoteResult = 'won' | 'pending' | 'lost';

type Halves = Pick<Configuration, 'voters' | 'voters_outgoing'>;

/**
 * The highest number that more than half of `voters` have reached; Infinity for nobody.
 * @param reached undefined counts as 0
 */
export function majorityReached(
  voters: readonly MemberId[],
  reached: (id: MemberId) => number | undefined,
): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const descending = voters.map((id) => reached(id) ?? 0).sort((a, b) => b - a);
  return descending[Math.floor(voters.length / 2)] ?? 0;
}

/** As {@link majorityReached}, in both halves. It serves log indexes, round numbers and tick counts alike. */
export function quorumReached(halves: Halves, reached: (id: MemberId) => number | undefined): number {
  return Math.min(majorityReached(halves.voters, reached), majorityReached(halves.voters_outgoing, reached));
}

/** @param vote undefined: not answered yet */
export function majorityVote(
  voters: readonly MemberId[],
  vote: (id: MemberId) => boolean | undefined,
): VoteResult {
  if (voters.length === 0) return 'won';
  const needed = Math.floor(voters.length / 2) + 1;
  let granted = 0;
  let refused = 0;
  for (const id of voters) {
    const answer = vote(id);
    if (answer === true) granted++;
    else if (answer === false) refused++;
  }
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}

/** Won only when both halves are, lost as soon as one is. */
export function quorumVote(halves: Halves, vote: (id: MemberId) => boolean | undefined): VoteResult {
  const incoming = majorityVote(halves.voters, vote);
  const outgoing = majorityVote(halves.voters_outgoing, vote);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}
