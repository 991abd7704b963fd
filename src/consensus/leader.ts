/**
 * Leading: the first entry of the term, commitment, heartbeat rounds, check-quorum, and giving up the lead
 * (thesis, sections 3.5, 3.6, 4.2.2 and 6.2). What is sent to each member, and when, is replication.ts.
 */
import { encodeConfiguration, isJoint, isVoter, membersOf } from './configuration.ts';
import type { CoreState } from './core-state.ts';
import { invariant } from './invariant.ts';
import { leaveJoint } from './membership.ts';
import { Progress } from './progress.ts';
import { quorumReached } from './quorum.ts';
import { QuorumRounds } from './quorum-rounds.ts';
import { matchOf, replicate } from './replication.ts';
import { becomeFollower } from './transitions.ts';
import type { Entry, EntryKind, MemberId } from './types.ts';

const nothing = new Uint8Array(0);

export function becomeLeader(s: CoreState): void {
  invariant(s.outbox.durable.term === s.term && s.outbox.durable.vote === s.id, () => {
    return `lead of term ${s.term} on a vote that is not on disk`;
  });
  invariant(!s.listensOnly, () => `lead of term ${s.term} on damaged storage`);
  s.role = 'leader';
  s.leader = s.id;
  s.votes.clear();
  s.silent_ticks = 0;
  const uncommitted = s.log.slice(s.commit + 1, s.log.lastIndex);
  s.leadership = {
    progress: new Map(),
    rounds: new QuorumRounds(s.id),
    heartbeat_elapsed: 0,
    uncommitted_bytes: payloadBytes(uncommitted),
    transfer: null,
  };
  followConfiguration(s);
  appendOwn(s, 'empty', [nothing]);
  beginRound(s, true);
}

/** Appends to the leader's own log; the next Ready carries it to the others and to the disk. Returns the first index. */
export function appendOwn(s: CoreState, kind: EntryKind, payloads: readonly Uint8Array[]): number {
  const first = s.log.lastIndex + 1;
  const entries = payloads.map((data, i): Entry => ({ index: first + i, term: s.term, kind, data }));
  s.lead.uncommitted_bytes += payloadBytes(entries);
  if (s.append(entries)) followConfiguration(s);
  return first;
}

/** Commits what a quorum has on disk, this member's own disk included, if it is of this term (thesis, section 3.6.2). */
export function advanceCommit(s: CoreState): void {
  const reached = quorumReached(s.configuration, (id) => matchOf(s, id));
  if (reached <= s.commit || !s.log.matches(reached, s.term)) return;
  const before = s.commit;
  s.commitTo(reached);
  s.lead.uncommitted_bytes -= payloadBytes(s.log.slice(before + 1, reached));
  if (s.configs.current_index > s.commit) return;
  if (isJoint(s.configuration)) {
    if (s.configuration.auto_leave) leaveJointNow(s);
  } else if (!isVoter(s.configuration, s.id)) {
    // Its own removal is committed: the lead ends here (thesis, section 4.2.2).
    handOver(s);
  }
}

/**
 * A round for reads that wait. Late in the heartbeat interval it goes to everybody and is the heartbeat too; earlier, only
 * the voters, whose answers count, are asked.
 */
export function beginReadRound(s: CoreState): void {
  beginRound(s, 2 * s.lead.heartbeat_elapsed >= s.options.heartbeat_ticks);
}

/** Numbers a heartbeat and sends it: to all, or to the voters only. */
export function beginRound(s: CoreState, everybody: boolean): void {
  const lead = s.lead;
  if (everybody) lead.heartbeat_elapsed = 0;
  const round = lead.rounds.begin(s.now);
  for (const progress of lead.progress.values()) {
    if (!everybody && !isVoter(s.configuration, progress.id)) continue;
    s.outbox.send({
      type: 'heartbeat',
      from: s.id,
      to: progress.id,
      term: s.term,
      commit: Math.min(progress.match, s.commit),
      round,
    });
  }
  settleRounds(s);
}

export function settleRounds(s: CoreState): void {
  s.outbox.answer(s.lead.rounds.settle(s.configuration));
}

export function tickLeader(s: CoreState): void {
  const lead = s.lead;
  const { election_ticks, heartbeat_ticks } = s.options;
  const heard_at = quorumReached(s.configuration, (id) => {
    if (id === s.id) return s.now;
    return s.faulty.has(id) ? undefined : lead.progress.get(id)?.heard_at;
  });
  if (s.now - Math.min(heard_at, s.now) >= election_ticks) {
    becomeFollower(s, s.term, 0);
    return;
  }
  for (const progress of lead.progress.values()) progress.tick(s.now, election_ticks);
  if (lead.transfer !== null && ++lead.transfer.elapsed >= election_ticks) lead.transfer = null;
  if (++lead.heartbeat_elapsed >= heartbeat_ticks) beginRound(s, true);
}

/** Ends the lead, and asks the voter that knows most to take it up, so that nobody has to wait for silence. */
export function handOver(s: CoreState): void {
  replicate(s);
  const heir = mostAdvanced(s);
  if (heir !== 0) s.outbox.send({ type: 'timeout-now', from: s.id, to: heir, term: s.term });
  becomeFollower(s, s.term, 0);
}

/** The other voter with the longest matching log, of those lately heard; 0 if there is none. */
export function mostAdvanced(s: CoreState): MemberId {
  let best: Progress | undefined;
  for (const progress of s.lead.progress.values()) {
    if (!s.configuration.voters.includes(progress.id) || !isActive(s, progress)) continue;
    if (s.faulty.has(progress.id)) continue;
    if (best === undefined || progress.match > best.match) best = progress;
  }
  return best?.id ?? 0;
}

export function isActive(s: CoreState, progress: Progress): boolean {
  return s.now - progress.heard_at < s.options.election_ticks;
}

function leaveJointNow(s: CoreState): void {
  const left = leaveJoint(s.configuration);
  invariant(left.ok, () => `configuration of ${s.configs.current_index} cannot be left`);
  appendOwn(s, 'config', [encodeConfiguration(left.configuration)]);
}

/** Keeps flow control for exactly the members of the configuration in effect. */
function followConfiguration(s: CoreState): void {
  const { progress, transfer } = s.lead;
  const members = new Set(membersOf(s.configuration));
  for (const id of progress.keys()) if (!members.has(id)) progress.delete(id);
  for (const id of members) {
    if (id !== s.id && !progress.has(id)) {
      progress.set(id, new Progress(id, s.log.lastIndex + 1, s.now, s.options));
    }
  }
  if (transfer !== null && !isVoter(s.configuration, transfer.to)) s.lead.transfer = null;
}

function payloadBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length, 0);
}
