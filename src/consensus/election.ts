/**
 * Elections: pre-vote, vote, and the voter's side of both (thesis, sections 3.4, 4.2.3 and 9.6).
 * A pre-vote changes nothing at the voter: neither its term, nor its vote, nor its idea of when a leader was last heard.
 * A member counts its own vote only once that vote is on disk.
 */

import { isLoneVoter, isVoter, membersOf } from './configuration.ts';
import type { CoreState } from './core-state.ts';
import { becomeLeader } from './leader.ts';
import { quorumVote } from './quorum.ts';
import { becomeFollower } from './transitions.ts';
import type { Message } from './types.ts';

type VoteRequest = Extract<Message, { type: 'vote' }>;
type VoteReply = Extract<Message, { type: 'vote-reply' }>;

/** Begins a campaign: by pre-vote, or at once when there is nobody to ask or the leader itself asked for it. */
export function campaign(s: CoreState, transfer: boolean): void {
  s.leader = 0;
  s.votes.clear();
  s.timer.campaigned();
  if (transfer || isLoneVoter(s.configuration, s.id)) {
    requestVotes(s, transfer);
    return;
  }
  s.role = 'pre-candidate';
  s.votes.set(s.id, true);
  ask(s, true, false);
  countVotes(s);
}

/** A campaign may begin: this member is no leader, may campaign, and its last vote for itself is not still being written. */
export function mayCampaign(s: CoreState): boolean {
  return s.role !== 'leader' && s.promotable && !(s.role === 'candidate' && !ownVoteIsDurable(s));
}

export function onVoteRequest(s: CoreState, m: VoteRequest): void {
  if (s.listensOnly) {
    // Its log and its last vote may be lost. The refusal says why, so that the candidate can tell.
    reply(s, m, s.term, false);
    return;
  }
  // The leader that this member follows may ask too: then it knows itself that it no longer leads.
  const loyal = !s.leaderIsLost && s.leader !== m.from;
  if (!m.transfer && loyal && m.term >= s.term) {
    // A real vote gets no answer, lest its higher term spread; a pre-vote may as well learn that it is refused.
    if (m.pre || m.term === s.term) reply(s, m, s.term, false);
    return;
  }
  if (m.term < s.term) {
    reply(s, m, s.term, false);
    return;
  }
  if (!m.pre && m.term > s.term) becomeFollower(s, m.term, 0);
  const free = m.term > s.term || s.vote === m.from || (s.vote === 0 && s.leader === 0);
  const granted = free && s.log.isUpToDate(m.last_index, m.last_term);
  // Of two that ask at the same time the higher number stands back, lest their votes split. Its timer goes on: if the
  // other cannot win it asks again soon.
  if (granted && m.pre && s.role === 'pre-candidate' && m.from < s.id) becomeFollower(s, s.term, 0);
  if (granted && !m.pre) {
    s.voteFor(m.from);
    s.silent_ticks = 0;
    s.timer.rest();
  }
  reply(s, m, granted ? m.term : s.term, granted);
}

export function onVoteReply(s: CoreState, m: VoteReply): void {
  const expected = m.pre
    ? s.role === 'pre-candidate' && (m.granted ? m.term === s.term + 1 : m.term <= s.term)
    : s.role === 'candidate' && m.term === s.term;
  if (!expected || s.votes.has(m.from)) return;
  s.votes.set(m.from, m.granted && !s.faulty.has(m.from));
  countVotes(s);
}

/** A Ready was synced: this member's own vote may count now. */
export function countOwnVote(s: CoreState): void {
  if (s.role !== 'candidate' || s.votes.has(s.id) || !ownVoteIsDurable(s)) return;
  s.timer.asked();
  s.votes.set(s.id, true);
  countVotes(s);
}

function ownVoteIsDurable(s: CoreState): boolean {
  const { term, vote } = s.outbox.durable;
  return term === s.term && vote === s.id;
}

function countVotes(s: CoreState): void {
  switch (quorumVote(s.configuration, (id) => s.votes.get(id))) {
    case 'pending':
      break;
    case 'lost':
      // The timer goes on: the next attempt comes after its back-off.
      becomeFollower(s, s.term, 0);
      break;
    case 'won':
      if (s.role === 'pre-candidate') requestVotes(s, false);
      else if (ownVoteIsDurable(s)) becomeLeader(s);
      break;
  }
}

function requestVotes(s: CoreState, transfer: boolean): void {
  s.enterTerm(s.term + 1);
  s.voteFor(s.id);
  s.role = 'candidate';
  s.votes.clear();
  ask(s, false, transfer);
}

function ask(s: CoreState, pre: boolean, transfer: boolean): void {
  for (const to of membersOf(s.configuration)) {
    if (to === s.id || !isVoter(s.configuration, to)) continue;
    s.outbox.send({
      type: 'vote',
      from: s.id,
      to,
      term: pre ? s.term + 1 : s.term,
      pre,
      last_index: s.log.lastIndex,
      last_term: s.log.lastTerm,
      transfer,
    });
  }
}

function reply(s: CoreState, m: VoteRequest, term: number, granted: boolean): void {
  s.outbox.send({ type: 'vote-reply', from: s.id, to: m.from, term, pre: m.pre, granted });
}
