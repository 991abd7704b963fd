/**
 * Becoming a follower, from whatever role. The one place where a lead ends, so that nothing of it is left behind: reads
 * that wait fail, the transfer and the flow control are forgotten.
 */
import type { CoreState } from './core-state.ts';
import { invariant } from './invariant.ts';
import type { MemberId } from './types.ts';

/**
 * Follows `leader` (0: nobody known) in `term`. The election timer is left alone unless a leader was heard: neither a
 * pre-vote nor a mere higher term is a sign of life.
 */
export function becomeFollower(s: CoreState, term: number, leader: MemberId): void {
  if (term > s.term) {
    s.enterTerm(term);
  } else {
    invariant(term === s.term, () => `term ${term} is behind ${s.term}`);
    invariant(leader === 0 || s.leader === 0 || s.leader === leader, () => {
      return `two leaders in term ${term}: ${s.leader} and ${leader}`;
    });
  }
  if (s.leadership !== null) {
    s.outbox.fail(s.leadership.rounds.abandon());
    s.leadership = null;
    s.timer.rest();
    s.silent_ticks = 0;
  }
  s.role = 'follower';
  s.votes.clear();
  s.leader = leader;
  if (leader !== 0) {
    s.timer.rest();
    s.silent_ticks = 0;
  }
}
