/**
 * How each member stands, in words for an operator: whether it votes, and why or why not. Pure; from the same view that
 * the choice of voters is made from (adjust.ts), so that it says what that will do.
 */
import type { MemberId } from '../../consensus/types.ts';
import { VoterFacts, type VoterView } from './view.ts';

export interface MemberStanding {
  readonly member: MemberId;
  /** '' for a number that no node has any more. */
  readonly name: string;
  readonly role: 'leader' | 'voter' | 'learner' | 'outside';
  /** Entries that it lacks; null: not known. */
  readonly lag: number | null;
  /** 0 while it answers. */
  readonly silent_for_ms: number;
  /** What is wrong with its log; '' for nothing. */
  readonly fault: string;
  readonly why: string;
}

/** @param faulty what is wrong with the log, by member. */
export function memberStandings(
  view: VoterView,
  faulty: ReadonlyMap<MemberId, string>,
): readonly MemberStanding[] {
  const facts = new VoterFacts(view);
  const { voters, voters_outgoing, learners, learners_next } = view.configuration;
  const voting = new Set([...voters, ...voters_outgoing]);
  const members = new Set([
    ...voting,
    ...learners,
    ...learners_next,
    ...view.nodes.map((node) => node.member),
  ]);
  return [...members].map((member): MemberStanding => {
    const progress = view.progress.get(member);
    const fault = faulty.get(member) ?? '';
    const lag = member === view.self ? 0 : (progress?.lag ?? Number.POSITIVE_INFINITY);
    const follows = learners.includes(member) || learners_next.includes(member);
    const role = voting.has(member) ? 'voter' : follows ? 'learner' : 'outside';
    return {
      member,
      name: facts.node(member)?.name ?? '',
      role: member === view.self ? 'leader' : role,
      lag: Number.isFinite(lag) ? lag : null,
      // What a faulty member says counts for nothing, but it is not silent.
      silent_for_ms: fault === '' ? (progress?.silent_for_ms ?? 0) : 0,
      fault,
      why: role === 'voter' ? whyItVotes(facts, member, fault) : whyItDoesNot(facts, member, role, fault),
    };
  });
}

const begins_anew = 'neither votes nor counts until it has begun anew under a new number';

function whyItVotes(facts: VoterFacts, member: MemberId, fault: string): string {
  const node = facts.node(member);
  if (node === undefined)
    return 'was the number of a node that begins anew: counts for nothing, and goes when another can vote';
  if (fault !== '') return begins_anew;
  const unfit = facts.unfit(member);
  if (unfit !== '') return `${unfit}: votes until another is ready`;
  if (facts.isSuspect(member)) return 'is silent, not for long enough to be replaced';
  if (!node.master_candidate) return 'is no master candidate: votes until one is ready';
  return facts.isWitness(member) ? 'votes, as a witness' : 'votes';
}

function whyItDoesNot(facts: VoterFacts, member: MemberId, role: string, fault: string): string {
  const { view } = facts;
  const { voters } = view.configuration;
  if (facts.node(member) === undefined) return 'is not in the cluster any more: leaves the group';
  if (role === 'outside') return 'is about to be taken into the group';
  if (fault !== '') return begins_anew;
  const barred = facts.barred(member);
  if (barred !== '') return `not eligible: ${barred}`;
  const unfit = facts.unfit(member);
  if (unfit !== '') return `not eligible: ${unfit}`;
  if (!facts.isLive(member)) return 'not eligible: is silent';
  const candidate = facts.node(member)?.master_candidate === true ? '' : ', no master candidate';
  if (!facts.isCaughtUp(member)) return `stand-by${candidate}: has yet to catch up`;
  if (voters.length >= facts.target) return `stand-by${candidate}: ${voters.length} of ${facts.target} vote`;
  const stable_s = Math.floor((view.progress.get(member)?.stable_for_ms ?? 0) / 1000);
  if (!facts.isStable(member)) {
    const needed_s = view.limits.stable_ms / 1000;
    return `stand-by${candidate}: caught up for ${stable_s} s, votes after ${needed_s} s where one is missing`;
  }
  return `stand-by${candidate}: the number of voters stays odd`;
}
