/**
 * The properties of Raft (thesis, figure 3.2), looked at from outside and in every state.
 * Leader completeness is checked twice: for those who lead, and before that for those who could be elected as the logs
 * stand on the disks, so that a lost entry is found when it can be lost, not only when it is.
 */
import { quorumVote } from '../../src/consensus/arithmetic.ts';
import type { Configuration } from '../../src/consensus/types.ts';
import type { Chronicle } from './chronicle.ts';
import type { Member } from './member.ts';

/** The first property that does not hold; null: all do. */
export function breachIn(members: readonly Member[], chronicle: Chronicle): string | null {
  for (const member of members) {
    const wrong =
      stateMachine(member, chronicle) ??
      leaderCompleteness(member, chronicle) ??
      electable(member, members, chronicle) ??
      rivals(member, members);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** Whether a quorum of `configuration` has `entry` on disk. */
export function durableOnQuorum(
  members: readonly Member[],
  configuration: Configuration,
  entry: string,
): boolean {
  const has = (id: number): boolean => {
    const disk = members[id - 1]?.durable ?? [];
    return disk.includes(entry);
  };
  return quorumVote(configuration, has) === 'won';
}

function stateMachine({ id, status, log, handed }: Member, { committed }: Chronicle): string | null {
  if (handed > status.commit)
    return `state machine safety: @${id} applied ${handed}, commit ${status.commit}`;
  for (let i = 0; i < status.commit; i++) {
    if (log[i] !== committed[i]) {
      return `state machine safety: @${id} has committed ${log[i] ?? 'nothing'} at ${i + 1}, others ${committed[i] ?? 'nothing'}`;
    }
  }
  return null;
}

function leaderCompleteness({ id, status, log }: Member, chronicle: Chronicle): string | null {
  if (status.role !== 'leader') return null;
  const lacks = chronicle.committed.findIndex((entry, i) => {
    return log[i] !== entry && chronicle.committed_in[i]! <= status.term;
  });
  if (lacks === -1) return null;
  return `leader completeness: @${id} leads term ${status.term} without ${chronicle.committed[lacks]}`;
}

/** A member that lacks a committed entry must not find a quorum that would vote for it (thesis, section 3.6.1). */
function electable(member: Member, members: readonly Member[], { committed }: Chronicle): string | null {
  const lacks = committed.findIndex((entry, i) => member.log[i] !== entry);
  if (lacks === -1) return null;
  const { configuration } = member.status;
  const voters = [...configuration.voters, ...configuration.voters_outgoing];
  if (!voters.includes(member.id)) return null;
  const last_term = member.terms.at(-1) ?? 0;
  const grants = (id: number): boolean => {
    const { durable_terms } = members[id - 1]!;
    const theirs = durable_terms.at(-1) ?? 0;
    return (
      id === member.id ||
      last_term > theirs ||
      (last_term === theirs && member.terms.length >= durable_terms.length)
    );
  };
  if (quorumVote(configuration, grants) !== 'won') return null;
  return `leader completeness: @${member.id} lacks ${committed[lacks]}, which is committed, and a quorum would elect it`;
}

/** Election safety and log matching, against each member with a higher number. */
function rivals(member: Member, members: readonly Member[]): string | null {
  for (const other of members) {
    if (other.id <= member.id) continue;
    const { status } = member;
    if (status.role === 'leader' && other.status.role === 'leader' && status.term === other.status.term) {
      return `election safety: @${member.id} and @${other.id} both lead term ${status.term}`;
    }
    for (const ours of [member.log, member.durable]) {
      for (const theirs of [other.log, other.durable]) {
        const at = mismatch(ours, theirs);
        if (at !== 0) return `log matching: @${member.id} and @${other.id} agree at ${at} but not before`;
      }
    }
  }
  return null;
}

/** An index at which both have the same entry of the same term, with something else before it; 0: none. */
function mismatch(a: readonly string[], b: readonly string[]): number {
  let differs = false;
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] === b[i]) {
      if (differs) return i + 1;
    } else {
      if (termOf(a[i]!) === termOf(b[i]!)) return i + 1;
      differs = true;
    }
  }
  return 0;
}

function termOf(entry: string): string {
  return /\/(\d+)/.exec(entry)![1]!;
}
