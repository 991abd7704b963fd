/**
 * Which faulty member (docs/design/storage-faults.md) begins anew under a new number, if any. Pure. One at a time, never
 * while half of the voters or more are faulty, and not before a vote that a sound learner can have has gone there.
 *
 * The renewal is one command of the log (`node-renew`): the node has another number from then on. What follows needs no
 * memory of it, so that any leader goes on with it: the new number is taken in as any that the group lacks (admit.ts), the
 * old one let go, as a learner at once and as a voter when somebody can vote in its place (adjust.ts).
 */
import type { MemberId } from '../../consensus/types.ts';
import { VoterFacts, type VoterView } from './view.ts';

export interface FaultyMember {
  readonly id: MemberId;
  /** Its connection is up. */
  readonly answers: boolean;
  /** Its node was not given a number just now: a disk that fails again and again must not keep the group busy. */
  readonly rested: boolean;
}

/** The member to give a new number, voters first; undefined: none, or not now. */
export function memberToRenew(view: VoterView, faulty: readonly FaultyMember[]): MemberId | undefined {
  const facts = new VoterFacts(view);
  const { voters, voters_outgoing, learners } = view.configuration;
  const isFaulty = (id: MemberId) => faulty.some((of) => of.id === id);
  if (
    voters_outgoing.length > 0 ||
    view.nodes.some(({ member }) => isTakenIn(facts, member, isFaulty(member)))
  )
    return undefined;
  const sound = voters.filter((id) => facts.isLive(id) && !isFaulty(id));
  if (2 * sound.length <= voters.length) return undefined;
  const heir = learners.some((id) => facts.isLive(id) && facts.unfit(id) === '');
  return faulty
    .filter(
      ({ id, answers, rested }) => answers && rested && id !== view.self && facts.node(id) !== undefined,
    )
    .filter(({ id }) => learners.includes(id) || (voters.includes(id) && !heir))
    .map(({ id }) => ({ id, rank: voters.includes(id) ? 0 : 1 }))
    .sort((a, b) => a.rank - b.rank || a.id - b.id)[0]?.id;
}

/** Not in the group yet, or there with nothing of the log; unless it is lost, and nobody waits for it. */
function isTakenIn(facts: VoterFacts, id: MemberId, faulty: boolean): boolean {
  const { view } = facts;
  const { voters, learners } = view.configuration;
  if (!voters.includes(id) && !learners.includes(id)) return true;
  if (faulty || id === view.self || facts.isLost(id)) return false;
  return view.progress.get(id)?.lag === Number.POSITIVE_INFINITY;
}
