/** Mutants of replication, commitment, reads and proposals. */
import { consensus, type Mutant } from './mutant.ts';

export const replication_mutants: readonly Mutant[] = [
  {
    name: 'append-acknowledged-before-sync',
    danger: 'The leader commits what a power cut takes from a majority.',
    simulator: 'raft',
    edits: [
      consensus(
        'outbox',
        "case 'append-reply':\n        return true;",
        "return true;\n      case 'append-reply':\n        return false;",
      ),
    ],
  },
  {
    name: 'leader-counts-its-unsynced-entry',
    danger: 'An entry is committed that fewer than a majority have on disk.',
    simulator: 'explore',
    edits: [
      consensus(
        'replication',
        'return id === s.id ? s.log.durable : s.lead',
        'return id === s.id ? s.log.lastIndex : s.lead',
      ),
    ],
  },
  {
    name: 'half-of-the-copies-commits',
    danger: 'In a group of an even size the other half elects a leader without the entry.',
    simulator: 'scenes',
    edits: [
      consensus(
        'quorum',
        'descending[Math.floor(voters.length / 2)]',
        'descending[Math.floor((voters.length - 1) / 2)]',
      ),
    ],
  },
  {
    name: 'old-term-committed-by-counting',
    danger:
      'Figure 3.8 of the paper: an entry that a majority has is overwritten by a leader of a term in between.',
    simulator: 'scenes',
    edits: [
      consensus(
        'leader',
        'if (reached <= s.commit || !s.log.matches(reached, s.term)) return;',
        'if (reached <= s.commit) return;',
      ),
    ],
  },
  {
    name: 'conflict-truncates-below-commit',
    danger: 'An append that comes late or twice takes committed entries out of the log.',
    simulator: 'raft',
    edits: [
      consensus(
        'follower',
        'm.entries.find((entry) => isNew(s, entry))',
        'm.entries.find((entry) => isNew(s, entry) || entry.index > 0)',
      ),
      consensus(
        'core-state',
        'invariant(first.index > this.#commit, () => {',
        'invariant(first.index > 0, () => {',
      ),
      consensus(
        'config-history',
        'invariant(this.#newest().index < first.index, () => {',
        'invariant(first.index > 0, () => {',
      ),
    ],
  },
  {
    name: 'repeated-append-cuts-the-tail',
    danger: 'An append that comes twice takes entries away that were acknowledged after it.',
    simulator: 'raft',
    edits: [
      consensus(
        'follower',
        'if (entry.index > s.commit) return known !== entry.term;',
        'if (entry.index > s.commit) return true;',
      ),
    ],
  },
  {
    name: 'previous-term-not-compared',
    danger: 'Entries are put behind others than they follow at the leader: logs that differ count as equal.',
    simulator: 'raft',
    edits: [
      consensus(
        'follower',
        '!s.log.matches(m.prev_index, m.prev_term)',
        's.log.term(m.prev_index) === undefined',
      ),
    ],
  },
  {
    name: 'acknowledges-all-it-has',
    danger: 'A tail that the leader never compared counts as a copy of the leader’s own.',
    simulator: 'raft',
    edits: [
      consensus('follower', 'acknowledge(s, Math.max(last, s.commit));', 'acknowledge(s, s.log.lastIndex);'),
    ],
  },
  {
    name: 'commit-beyond-the-append',
    danger: 'A tail that the leader never compared is taken for committed.',
    simulator: 'raft',
    edits: [
      consensus(
        'follower',
        's.commitTo(Math.min(m.commit, last));',
        's.commitTo(Math.min(m.commit, s.log.lastIndex));',
      ),
    ],
  },
  {
    name: 'heartbeat-commit-not-bounded-by-match',
    danger: 'A follower whose tail differs takes it for committed at the next heartbeat.',
    simulator: 'raft',
    edits: [
      consensus('leader', 'commit: Math.min(progress.match, s.commit),', 'commit: s.commit,'),
      consensus('follower', 's.commitTo(m.commit);', 's.commitTo(Math.min(m.commit, s.log.lastIndex));'),
    ],
  },
  {
    name: 'replaced-write-counts-as-durable',
    danger:
      'The sync of entries that were replaced meanwhile acknowledges those that took their place (ABA).',
    simulator: 'scenes',
    edits: [
      consensus(
        'entry-log',
        'for (const write of this.#writes) write.last = Math.min(write.last, before);',
        '',
      ),
    ],
  },
  {
    name: 'applied-ahead-of-commit',
    danger: 'A machine acts on an entry that is taken back.',
    simulator: 'raft',
    edits: [
      consensus('core-state', 'return Math.min(this.#commit, this.log.durable);', 'return this.log.durable;'),
    ],
  },
  {
    name: 'applied-ahead-of-durable',
    danger: 'The state image gets ahead of the log, and a start finds them apart.',
    simulator: 'raft',
    edits: [
      consensus('core-state', 'return Math.min(this.#commit, this.log.durable);', 'return this.#commit;'),
    ],
  },
  {
    name: 'window-not-released',
    danger: 'After as many appends as the window holds, a follower gets nothing more from this leader.',
    simulator: 'raft',
    edits: [
      consensus(
        'progress',
        'while (this.#inflight[0] !== undefined && this.#inflight[0].last <= index) {',
        'while (this.#inflight[0] !== undefined && this.#inflight[0].last < 0) {',
      ),
    ],
  },
  {
    name: 'read-without-a-round',
    danger: 'A leader that was deposed unawares answers reads from a state that is over.',
    simulator: 'scenes',
    edits: [
      consensus(
        'core',
        'return s.lead.rounds.request({ context, index: s.commit });',
        's.outbox.answer([{ context, index: s.commit }]);\n    return true;',
      ),
    ],
  },
  {
    name: 'read-rides-a-round-that-began-before',
    danger:
      'The answers of that round were given before the read began: another may have led and written in between.',
    simulator: 'scenes',
    edits: [
      consensus(
        'quorum-rounds',
        'this.#waiting.push(read);',
        'if (this.#open.length > 0) this.#riding.push({ ...read, round: this.#begun });\n    else this.#waiting.push(read);',
      ),
    ],
  },
  {
    name: 'read-before-an-own-entry-is-committed',
    danger: 'A new leader does not know yet what its predecessors committed and acknowledged.',
    simulator: 'raft',
    edits: [
      consensus(
        'core',
        "if (s.role !== 'leader' || !s.ownTermCommitted) return false;",
        "if (s.role !== 'leader') return false;",
      ),
    ],
  },
  {
    name: 'unknown-outcome-told-as-refused',
    danger: 'Whoever is told that nothing happened does it again, and then it happens twice.',
    simulator: 'raft',
    edits: [
      consensus(
        'waiting-proposals',
        "lostError('the lead was lost before it was committed', 'unknown', leader)",
        "lostError('the lead was lost before it was committed', 'not-proposed', leader)",
      ),
    ],
  },
];
