/**
 * Cores with one fault each, to show that the exploration finds faults. Each is the real core in a wrapper that
 * misbehaves at its surface. For tests only.
 */
import { quorumReached } from '../../src/consensus/arithmetic.ts';
import { createCore } from '../../src/consensus/core.ts';
import type { Core, CoreInitial, CoreOptions } from '../../src/consensus/core-api.ts';
import type { CoreStatus, Entry, MemberId, Message, Ready } from '../../src/consensus/types.ts';

/** All calls go to `inner`, but for those of `changed`. */
function wrapped(inner: Core, changed: Partial<Core>): Core {
  const real: Core = {
    tick: () => inner.tick(),
    step: (m) => inner.step(m),
    propose: (payloads) => inner.propose(payloads),
    proposeChange: (changes) => inner.proposeChange(changes),
    requestRead: (context) => inner.requestRead(context),
    leaderLost: (id, delay_ticks) => inner.leaderLost(id, delay_ticks),
    peer: (id, up) => inner.peer(id, up),
    untoldCommit: () => inner.untoldCommit(),
    tellCommit: (upto) => inner.tellCommit(upto),
    transfer: (to) => inner.transfer(to),
    stepDown: () => inner.stepDown(),
    snapshotSent: (to, ok) => inner.snapshotSent(to, ok),
    installed: (meta) => inner.installed(meta),
    ready: () => inner.ready(),
    synced: (seq) => inner.synced(seq),
    applied: (index) => inner.applied(index),
    compacted: (meta, keep) => inner.compacted(meta, keep),
    quorumAgeTicks: () => inner.quorumAgeTicks(),
    status: () => inner.status(),
    progress: () => inner.progress(),
  };
  return { ...real, ...changed };
}

const changeReady = (inner: Core, change: (ready: Ready) => Ready): Core =>
  wrapped(inner, {
    ready: () => {
      const ready = inner.ready();
      return ready === null ? null : change(ready);
    },
  });

/** Answers votes before they are on disk. */
export function hastyVoter(options: CoreOptions, initial: CoreInitial): Core {
  const hasty = (m: Message): boolean => m.type === 'vote-reply';
  return changeReady(createCore(options, initial), (ready) => ({
    ...ready,
    messages: [...ready.messages, ...ready.messages_after_sync.filter(hasty)],
    messages_after_sync: ready.messages_after_sync.filter((m) => !hasty(m)),
  }));
}

/** Acknowledges entries before they are on disk. */
export function hastyFollower(options: CoreOptions, initial: CoreInitial): Core {
  const hasty = (m: Message): boolean => m.type === 'append-reply';
  return changeReady(createCore(options, initial), (ready) => ({
    ...ready,
    messages: [...ready.messages, ...ready.messages_after_sync.filter(hasty)],
    messages_after_sync: ready.messages_after_sync.filter((m) => !hasty(m)),
  }));
}

/** Does not know after a start whom it voted for. */
export function forgetfulVoter(options: CoreOptions, initial: CoreInitial): Core {
  return createCore(options, { ...initial, hard_state: { ...initial.hard_state, vote: 0 } });
}

/** Counts its own copy of an entry before it is on disk. */
export function hastyLeader(options: CoreOptions, initial: CoreInitial): Core {
  const inner = createCore(options, initial);
  return changeReady(inner, (ready) => {
    inner.synced(ready.seq);
    return ready;
  });
}

/** Votes for anybody, whatever their log (against thesis, section 3.6.1). */
export function carelessVoter(options: CoreOptions, initial: CoreInitial): Core {
  const inner = createCore(options, initial);
  return wrapped(inner, {
    step: (m) => inner.step(m.type === 'vote' ? { ...m, last_index: 1000, last_term: 1000 } : m),
  });
}

/** Answers reads at once, without asking a quorum whether it still leads (against thesis, section 6.4). */
export function hastyReader(options: CoreOptions, initial: CoreInitial): Core {
  const inner = createCore(options, initial);
  let reads: { context: number; index: number }[] = [];
  return wrapped(inner, {
    requestRead: (context) => {
      const { role, commit } = inner.status();
      if (role === 'leader') reads.push({ context, index: commit });
      return role === 'leader';
    },
    ready: () => {
      const ready = inner.ready();
      if (reads.length === 0) return ready;
      const answered = reads;
      reads = [];
      const nothing = { hard_state: null, entries: [], messages: [], messages_after_sync: [], committed: [] };
      return { seq: 0, ...nothing, reads_failed: [], ...ready, reads: answered };
    },
  });
}

/** Commits whatever a majority has, of whatever term (against thesis, section 3.6.2 and figure 3.7). */
export function oldTermCommitter(options: CoreOptions, initial: CoreInitial): Core {
  const inner = createCore(options, initial);
  let log: readonly Entry[] = initial.entries;
  let handed = initial.applied;
  let handed_by_inner = initial.applied;
  const commitOf = (status: CoreStatus): number => {
    const match = (id: MemberId): number | undefined => inner.progress().find((of) => of.id === id)?.match;
    return status.role === 'leader'
      ? Math.max(status.commit, quorumReached(status.configuration, match))
      : status.commit;
  };
  return wrapped(inner, {
    status: () => ({ ...inner.status(), commit: commitOf(inner.status()) }),
    applied: (index) => inner.applied(Math.min(index, handed_by_inner)),
    ready: () => {
      const ready = inner.ready();
      if (ready === null) return null;
      const first = ready.entries[0];
      if (first !== undefined) log = [...log.slice(0, first.index - 1), ...ready.entries];
      const commit = commitOf(inner.status());
      const told = (m: Message): Message => (m.type === 'append' ? { ...m, commit } : m);
      handed_by_inner = ready.committed.at(-1)?.index ?? handed_by_inner;
      const upto = Math.max(handed_by_inner, inner.status().role === 'leader' ? commit : 0);
      const committed = log.slice(handed, Math.max(handed, upto));
      handed = Math.max(handed, upto);
      return { ...ready, messages: ready.messages.map(told), committed };
    },
  });
}
