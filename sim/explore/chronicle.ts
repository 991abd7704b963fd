/**
 * What only an observer of the whole cluster knows: which entries were ever committed and in which term, who said
 * to have voted for whom, who led, how much was committed when a read was asked for, and how much of the bounds is used. Part of every state, since what is right
 * in it depends on it.
 */
import { type Counted, counted, no_bounds_used } from './bounds.ts';

export interface Chronicle {
  /** Texts of the committed entries; index 0 holds entry 1. */
  readonly committed: readonly string[];
  /** The term of the leader that committed each first. */
  readonly committed_in: readonly number[];
  /** Per read that was taken: how many entries were committed at that time. */
  readonly reads: readonly number[];
  /** `t2 @1 for @3`: votes that were told to anybody, in terms that the voter has not left for good. */
  readonly votes: readonly string[];
  /** `t2 @3`: who was heard as the leader of a term. */
  readonly leads: readonly string[];
  readonly used: Readonly<Record<Counted, number>>;
}

export const blank_chronicle: Chronicle = {
  committed: [],
  committed_in: [],
  reads: [],
  votes: [],
  leads: [],
  used: no_bounds_used,
};

export function chronicleText({ committed, committed_in, reads, votes, leads, used }: Chronicle): string {
  return [
    ...committed.map((entry, i) => `committed ${entry} in t${committed_in[i]}`),
    ...reads.map((floor, context) => `read ${context} at ${floor}`),
    ...votes.map((vote) => `vote ${vote}`),
    ...leads.map((lead) => `lead ${lead}`),
    `used ${counted.map((name) => used[name]).join(' ')}`,
  ].join('\n');
}
