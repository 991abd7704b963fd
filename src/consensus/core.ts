/**
 * The pure Raft core: stepped with ticks, messages and requests, it hands back what to persist, send and apply.
 * It keeps Raft's promises whatever is lost, repeated or reordered between its calls, and asserts its own invariants at
 * all times (InvariantError: the replica must end). It must never touch a clock, a disk, a network or chance other than
 * `options.random`, and never hands out anything before what it depends on.
 *
 * This file only decides who deals with what. See election.ts, follower.ts, leader.ts, replication.ts.
 */
import { isLoneVoter, isVoter, membersOf } from './configuration.ts';
import type { Core, CoreInitial, CoreOptions, ProposeResult } from './core-api.ts';
import { CoreState } from './core-state.ts';
import { campaign, countOwnVote, mayCampaign, onVoteReply, onVoteRequest } from './election.ts';
import { onAppend, onHeartbeat, onInstalled } from './follower.ts';
import { invariant } from './invariant.ts';
import {
  advanceCommit,
  beginReadRound,
  heirIsAtLarge,
  isActive,
  settleRounds,
  tickLeader,
} from './leader.ts';
import { propose, proposeChange } from './proposals.ts';
import { feedChildren, isRelayed, mayBeFed, onChildReply } from './relay.ts';
import { relayedProgress, takeBack, takeReports } from './relay-plan.ts';
import {
  onAppendReply,
  onHeartbeatReply,
  replicate,
  sendAppend,
  tellCommit,
  untoldCommit,
} from './replication.ts';
import { continueTransfer, stepDown, transfer } from './transfer.ts';
import { becomeFollower } from './transitions.ts';
import type {
  CoreStatus,
  MemberChange,
  MemberId,
  MemberProgress,
  Message,
  Ready,
  SnapshotMeta,
} from './types.ts';

/** What {@link Core.quorumAgeTicks} answers for a leader none of whose rounds is over: longer than any timeout. */
export const no_quorum_round = Number.MAX_SAFE_INTEGER;

/** @throws InvariantError when what was found on disk contradicts itself; RangeError for options that make no sense. */
export function createCore(options: CoreOptions, initial: CoreInitial): Core {
  checkOptions(options);
  return new RaftCore(new CoreState(options, initial));
}

const nobody: readonly never[] = [];

class RaftCore implements Core {
  readonly #s: CoreState;

  constructor(state: CoreState) {
    this.#s = state;
  }

  tick(): void {
    const s = this.#s;
    s.now++;
    if (s.role === 'leader') {
      tickLeader(s);
      return;
    }
    s.silent_ticks++;
    const alone = s.role === 'follower' && isLoneVoter(s.configuration, s.id);
    if (!s.timer.tick() && !alone) return;
    if (mayCampaign(s)) {
      campaign(s, false);
    } else if (s.role === 'follower') {
      // A learner: it can only say that it knows no leader any more.
      s.leader = 0;
      s.timer.rest();
    }
  }

  step(m: Message): void {
    const s = this.#s;
    if (m.to !== s.id || m.from === s.id) return;
    if (m.faulty !== undefined) s.faulty.set(m.from, m.faulty);
    if (m.type === 'vote') {
      onVoteRequest(s, m);
      return;
    }
    if (isRelayed(m) && !mayBeFed(s, m)) return;
    if (m.term > s.term && !isPromise(m)) {
      becomeFollower(s, m.term, leaderNamedBy(m));
    }
    switch (m.type) {
      case 'vote-reply':
        onVoteReply(s, m);
        break;
      case 'append':
      case 'heartbeat':
      case 'snapshot':
        this.#fromLeader(m);
        break;
      case 'append-reply':
      case 'heartbeat-reply':
        this.#fromMember(m);
        break;
      case 'timeout-now':
        if (m.term === s.term && s.role !== 'leader' && mayCampaign(s)) campaign(s, true);
        break;
    }
  }

