/**
 * Who begins when a leader's connection closes. All voters see it at about the same time; if all campaigned at once,
 * votes would split. So they go in the order of their numbers, a short while apart.
 */
import type { Configuration, MemberId } from './types.ts';

/** Between one and the next: long enough for a pre-vote and a vote to go round a network of one site. */
const ticks_apart = 2;

/** How many ticks `id` waits before it campaigns, now that `leader` is lost. The first of the others does not wait. */
export function campaignDelay(configuration: Configuration, id: MemberId, leader: MemberId): number {
  const { voters, voters_outgoing } = configuration;
  const others = [...new Set([...voters, ...voters_outgoing])].filter((voter) => voter !== leader);
  return ticks_apart * others.filter((voter) => voter < id).length;
}
