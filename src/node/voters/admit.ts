/**
 * Who belongs to the Raft group at all: every node, at first as a learner. Pure, and apart from the choice of voters: a
 * host that joins waits for no change of the voters, and gets no vote by joining.
 */
import type { Configuration, MemberChange, MemberId } from '../../consensus/types.ts';

/**
 * Learners to take in and to let go; none of it changes who votes.
 * @param nodes members of the cluster's configuration
 * @param leaving members that are just being removed: they are not taken in again
 */
export function admitMembers(
  configuration: Configuration,
  nodes: readonly MemberId[],
  leaving: ReadonlySet<MemberId>,
): readonly MemberChange[] {
  const { voters, voters_outgoing, learners, learners_next } = configuration;
  if (voters_outgoing.length > 0) return [];
  const members = new Set([...voters, ...learners, ...learners_next]);
  return [
    ...nodes
      .filter((id) => !members.has(id) && !leaving.has(id))
      .map((id): MemberChange => ({ type: 'add-learner', id })),
    ...learners.filter((id) => !nodes.includes(id)).map((id): MemberChange => ({ type: 'remove', id })),
  ];
}
