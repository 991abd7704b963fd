/**
 * Who of several: the best learner to promote, the weakest voter to let go, the best voter to hand the lead to. Total
 * orders over the members, so that every leader that sees the same chooses the same.
 */
import type { MemberId } from '../../consensus/types.ts';
import type { VoterFacts } from './view.ts';

type Rank = readonly number[];

function byRank(rank: (id: MemberId) => Rank): (a: MemberId, b: MemberId) => number {
  return (a, b) => {
    const [ranks, others] = [rank(a), rank(b)];
    for (const [at, value] of ranks.entries()) {
      const difference = value - (others[at] ?? 0);
      if (difference !== 0) return difference;
    }
    return a - b;
  };
}

const no = (is: boolean) => (is ? 0 : 1);

/** How many domains `id` shares with `others`, each counted as often as it is shared. */
function crowding(facts: VoterFacts, id: MemberId, others: readonly MemberId[]): number {
  const mine = facts.node(id)?.domains ?? [];
  return others
    .filter((other) => other !== id)
    .reduce((sum, other) => {
      const theirs = facts.node(other)?.domains ?? [];
      return sum + mine.filter((domain) => theirs.includes(domain)).length;
    }, 0);
}

/** The best of `learners` to vote beside `voters`: candidates, then fresh failure domains, then witnesses. undefined: nobody. */
export function bestLearner(
  facts: VoterFacts,
  learners: readonly MemberId[],
  voters: readonly MemberId[],
): MemberId | undefined {
  const rank = (id: MemberId) => [
    no(facts.node(id)?.master_candidate === true),
    crowding(facts, id, voters),
    no(facts.isWitness(id)),
  ];
  return learners.toSorted(byRank(rank))[0];
}

/** Whom to let go first; never the leader. undefined: nobody else votes. */
export function weakestVoter(facts: VoterFacts, voters: readonly MemberId[]): MemberId | undefined {
  const rank = (id: MemberId) => [
    no(facts.barred(id) !== ''),
    no(facts.isLost(id)),
    no(!facts.isLive(id)),
    no(facts.unfit(id) !== ''),
    no(facts.node(id)?.master_candidate !== true),
    -crowding(facts, id, voters),
    no(!facts.isWitness(id)),
    -id,
  ];
  return voters.filter((id) => id !== facts.view.self).toSorted(byRank(rank))[0];
}

/** The voter to hand the lead to: fit, caught up; hosts of guests before witnesses, then the one that is furthest. */
export function bestHeir(facts: VoterFacts): MemberId | undefined {
  const { self, configuration, progress } = facts.view;
  const rank = (id: MemberId) => [
    no(!facts.isWitness(id)),
    no(facts.node(id)?.master_candidate === true),
    progress.get(id)?.lag ?? 0,
  ];
  return configuration.voters
    .filter((id) => id !== self && facts.unfit(id) === '' && facts.isCaughtUp(id))
    .toSorted(byRank(rank))[0];
}

/** The most votes that any one domain holds, and which; 0 and '' when no voter is in a domain. */
export function largestDomain(
  facts: VoterFacts,
  voters: readonly MemberId[],
): { readonly votes: number; readonly domain: string } {
  const votes = new Map<string, number>();
  for (const id of voters)
    for (const domain of facts.node(id)?.domains ?? []) votes.set(domain, (votes.get(domain) ?? 0) + 1);
  let largest = { votes: 0, domain: '' };
  for (const [domain, count] of [...votes].sort(([a], [b]) => (a < b ? -1 : 1)))
    if (count > largest.votes) largest = { votes: count, domain };
  return largest;
}
