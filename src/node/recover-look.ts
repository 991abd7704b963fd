/**
 * Whether a cluster may be recovered here, and what an operator must know before: judged from what this host has and
 * what every other node answers when it is asked directly. Pure. It must never allow a recovery while a leader is known
 * anywhere or a majority answers, nor on a host whose log another survivor's is ahead of.
 */
import { isJoint } from '../consensus/configuration.ts';
import { quorumVote } from '../consensus/quorum.ts';
import type { Configuration } from '../consensus/types.ts';

/** What a host says of its own replica. */
export interface RecoverAnswer {
  /** Whom it follows, or itself; 0: nobody. */
  readonly leader: number;
  readonly term: number;
  readonly last_index: number;
  readonly last_term: number;
  /** Wall clock of its last command, in Unix seconds; null: not in its log any more. */
  readonly last_time: number | null;
  /** Its storage is damaged: it has no vote and its log may lack anything. */
  readonly faulty: boolean;
}

export interface RecoverPeer {
  readonly name: string;
  readonly member: number;
  /** null: it does not answer. */
  readonly answer: RecoverAnswer | null;
  /** Unix seconds; null: not heard since this agent started. */
  readonly silent_since: number | null;
}

export interface RecoverView {
  readonly self: { readonly name: string; readonly member: number; readonly answer: RecoverAnswer };
  readonly configuration: Configuration;
  readonly peers: readonly RecoverPeer[];
}

export interface RecoverVerdict {
  /** null: it may be recovered here. */
  readonly refusal: string | null;
  readonly next: string;
}

/** Whether the log of `a` is ahead of the log of `b`, as an election sees it (thesis, section 3.6.1). */
export function isAhead(a: RecoverAnswer, b: RecoverAnswer): boolean {
  return a.last_term > b.last_term || (a.last_term === b.last_term && a.last_index > b.last_index);
}

export function judgeRecovery({ self, configuration, peers }: RecoverView): RecoverVerdict {
  const refused = (refusal: string, next: string): RecoverVerdict => ({ refusal, next });
  const known = [{ ...self, silent_since: null }, ...peers];
  const nameOf = (member: number) => known.find((one) => one.member === member)?.name ?? `member ${member}`;
  if (self.answer.faulty)
    return refused('the storage of this host is damaged: its log may lack anything', 'skein status');
  for (const { name, answer } of known) {
    if (answer === null || answer.leader === 0) continue;
    const of = nameOf(answer.leader);
    return refused(
      answer.leader === self.member || name === of ? `${of} leads` : `${name} hears a leader, ${of}`,
      'nothing is lost that has a leader: skein status; if it has just gone, try again in some seconds',
    );
  }
  const sound = known.filter(({ answer }) => answer !== null && !answer.faulty);
  const voteOf = (member: number) => sound.some((one) => one.member === member);
  if (quorumVote(configuration, voteOf) === 'won') {
    const names = sound.map(({ name }) => name).join(', ');
    return refused(
      `a majority of the voters answers (${names}): it can elect a leader`,
      'wait some seconds, then skein status',
    );
  }
  const best = sound.reduce((a, b) => (b.answer && a.answer && isAhead(b.answer, a.answer) ? b : a));
  if (best.member !== self.member && best.answer !== null) {
    const { last_index, last_term } = best.answer;
    const own = self.answer;
    return refused(
      `${best.name} has more of the log: to entry ${last_index} of term ${last_term}, this host to ${own.last_index} of ${own.last_term}`,
      `skein cluster recover on ${best.name}`,
    );
  }
  return { refusal: null, next: '' };
}

/** The members whose vote counts now, each once. */
export function votersOf(configuration: Configuration): readonly number[] {
  const { voters, voters_outgoing } = configuration;
  return isJoint(configuration) ? [...new Set([...voters, ...voters_outgoing])] : voters;
}
