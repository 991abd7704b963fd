/**
 * How far each member's log is behind, for listings. Only a leader knows; what it knows of a learner below a relay is a few
 * heartbeats old (docs/design/relays.md).
 */
import type { MemberId, MemberProgress } from '../consensus/types.ts';

/** Committed entries that each member lacks, going by its last word; a member that was never heard is left out. */
export function lagsOf(commit: number, progress: readonly MemberProgress[]): ReadonlyMap<MemberId, number> {
  const heard = progress.filter(({ match, faulty }) => match > 0 && !faulty);
  return new Map(heard.map(({ id, match }) => [id, Math.max(0, commit - match)]));
}
