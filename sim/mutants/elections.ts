/** Mutants of elections, terms and votes. */
import { consensus, type Mutant } from './mutant.ts';

export const election_mutants: readonly Mutant[] = [
  {
    name: 'vote-answered-before-sync',
    danger:
      'A voter that loses power forgets a vote that a leader was elected with, and elects a second one.',
    simulator: 'raft',
    edits: [
      consensus(
        'outbox',
        "case 'vote-reply':\n      case 'append-reply':",
        "case 'vote-reply':\n        return false;\n      case 'append-reply':",
      ),
    ],
  },
  {
    name: 'own-vote-counted-before-sync',
    danger: 'A candidate leads on a vote of its own that a power cut takes back.',
    simulator: 'explore',
    edits: [
      consensus(
        'election',
        's.votes.clear();\n  ask(s, false, transfer);',
        's.votes.clear();\n  if (!isLoneVoter(s.configuration, s.id)) s.votes.set(s.id, true);\n  ask(s, false, transfer);',
      ),
      consensus(
        'election',
        'const { term, vote } = s.outbox.durable;',
        'const { term, vote } = s.hard_state;',
      ),
      consensus(
        'outbox',
        'return message.pre ? message.term - 1 > this.#durable.term : true;',
        'return false;',
      ),
      consensus(
        'leader',
        'invariant(s.outbox.durable.term === s.term && s.outbox.durable.vote === s.id, () => {',
        'invariant(s.vote === s.id, () => {',
      ),
    ],
  },
  {
    name: 'voted-twice-in-a-term',
    danger: 'Two candidates get a majority in the same term.',
    simulator: 'raft',
    edits: [
      consensus(
        'election',
        'const free = m.term > s.term || s.vote === m.from || (s.vote === 0 && s.leader === 0);',
        'const free = true;',
      ),
      consensus(
        'core-state',
        'invariant(this.#vote === 0 || this.#vote === id, () => {',
        'invariant(id > 0, () => {',
      ),
      consensus(
        'log-store',
        'if (after.term < before.term || changed_vote) {',
        'if (after.term < before.term) {',
      ),
    ],
  },
  {
    name: 'vote-forgotten-at-restart',
    danger: 'Two leaders of one term: the member votes again in a term in which it has voted.',
    simulator: 'scenes',
    edits: [
      consensus('core-state', 'this.#vote = behind ? 0 : hard_state.vote;', 'this.#vote = 0;'),
      consensus(
        'log-store',
        'if (after.term < before.term || changed_vote) {',
        'if (after.term < before.term) {',
      ),
    ],
  },
  {
    name: 'term-not-raised-on-restart',
    danger: 'A member whose image is of a newer term than its log takes part in terms that are over.',
    simulator: 'scenes',
    edits: [
      consensus('replica-start', 'Math.max(hard_state.term, durable.term)', 'hard_state.term'),
      consensus('core-state', 'const behind = snapshot.term > hard_state.term;', 'const behind = false;'),
    ],
  },
  {
    name: 'longest-log-wins-whatever-its-term',
    danger: 'A log of many entries that were never committed beats a shorter one with committed ones.',
    simulator: 'raft',
    edits: [
      consensus(
        'entry-log',
        'return last_term > this.lastTerm || (last_term === this.lastTerm && last_index >= this.lastIndex);',
        'return last_index >= this.lastIndex;',
      ),
    ],
  },
  {
    name: 'half-of-the-votes-elects',
    danger: 'In a group of an even size both halves elect a leader.',
    simulator: 'raft',
    edits: [
      consensus(
        'quorum',
        'const needed = Math.floor(voters.length / 2) + 1;',
        'const needed = Math.ceil(voters.length / 2);',
      ),
    ],
  },
  {
    name: 'pre-vote-spends-the-vote',
    danger: 'A member that may ask only whether it could win takes the votes away from those that can.',
    simulator: 'raft',
    edits: [consensus('election', 'if (granted && !m.pre) {', 'if (granted) {')],
  },
  {
    name: 'pre-vote-rests-the-timer',
    danger: 'Members that ask and ask keep those from campaigning that could win.',
    simulator: 'raft',
    edits: [
      consensus(
        'election',
        'if (granted && !m.pre) {\n    s.voteFor(m.from);',
        'if (granted) {\n    if (!m.pre) s.voteFor(m.from);',
      ),
    ],
  },
  {
    name: 'no-stickiness',
    danger: 'A member that cannot hear a live leader takes the lead from it, again and again.',
    simulator: 'raft',
    edits: [
      consensus('election', 'const loyal = !s.leaderIsLost && s.leader !== m.from;', 'const loyal = false;'),
    ],
  },
  {
    name: 'no-pre-vote',
    danger: 'A member that was cut off comes back with a higher term and ends a lead that everybody follows.',
    simulator: 'raft',
    edits: [
      consensus('election', 'if (transfer || isLoneVoter(s.configuration, s.id)) {', 'if (s.id > 0) {'),
    ],
  },
  {
    name: 'no-check-quorum',
    danger: 'A leader that nobody answers goes on leading: those that hear it never elect another.',
    simulator: 'scenes',
    edits: [
      consensus('leader', 'if (s.now - Math.min(heard_at, s.now) >= election_ticks) {', 'if (s.now < 0) {'),
    ],
  },
  {
    name: 'leads-on-after-standing-still',
    danger: 'A leader that was frozen for longer than an election timeout acts on a lead that is over.',
    simulator: 'raft',
    edits: [consensus('replica', "this.stepDown('it stood still for longer than an election timeout');", '')],
  },
  {
    name: 'stale-timeout-now-obeyed',
    danger: 'A request to campaign that was long under way ends a later leader’s lead without any silence.',
    simulator: 'raft',
    edits: [
      consensus(
        'core',
        "if (m.term === s.term && s.role !== 'leader' && mayCampaign(s)) campaign(s, true);",
        "if (m.term <= s.term && s.role !== 'leader' && mayCampaign(s)) campaign(s, true);",
      ),
    ],
  },
  {
    name: 'lead-relied-on-after-timeout-now',
    danger: 'Whoever asks how old the last quorum round is relies on a lead that another was told to take.',
    simulator: 'raft',
    edits: [
      consensus(
        'core',
        'if (rounds.over_began_at === null || under_way?.told === true) return no_quorum_round;',
        'if (rounds.over_began_at === null) return no_quorum_round;',
      ),
    ],
  },
];
