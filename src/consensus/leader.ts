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
import { followMembers, noRelays, planRelays } from './relay-plan.ts';
import { matchOf, replicate } from './replication.ts';
import { becomeFollower } from './transitions.ts';
import type { Entry, EntryKind, MemberId, Message } from './types.ts';

type Heartbeat = Extract<Message, { type: 'heartbeat' }>;

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
    relays: noRelays(),
    rounds: new QuorumRounds(s.id),
    heartbeat_elapsed: 0,
    uncommitted_bytes: payloadBytes(uncommitted),
    transfer: null,
    told: new Map(),
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
  if (everybody) {
    lead.heartbeat_elapsed = 0;
    planRelays(s);
  }
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
      ...dutyOf(s, progress.id),
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
  if (lead.transfer !== null && ++lead.transfer.elapsed >= election_ticks) giveUpTransfer(s);
  if (++lead.heartbeat_elapsed >= heartbeat_ticks) beginRound(s, true);
}

/** Ends the lead, and asks the voter that knows most to take it up, so that nobody has to wait for silence. */
export function handOver(s: CoreState): void {
  replicate(s);
  const heir = mostAdvanced(s);
  if (heir !== 0) s.outbox.send({ type: 'timeout-now', from: s.id, to: heir, term: s.term });
  becomeFollower(s, s.term, 0);
}

/**
 * Ends a transfer that came to nothing. An heir that was told may only be slow. An entry that it lacks keeps it from being
 * elected once that is committed; without one, an heir that is gone for good would leave the lead in doubt for as long.
 */
export function giveUpTransfer(s: CoreState): void {
  const { transfer, told, rounds } = s.lead;
  s.lead.transfer = null;
  if (transfer?.told !== true) return;
  told.set(transfer.to, { round: rounds.begun, last_index: s.log.lastIndex });
  appendOwn(s, 'empty', [nothing]);
}

/**
 * Whether an heir whose transfer was given up may still win without waiting for silence. It may not once it has answered a
 * later round: what it was told came before that, and it stayed in this term. Nor once a later entry is committed: whoever
 * has that entry heard of it after the order to campaign, and the others of that majority refuse a log without it.
 */
export function heirIsAtLarge(s: CoreState): boolean {
  const { told, rounds } = s.lead;
  return [...told].some(
    ([id, { round, last_index }]) => rounds.answeredBy(id) <= round && s.commit <= last_index,
  );
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

/** What a relay is told with its heartbeat. */
function dutyOf(s: CoreState, id: MemberId): Pick<Heartbeat, 'relay'> {
  const below = s.lead.relays.below.get(id);
  return below === undefined ? {} : { relay: { leader: s.id, below } };
}

function leaveJointNow(s: CoreState): void {
  const left = leaveJoint(s.configuration);
  invariant(left.ok, () => `configuration of ${s.configs.current_index} cannot be left`);
  appendOwn(s, 'config', [encodeConfiguration(left.configuration)]);
}

/** Keeps flow control for exactly the members of the configuration in effect. */
function followConfiguration(s: CoreState): void {
  const { progress, relays, transfer } = s.lead;
  const members = new Set(membersOf(s.configuration));
  followMembers(s, members);
  for (const id of members) {
    if (id !== s.id && !progress.has(id) && !relays.relayed.has(id)) {
      progress.set(id, new Progress(id, s.log.lastIndex + 1, s.now, s.options));
    }
  }
  if (transfer !== null && !isVoter(s.configuration, transfer.to)) giveUpTransfer(s);
}

function payloadBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length, 0);
}
