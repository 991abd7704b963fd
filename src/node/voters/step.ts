/**
 * What a decider of this folder may want, and the one check that every change passes: it never proposes what could not
 * be committed, nor a group that those who answer could not lead.
 */
import type { MemberChange, MemberId } from '../../consensus/types.ts';
import type { VoterFacts } from './view.ts';

export type VoterStep =
  /** `reason`: what it waits for; '' when all is as it should be. */
  | { readonly type: 'none'; readonly reason: string }
  /** To be made in one step, a joint one where more than one voter changes. */
  | { readonly type: 'change'; readonly changes: readonly MemberChange[]; readonly reason: string }
  | { readonly type: 'hand-over'; readonly to: MemberId; readonly reason: string };

export function none(reason: string): VoterStep {
  return { type: 'none', reason };
}

/**
 * Gives votes to `add` and takes those of `drop`; who is not in the cluster any more leaves the group altogether.
 * Answers none if fewer than a majority of the old or of the new voters answers.
 */
export function change(
  facts: VoterFacts,
  add: readonly MemberId[],
  drop: readonly MemberId[],
  reason: string,
): VoterStep {
  const { voters } = facts.view.configuration;
  const next = [...voters.filter((id) => !drop.includes(id)), ...add];
  for (const half of [voters, next]) {
    const live = half.filter((id) => facts.isLive(id)).length;
    if (2 * live <= half.length)
      return none(`${reason}; but only ${live} of the voters ${names(facts, half)} answer`);
  }
  return {
    type: 'change',
    changes: [
      ...add.map((id): MemberChange => ({ type: 'add-voter', id })),
      ...drop.map(
        (id): MemberChange => ({
          type: facts.node(id) === undefined ? 'remove' : 'add-learner',
          id,
        }),
      ),
    ],
    reason,
  };
}

export function names(facts: VoterFacts, ids: readonly MemberId[]): string {
  return ids.map((id) => facts.name(id)).join(', ');
}
