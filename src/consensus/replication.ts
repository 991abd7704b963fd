/**
 * The sender's side of replication: what goes to which member, and what its answers mean (thesis, sections 3.5 and 10.2.1).
 * Entries go out when the next Ready is made, so those of one turn travel together; they may leave before they are on
 * this member's own disk, which counts as one copy like any other.
 */
import type { CoreState } from './core-state.ts';
import { invariant } from './invariant.ts';
import type { Progress } from './progress.ts';
import type { Entry, MemberId, Message } from './types.ts';

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

/** Sends one append, with entries if any are left to send and the window has room; `bare`: without. */
export function sendAppend(s: CoreState, progress: Progress, bare = false): void {
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
  const entries =
    bare || progress.paused ? [] : s.log.slice(progress.next, s.log.lastIndex, s.options.max_append_bytes);
  sendEntries(s, progress, prev_term, entries);
}

/** Sends what follows `progress.next - 1` and notes it; a relay's append says that it is one's. */
export function sendEntries(
  s: CoreState,
  progress: Progress,
  prev_term: number,
  entries: readonly Entry[],
  relayed: { readonly relayed?: true } = {},
): void {
  const prev_index = progress.next - 1;
  s.outbox.send({
    type: 'append',
    from: s.id,
    to: progress.id,
    term: s.term,
    prev_index,
    prev_term,
    entries,
    commit: s.commit,
    ...relayed,
  });
  const bytes = entries.reduce((sum, entry) => sum + entry.data.length, 0);
  const last = prev_index + entries.length;
  progress.sent(last, bytes, Math.min(s.commit, last));
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
 * an append even if its window is full: if one was lost, its rejection says so. It carries no entries, since what came
 * after the heartbeat may be on its way: the first append of a term is, behind the term's first heartbeat.
 */
export function onHeartbeatReply(s: CoreState, progress: Progress): void {
  progress.resume();
  if (progress.state === 'snapshot') return;
  if (progress.match < s.log.lastIndex || progress.state === 'probe') sendAppend(s, progress, true);
}

function isBehind(s: CoreState, progress: Progress): boolean {
  if (progress.next <= s.log.lastIndex) return true;
  if (progress.state === 'probe') return true;
  return progress.commit_sent < s.commit && s.options.defer_commit !== true;
}

/** The commit index, if a member that could take it has not been told; 0: all have. */
export function untoldCommit(s: CoreState): number {
  return [...s.lead.progress.values()].some((of) => isUntold(s, of, s.commit)) ? s.commit : 0;
}

/**
 * Tells the commit index to those that have not heard of `upto`: a heartbeat of no round, which nobody answers. If it is
 * lost the next heartbeat repeats it. A member with a log begun anew takes it from appends only.
 */
export function tellCommit(s: CoreState, upto: number): void {
  for (const progress of s.lead.progress.values()) {
    if (!isUntold(s, progress, upto)) continue;
    if (s.faulty.has(progress.id)) {
      sendAppend(s, progress, true);
      continue;
    }
    const commit = Math.min(progress.match, s.commit);
    s.outbox.send({ type: 'heartbeat', from: s.id, to: progress.id, term: s.term, commit, round: 0 });
    progress.commit_sent = commit;
  }
}

function isUntold(s: CoreState, progress: Progress, upto: number): boolean {
  return progress.state === 'replicate' && progress.commit_sent < Math.min(progress.match, s.commit, upto);
}
