/**
 * A relay's side: a learner that feeds other learners, as the leader told it with its last heartbeat
 * (docs/design/relays.md). It passes heartbeats on, sends entries that are *committed*, and reports upward how far those
 * below it are. It must never send an entry that could still be replaced, speak for a leader that it does not hear, or
 * raise anybody's term: whatever it does not understand it leaves to the leader, by not reporting it.
 */
import type { CoreState } from './core-state.ts';
import { Progress } from './progress.ts';
import { sendEntries } from './replication.ts';
import type { MemberId, Message, RelayBranch, RelayReport } from './types.ts';

type Heartbeat = Extract<Message, { type: 'heartbeat' }>;
type Reply = Extract<Message, { type: 'append-reply' | 'heartbeat-reply' }>;

/** A member below this one. */
interface Child {
  readonly progress: Progress;
  /** The last round it answered; 0: none yet. */
  round: number;
  reports: readonly RelayReport[];
  /** Only the leader can help it: its storage is damaged, or it lacks entries that are no longer in memory here. */
  lost: boolean;
}

/** The duty to feed others, for as long as the leader goes on renewing it. */
export interface Relaying {
  readonly term: number;
  readonly leader: MemberId;
  /** The tick after which it is over unless renewed. */
  readonly until: number;
  readonly children: ReadonlyMap<MemberId, Child>;
}

/** Renewed with every heartbeat; two may be lost. */
const duty_heartbeats = 3;

/** Whether this is news of the leader that came through a relay. */
export function isRelayed(m: Message): boolean {
  if (m.type === 'append') return m.relayed === true;
  return m.type === 'heartbeat' && m.relay !== undefined && m.relay.leader !== m.from;
}

/**
 * Whether this member may take what a relay says. Only a learner may: for a member that may campaign the leader's own
 * silence must count. And nothing of another term but a newer leader's heartbeat.
 */
export function mayBeFed(s: CoreState, m: Message): boolean {
  if (s.promotable || s.listensOnly || m.faulty !== undefined) return false;
  if (m.type !== 'heartbeat') return m.term === s.term && s.role === 'follower';
  if (m.relay === undefined || m.relay.leader === s.id || m.term < s.term) return false;
  return m.term > s.term || m.round > s.relayed_round;
}

/** Takes the duty that came with a heartbeat, and passes the heartbeat on. */
export function takeDuty(s: CoreState, m: Heartbeat): void {
  if (m.relay === undefined || m.relay.below.length === 0) s.relaying = null;
  if (m.relay === undefined) return;
  const { leader, below } = m.relay;
  s.relayed_round = m.round;
  if (below.length === 0) return;
  const before = s.relaying?.term === s.term ? s.relaying.children : new Map<MemberId, Child>();
  const children = new Map<MemberId, Child>();
  for (const branch of below) {
    if (branch.id === s.id || branch.id === leader) continue;
    const child = before.get(branch.id) ?? newChild(s, branch.id);
    children.set(branch.id, child);
    passOn(s, child, m.round, leader, branch.below);
  }
  const until = s.now + duty_heartbeats * s.options.heartbeat_ticks;
  s.relaying = { term: s.term, leader, until, children };
}

/** What this relay knows of those below it, for its next answer upward. */
export function reportsOf(s: CoreState): readonly RelayReport[] {
  const reports: RelayReport[] = [];
  for (const { progress, round, reports: below, lost } of s.relaying?.children.values() ?? []) {
    if (lost || round === 0) continue;
    reports.push({ id: progress.id, match: progress.match, round }, ...below);
  }
  return reports;
}

/** Sends every child what it lacks of the committed entries, as far as flow control lets. */
export function feedChildren(s: CoreState): void {
  const { relaying } = s;
  if (relaying === null) return;
  if (relaying.term !== s.term || s.role !== 'follower' || s.now > relaying.until) {
    s.relaying = null;
    return;
  }
  for (const child of relaying.children.values()) {
    while (!child.lost && !child.progress.paused && lacks(s, child)) feed(s, child, false);
  }
}

/** Takes the answer of a child. Its term is this one's: it answers only what was said in its own. */
export function onChildReply(s: CoreState, m: Reply): void {
  const child = s.relaying?.children.get(m.from);
  if (child === undefined || s.relaying?.term !== m.term || s.term !== m.term) return;
  const { progress } = child;
  if (m.faulty !== undefined) {
    child.lost = true;
  } else if (m.type === 'append-reply') {
    if (m.ok) progress.acknowledged(m.index);
    else
      progress.rejected(m.index, m.hint_term > 0 ? s.log.agreement(m.hint_index, m.hint_term) : m.hint_index);
  } else {
    child.round = Math.max(child.round, m.round);
    child.reports = m.reports ?? [];
    // As the leader does: if one was lost, the rejection of a bare append says so.
    if (!child.lost && (progress.match < s.commit || progress.state === 'probe')) feed(s, child, true);
  }
}

function newChild(s: CoreState, id: MemberId): Child {
  return { progress: new Progress(id, s.commit + 1, s.now, s.options), round: 0, reports: [], lost: false };
}

function passOn(
  s: CoreState,
  { progress }: Child,
  round: number,
  leader: MemberId,
  below: readonly RelayBranch[],
): void {
  s.outbox.send({
    type: 'heartbeat',
    from: s.id,
    to: progress.id,
    term: s.term,
    commit: Math.min(progress.match, s.commit),
    round,
    relay: { leader, below },
  });
}

/** One that is ahead of this relay needs nothing of it. */
function lacks(s: CoreState, { progress }: Child): boolean {
  if (progress.next > s.commit + 1) return false;
  return progress.state === 'probe' || progress.next <= s.commit;
}

function feed(s: CoreState, child: Child, bare: boolean): void {
  const { progress } = child;
  const prev_index = progress.next - 1;
  if (prev_index > s.commit) return;
  const prev_term = s.log.term(prev_index);
  if (prev_term === undefined) {
    child.lost = true;
    return;
  }
  const entries = bare ? [] : s.log.slice(progress.next, s.commit, s.options.max_append_bytes);
  sendEntries(s, progress, prev_term, entries, { relayed: true });
}