  propose(payloads: readonly Uint8Array[]): ProposeResult {
    return propose(this.#s, payloads);
  }

  proposeChange(changes: readonly MemberChange[]): ProposeResult {
    return proposeChange(this.#s, changes);
  }

  requestRead(context: number): boolean {
    const s = this.#s;
    if (s.role !== 'leader' || !s.ownTermCommitted) return false;
    return s.lead.rounds.request({ context, index: s.commit });
  }

  leaderLost(id: MemberId, delay_ticks: number): void {
    const s = this.#s;
    if (id === 0 || id === s.id || s.leader !== id) return;
    s.leader = 0;
    s.timer.hurry(delay_ticks);
    if (delay_ticks <= 0 && mayCampaign(s)) campaign(s, false);
  }

  peer(id: MemberId, up: boolean): void {
    const s = this.#s;
    s.relaying?.children.get(id)?.progress.interrupted();
    if (s.leadership !== null && !up) takeBack(s, id);
    const progress = s.leadership?.progress.get(id);
    if (progress === undefined) return;
    progress.interrupted();
    if (up && progress.state !== 'snapshot') sendAppend(s, progress);
  }

  untoldCommit(): number {
    return this.#s.role === 'leader' ? untoldCommit(this.#s) : 0;
  }

  tellCommit(upto: number): void {
    if (this.#s.role === 'leader') tellCommit(this.#s, upto);
  }

  transfer(to: MemberId): ProposeResult {
    return transfer(this.#s, to);
  }

  stepDown(): void {
    stepDown(this.#s);
  }

  snapshotSent(to: MemberId, ok: boolean): void {
    this.#s.leadership?.progress.get(to)?.snapshotSent(ok, this.#s.now);
  }

  installed(meta: SnapshotMeta): void {
    onInstalled(this.#s, meta);
  }

  ready(): Ready | null {
    const s = this.#s;
    if (s.role === 'leader') {
      if (s.lead.rounds.due) beginReadRound(s);
      replicate(s);
    }
    feedChildren(s);
    const { hard_state, outbox } = s;
    const hard_state_changed = outbox.isUnwritten(hard_state);
    const writes = hard_state_changed || s.log.hasUnwritten();
    if (!writes && outbox.isEmpty && !s.hasCommitted()) return null;
    const seq = outbox.nextSeq();
    const entries = s.log.takeUnwritten(seq);
    // The commit index alone is worth no write: it rides on the next one.
    if (writes) outbox.handedOut(seq, hard_state);
    return {
      seq,
      hard_state: writes ? hard_state : null,
      entries,
      committed: s.takeCommitted(),
      ...outbox.take(),
    };
  }

  synced(seq: number): void {
    const s = this.#s;
    s.outbox.synced(seq);
    s.log.synced(seq);
    if (s.role === 'leader') advanceCommit(s);
    else countOwnVote(s);
  }

  applied(index: number): void {
    this.#s.appliedTo(index);
  }

  compacted(meta: SnapshotMeta, keep: number): void {
    const s = this.#s;
    invariant(meta.index <= s.applied, () => `image of ${meta.index}, applied only up to ${s.applied}`);
    if (meta.index > s.image.index) s.image = meta;
    s.log.compact(meta.index - keep);
  }

  quorumAgeTicks(): number {
    const s = this.#s;
    if (s.leadership === null) return 0;
    const { rounds, transfer: under_way } = s.leadership;
    // Whoever was told to campaign may win without waiting for silence: the lead may be relied on no longer.
    if (rounds.over_began_at === null || under_way?.told === true) return no_quorum_round;
    if (heirIsAtLarge(s)) return no_quorum_round;
    return s.now - rounds.over_began_at;
  }

  status(): CoreStatus {
    const s = this.#s;
    return {
      id: s.id,
      role: s.role,
      term: s.term,
      leader: s.leader,
      commit: s.commit,
      applied: s.applied,
      last_index: s.log.lastIndex,
      configuration: s.configuration,
      faulty: s.faulty.size === 0 ? nobody : this.#faulty(),
    };
  }

  #faulty(): CoreStatus['faulty'] {
    const s = this.#s;
    const members = new Set([s.id, ...membersOf(s.configuration)]);
    return [...s.faulty].filter(([id]) => members.has(id)).map(([id, reason]) => ({ id, reason }));
  }

  progress(): readonly MemberProgress[] {
    const s = this.#s;
    const { configuration, leadership } = s;
    if (leadership === null) return nobody;
    const own = { id: s.id, match: s.log.durable, state: 'replicate', active: true } as const;
    const others = [...leadership.progress.values()].map((progress) => ({
      id: progress.id,
      match: Math.max(progress.match, progress.reported),
      state: progress.state,
      active: isActive(s, progress) && !s.faulty.has(progress.id),
    }));
    return [own, ...others, ...relayedProgress(s)]
      .map((of) => ({ ...of, learner: !isVoter(configuration, of.id), faulty: s.faulty.has(of.id) }))
      .sort((a, b) => a.id - b.id);
  }

  /** Appends, heartbeats and snapshots: a sign of life of a leader, unless it has been superseded. */
  #fromLeader(m: Extract<Message, { type: 'append' | 'heartbeat' | 'snapshot' }>): void {
    const s = this.#s;
    if (m.term < s.term) {
      // Tell the sender the term: with pre-vote nothing else would, and this member could not follow it.
      s.outbox.send(rejection(s, m.from));
      return;
    }
    // A relay's entries say nothing of the leader, its heartbeat does.
    if (m.type !== 'append' || m.relayed !== true) becomeFollower(s, m.term, leaderNamedBy(m));
    if (m.type === 'append') onAppend(s, m);
    else if (m.type === 'heartbeat') onHeartbeat(s, m);
  }

  #fromMember(m: Extract<Message, { type: 'append-reply' | 'heartbeat-reply' }>): void {
    const s = this.#s;
    const progress = s.leadership?.progress.get(m.from);
    if (s.relaying !== null) onChildReply(s, m);
    if (m.term !== s.term || progress === undefined) return;
    progress.heard_at = s.now;
    if (m.type === 'heartbeat-reply') {
      if (!s.faulty.has(m.from)) s.lead.rounds.answered(m.from, m.round);
      settleRounds(s);
      if (m.reports !== undefined) takeReports(s, m.reports);
      onHeartbeatReply(s, progress);
      return;
    }
    if (onAppendReply(s, progress, m)) {
      advanceCommit(s);
      if (s.role === 'leader') continueTransfer(s);
    }
  }
}

/** A granted pre-vote names the term that would be entered: nobody has, yet. */
function isPromise(m: Message): boolean {
  return m.type === 'vote-reply' && m.pre && m.granted;
}

/** Who leads, going by this message: its sender, or whom a relay names; 0 if it does not say. */
function leaderNamedBy(m: Message): MemberId {
  if (m.type === 'heartbeat') return m.relay?.leader ?? m.from;
  return m.type === 'append' || m.type === 'snapshot' || m.type === 'timeout-now' ? m.from : 0;
}

function rejection(s: CoreState, to: MemberId): Message {
  return {
    type: 'append-reply',
    from: s.id,
    to,
    term: s.term,
    ok: false,
    index: 0,
    hint_index: 0,
    hint_term: 0,
  };
}

function checkOptions(options: CoreOptions): void {
  const { id, election_ticks, heartbeat_ticks } = options;
  if (!Number.isSafeInteger(id) || id <= 0) throw new RangeError(`id ${id}: expected a positive integer`);
  if (!(heartbeat_ticks >= 1 && election_ticks > 2 * heartbeat_ticks)) {
    throw new RangeError(
      `election_ticks ${election_ticks}: expected more than twice heartbeat_ticks (${heartbeat_ticks}, at least 1)`,
    );
  }
  for (const name of [
    'max_append_bytes',
    'max_inflight',
    'max_inflight_bytes',
    'max_uncommitted_bytes',
  ] as const) {
    if (!(options[name] >= 1)) throw new RangeError(`${name} ${options[name]}: expected at least 1`);
  }
}
