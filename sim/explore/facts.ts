/**
 * What a member's future depends on and its status does not show, gathered from what went in and came out while it has
 * been in its present role and term: who answered its campaign, what its peers were last sent, which reads wait.
 * With the look of look.ts it makes the key under which states are merged. The audit (audit.ts) tests that keys say
 * enough; and no breach is reported that does not happen when its trace is replayed without any merging.
 */
import type { CoreStatus, MemberId } from '../../src/consensus/types.ts';
import type { Outcome } from './host.ts';
import type { Input } from './inputs.ts';

export interface Facts {
  readonly era: string;
  /** First answers to the campaign under way. */
  readonly answers: ReadonlyMap<MemberId, boolean>;
  /** Leader: the last append to each peer, and the highest commit index it was sent. */
  readonly appended: ReadonlyMap<MemberId, { readonly after: number; readonly commit: number }>;
  /** Leader: the latest round each peer answered. */
  readonly rounds: ReadonlyMap<MemberId, number>;
  /** Leader: reads that wait, the commit index when each came, and the round that it rides; 0: none yet. */
  readonly reads: ReadonlyMap<number, { readonly index: number; readonly round: number }>;
  /** Leader: it told its heir to campaign. */
  readonly told: boolean;
}

export const no_facts: Facts = {
  era: '',
  answers: new Map(),
  appended: new Map(),
  rounds: new Map(),
  reads: new Map(),
  told: false,
};

export function factsAfter(before: Facts, input: Input, outcome: Outcome, status: CoreStatus): Facts {
  const era = `${status.role} ${status.term}`;
  if (status.role === 'follower') return { ...no_facts, era };
  const begins = era !== before.era || input.type === 'timeout';
  const facts = begins ? { ...no_facts, era } : before;
  return status.role === 'leader'
    ? ofLeader(facts, input, outcome, status)
    : ofCampaign(facts, input, begins, status);
}

function ofCampaign(facts: Facts, input: Input, begins: boolean, status: CoreStatus): Facts {
  // An answer that begins an era ended the last campaign; it counts for nothing in this one.
  if (begins || input.type !== 'deliver' || input.message.type !== 'vote-reply') return facts;
  const { from, granted, pre, term } = input.message;
  const asked = pre
    ? status.role === 'pre-candidate' && (granted ? term === status.term + 1 : term <= status.term)
    : status.role === 'candidate' && term === status.term;
  if (!asked || facts.answers.has(from)) return facts;
  return { ...facts, answers: new Map(facts.answers).set(from, granted) };
}

function ofLeader(facts: Facts, input: Input, outcome: Outcome, status: CoreStatus): Facts {
  const appended = new Map(facts.appended);
  const rounds = new Map(facts.rounds);
  const reads = new Map(facts.reads);
  let { told } = facts;
  if (input.type === 'read' && outcome.accepted) reads.set(input.context, { index: status.commit, round: 0 });
  if (input.type === 'deliver' && input.message.type === 'heartbeat-reply') {
    const { from, round } = input.message;
    rounds.set(from, Math.max(round, rounds.get(from) ?? 0));
  }
  for (const m of outcome.sent) {
    if (m.type === 'append') {
      const commit = Math.min(m.commit, m.prev_index + m.entries.length);
      const known = appended.get(m.to)?.commit ?? 0;
      appended.set(m.to, { after: m.prev_index, commit: Math.max(commit, known) });
    } else if (m.type === 'heartbeat') {
      for (const [context, read] of reads) {
        if (read.round === 0) reads.set(context, { ...read, round: m.round });
      }
    } else if (m.type === 'timeout-now') {
      told = true;
    }
  }
  for (const { context } of outcome.reads) reads.delete(context);
  for (const context of outcome.reads_failed) reads.delete(context);
  return { era: facts.era, answers: facts.answers, appended, rounds, reads, told };
}

/** Lines in no particular order, which is theirs under every renaming. */
export function factLines(facts: Facts): string[] {
  return [
    ...[...facts.answers].map(([id, granted]) => `answer @${id} ${granted}`),
    ...[...facts.appended].map(([id, { after, commit }]) => `sent @${id} after ${after} commit ${commit}`),
    ...[...facts.rounds].map(([id, round]) => `round @${id} ${round}`),
    ...[...facts.reads].map(([context, { index, round }]) => `read ${context} of ${index} rides ${round}`),
    ...(facts.told ? ['told'] : []),
  ];
}
