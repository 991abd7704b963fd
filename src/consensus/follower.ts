/**
 * The receiver's side of replication (thesis, figure 3.1, AppendEntries), and the installation of a snapshot.
 * Nothing is acknowledged here before it is durable: the answers wait in the outbox for the sync.
 */
import type { CoreState } from './core-state.ts';
import { invariant } from './invariant.ts';
import { reportsOf, takeDuty } from './relay.ts';
import { becomeFollower } from './transitions.ts';
import type { Entry, MemberId, Message, SnapshotMeta } from './types.ts';

type Append = Extract<Message, { type: 'append' }>;
type Heartbeat = Extract<Message, { type: 'heartbeat' }>;

export function onAppend(s: CoreState, m: Append): void {
  checkConsecutive(m);
  // What is committed here agrees with every leader from then on: an append that begins before counts from there.
  if (m.prev_index >= s.commit && !s.log.matches(m.prev_index, m.prev_term)) {
    const hint_index = s.log.agreement(m.prev_index, m.prev_term);
    s.outbox.send({
      type: 'append-reply',
      from: s.id,
      to: m.from,
      term: s.term,
      ok: false,
      index: m.prev_index,
      hint_index,
      hint_term: s.log.term(hint_index) ?? 0,
    });
    return;
  }
  const last = m.prev_index + m.entries.length;
  const first_new = m.entries.find((entry) => isNew(s, entry));
  if (first_new !== undefined) s.append(m.entries.slice(first_new.index - m.prev_index - 1));
  s.commitTo(Math.min(m.commit, last));
  if (m.relayed === true) acknowledge(s, Math.max(last, s.commit), m.from);
  else acknowledge(s, Math.max(last, s.commit));
}

export function onHeartbeat(s: CoreState, m: Heartbeat): void {
  // The leader never names more than this member has acknowledged; commitTo asserts it. A log that was begun anew may
  // lack what was acknowledged before: there only appends, which compare the logs, carry the commit index.
  if (!s.listensOnly) s.commitTo(m.commit);
  // It only tells the commit index.
  if (m.round === 0) return;
  const reports = reportsOf(s);
  s.outbox.send({
    type: 'heartbeat-reply',
    from: s.id,
    to: m.from,
    term: s.term,
    round: m.round,
    ...(reports.length > 0 ? { reports } : {}),
  });
  takeDuty(s, m);
}

/** Log store and state machine have been replaced by a snapshot. */
export function onInstalled(s: CoreState, meta: SnapshotMeta): void {
  if (meta.index <= s.commit) return;
  // The chunks come from outside of step(): they may be the first that is heard of their term.
  if (meta.term > s.term || s.role !== 'follower') becomeFollower(s, Math.max(meta.term, s.term), 0);
  s.restore(meta);
  if (s.leader !== 0) acknowledge(s, meta.index);
}

/** @throws InvariantError for an entry that contradicts a committed one */
function isNew(s: CoreState, entry: Entry): boolean {
  const known = s.log.term(entry.index);
  if (entry.index > s.commit) return known !== entry.term;
  invariant(known === undefined || known === entry.term, () => {
    return `entry ${entry.index} of term ${entry.term} contradicts the committed one of term ${known}`;
  });
  return false;
}

function acknowledge(s: CoreState, index: number, to: MemberId = s.leader): void {
  s.outbox.send({
    type: 'append-reply',
    from: s.id,
    to,
    term: s.term,
    ok: true,
    index,
    hint_index: 0,
    hint_term: 0,
  });
}

function checkConsecutive(m: Append): void {
  m.entries.forEach((entry, i) => {
    invariant(entry.index === m.prev_index + 1 + i && entry.term <= m.term, () => {
      return `append from ${m.from} after ${m.prev_index} in term ${m.term} carries entry ${entry.index} of term ${entry.term}`;
    });
  });
}
