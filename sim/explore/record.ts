/**
 * What the observer notes down about a step, and what it may not let pass in one: a second vote or a second leader in a
 * term, a commit without a quorum that has it on disk (thesis, section 3.6), a read below what was committed when it was
 * asked for (section 6.4).
 */
import type { Configuration, MemberId } from '../../src/consensus/types.ts';
import type { Counted } from './bounds.ts';
import type { Chronicle } from './chronicle.ts';
import type { Move } from './cluster.ts';
import { voteOf } from './host.ts';
import type { Input } from './inputs.ts';
import type { Interned } from './interner.ts';
import type { Member, Step } from './member.ts';
import { durableOnQuorum } from './safety.ts';

const cost: Readonly<Partial<Record<Input['type'], Counted>>> = {
  propose: 'proposals',
  crash: 'crashes',
  heartbeat: 'heartbeats',
  read: 'reads',
  transfer: 'transfers',
  change: 'changes',
};

export interface Recorded {
  readonly chronicle: Chronicle;
  readonly breach: string | null;
}

export function record(
  before: Chronicle,
  members_before: readonly Interned<Member>[],
  members_after: readonly Interned<Member>[],
  { who, input, again }: Move,
  step: Step,
): Recorded {
  let { reads, used } = before;
  const was = members_before[who]!.value;
  const is = members_after[who]!.value;
  const counted = again ? 'repeats' : cost[input.value.type];
  if (counted !== undefined) used = { ...used, [counted]: used[counted] + 1 };
  if (input.value.type === 'read') reads = [...reads, before.committed.length];
  const disks = members_after.map((member) => member.value);
  const commits = committedBy(was, is, disks, before);
  const said = saidBy(is, step, before);
  const chronicle = { reads, used, ...commits.news, ...said.news };
  return { chronicle, breach: staleRead(step, reads) ?? commits.breach ?? said.breach };
}

function staleRead({ outcome }: Step, floors: readonly number[]): string | null {
  const stale = outcome.reads.find(({ context, index }) => index < floors[context]!);
  if (stale === undefined) return null;
  const { context, index } = stale;
  return `read index: read ${context} may be answered at ${index}, ${floors[context]} was committed when it was asked for`;
}

type Commits = Pick<Chronicle, 'committed' | 'committed_in'>;

function committedBy(
  was: Member,
  is: Member,
  disks: readonly Member[],
  { committed, committed_in }: Commits,
): { readonly news: Commits; readonly breach: string | null } {
  const { commit, term, role, configuration } = is.status;
  const led = was.status.role === 'leader' && was.status.term === term;
  if (commit <= committed.length || !(led || role === 'leader')) {
    return { news: { committed, committed_in }, breach: null };
  }
  const entries = is.log.slice(committed.length, commit);
  // A configuration that was appended in this very step counts, too, but only once an entry was committed by the old one.
  const lacking = entries.find((entry, i) => {
    const by = (counts: Configuration): boolean => durableOnQuorum(disks, counts, entry);
    return led ? !by(was.status.configuration) && (i === 0 || !by(configuration)) : !by(configuration);
  });
  return {
    news: {
      committed: [...committed, ...entries],
      committed_in: [...committed_in, ...entries.map(() => term)],
    },
    breach: lacking === undefined ? null : `commit: ${lacking} is committed, but no quorum has it on disk`,
  };
}

type Said = Pick<Chronicle, 'votes' | 'leads'>;

function saidBy(
  is: Member,
  { outcome }: Step,
  before: Said,
): { readonly news: Said; readonly breach: string | null } {
  let { votes, leads } = before;
  let breach: string | null = null;
  const note = (known: readonly string[], key: string, whom: MemberId, what: string): readonly string[] => {
    const line = `${key} @${whom}`;
    const other = known.find((one) => one.startsWith(`${key} `) && one !== line);
    if (other !== undefined) breach ??= `${what}: both ${other} and ${line}`;
    return known.includes(line) ? known : [...known, line];
  };
  for (const m of outcome.sent) {
    const vote = voteOf(m);
    if (vote !== null) votes = note(votes, `t${m.term} @${m.from} for`, vote, 'one vote a term');
    if (m.type === 'append' || m.type === 'heartbeat') {
      leads = note(leads, `t${m.term}`, m.from, 'election safety');
    }
  }
  // Terms on disk never fall: what was said in one that the voter has left cannot be contradicted any more.
  const { term } = is.disk.hard_state;
  const stands = (vote: string): boolean =>
    !vote.includes(` @${is.id} for `) || Number(/\d+/.exec(vote)![0]) >= term;
  return { news: { votes: votes.filter(stands).toSorted(), leads: leads.toSorted() }, breach };
}
