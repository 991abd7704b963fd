/**
 * The sender's side of replication: what goes to which member, and what its answers mean (thesis, sections 3.5 and 10.2.1).
 * Entries go out when the next Ready is made, so those of one turn travel together; they may leave before they are on
 * this member's own disk, which counts as one copy like any other.
 */
import type { CoreState } from './core-state.ts';
import { invariant } from './invariant.ts';
import type { Progress } from './progress.ts';
import type { MemberId, Message } from './types.ts';

type AppendReply = Extract<Message, { type: 'append-reply' }>;

/** How far the log of `id` surely matches and is durable there; undefined for a stranger and for damaged storage. */
export function matchOf(s: CoreState, id: MemberId): number | undefined {
  if (s.faulty.has(id)) return undefined;
  return id === s.id ? s.log.durable : s.lead.progress.get(id)?.match;
}

/** Sends to every member what it lacks, as far as flow control lets. */
export function replicate(s: CoreState): void {
  for (const progress of s.lead.progress.values()) {
    while (!progress.paused && isBehind(s, progress)) sendAppend(s, progress);
  }
}

/** Sends one append, with entries if any are left to send and the window has room. */
export function sendAppend(s: CoreState, progress: Progress): void {
  const prev_index = progress.next - 1;
  const prev_term = s.log.term(prev_index);
  if (prev_term === undefined) {
    invariant(
      prev_index < s.log.firstIndex,
      () => `append after ${prev_index} to a log that ends at ${s.log.lastIndex}`,
    );
    s.outbox.send({ type: 'snapshot', from: s.id, to: progress.id, term: s.term, meta: s.image });
    progress.awaitSnapshot(s.image.index);
    return;
  }
  const entries = progress.paused
    ? []
    : s.log.slice(progress.next, s.log.lastIndex, s.options.max_append_bytes);
  s.outbox.send({
    type: 'append',
    from: s.id,
    to: progress.id,
    term: s.term,
    prev_index,
    prev_term,
    entries,
    commit: s.commit,
  });
  const bytes = entries.reduce((sum, entry) => sum + entry.data.length, 0);
  progress.sent(prev_index + entries.length, bytes, Math.min(s.commit, prev_index + entries.length));
}

/** Takes an answer to an append. True when the member was seen to have more than before. */
export function onAppendReply(s: CoreState, progress: Progress, m: AppendReply): boolean {
  invariant(!m.ok || m.index <= s.log.lastIndex, () => {
    return `member ${m.from} acknowledged ${m.index}, the log ends at ${s.log.lastIndex}`;
  });
  if (!m.ok) {
    const agreement = m.hint_term > 0 ? s.log.agreement(m.hint_index, m.hint_term) : m.hint_index;
    // A log that was begun anew, perhaps once more, may end before what it acknowledged.
    if (s.faulty.has(m.from) && m.index <= progress.match) progress.forget();
    progress.rejected(m.index, agreement);
    return false;
  }
  const news = progress.acknowledged(m.index);
  if (progress.state === 'snapshot' && progress.match + 1 >= s.log.firstIndex) progress.snapshotInstalled();
  return news;
}

/**
 * An answer to a heartbeat: everything sent before it has arrived or is lost. A member that still lacks something is sent
 * an append even if its window is full: if one was lost, its rejection says so.
 */
export function onHeartbeatReply(s: CoreState, progress: Progress): void {
  progress.resume();
  if (progress.state === 'snapshot') return;
  if (progress.match < s.log.lastIndex || progress.state === 'probe') sendAppend(s, progress);
}

function isBehind(s: CoreState, progress: Progress): boolean {
  if (progress.next <= s.log.lastIndex) return true;
  if (progress.state === 'probe') return true;
  return progress.commit_sent < s.commit;
}
