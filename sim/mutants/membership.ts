/** Mutants of changes of the configuration. */
import { consensus, type Mutant } from './mutant.ts';

export const membership_mutants: readonly Mutant[] = [
  {
    name: 'joint-commit-by-the-new-half',
    danger: 'The old half still elects a leader by itself, without what the new half committed.',
    simulator: 'scenes',
    edits: [
      consensus(
        'quorum',
        'return Math.min(majorityReached(halves.voters, reached), majorityReached(halves.voters_outgoing, reached));',
        'return majorityReached(halves.voters, reached);',
      ),
    ],
  },
  {
    name: 'joint-commit-by-the-old-half',
    danger: 'The new half may elect a leader by itself as soon as the joint configuration is left.',
    simulator: 'scenes',
    edits: [
      consensus(
        'quorum',
        'return Math.min(majorityReached(halves.voters, reached), majorityReached(halves.voters_outgoing, reached));',
        'return majorityReached(halves.voters_outgoing.length > 0 ? halves.voters_outgoing : halves.voters, reached);',
      ),
    ],
  },
  {
    name: 'joint-vote-by-the-new-half',
    danger: 'The old and the new half each elect a leader.',
    simulator: 'scenes',
    edits: [
      consensus(
        'quorum',
        'const outgoing = majorityVote(halves.voters_outgoing, vote);',
        'const outgoing = incoming;',
      ),
    ],
  },
  {
    name: 'joint-skipped',
    danger: 'Two majorities without a common member: several voters changed at once.',
    simulator: 'raft',
    edits: [
      consensus(
        'membership',
        'if (before.symmetricDifference(draft.voters).size > 1) return refused(too_many);',
        '',
      ),
    ],
  },
  {
    name: 'learner-counted',
    danger: 'Copies on members that never vote make an entry committed that no election protects.',
    simulator: 'scenes',
    edits: [
      consensus(
        'leader',
        'const reached = quorumReached(s.configuration, (id) => matchOf(s, id));',
        'const { voters, learners } = s.configuration;\n  const reached = quorumReached({ ...s.configuration, voters: [...voters, ...learners] }, (id) => matchOf(s, id));',
      ),
    ],
  },
  {
    name: 'configuration-not-rolled-back',
    danger: 'A member counts with voters of a change that never came about.',
    simulator: 'raft',
    edits: [
      consensus(
        'config-history',
        'while (this.#known.length > 1 && this.#newest().index >= first.index) this.#known.pop();',
        '',
      ),
      consensus(
        'config-history',
        'invariant(this.#newest().index < first.index, () => {',
        'invariant(first.index > 0, () => {',
      ),
    ],
  },
  {
    name: 'configuration-in-force-when-committed-only',
    danger:
      'The leader counts by the old voters what it has changed already (etcd’s way, without its other rules).',
    simulator: 'raft',
    edits: [
      consensus('core-state', 'return this.configs.current;', 'return this.configs.committed(this.#commit);'),
    ],
  },
  {
    name: 'change-before-an-own-entry',
    danger:
      'The bug of single-server changes found in 2015: two leaders change one voter each, from the same base.',
    simulator: 'scenes',
    edits: [
      consensus('proposals', 'if (!s.ownTermCommitted) return refused(', 'if (s.term < 0) return refused('),
    ],
  },
  {
    name: 'second-change-before-the-first-is-committed',
    danger: 'Each change alone keeps majorities overlapping, two on top of each other do not.',
    simulator: 'scenes',
    edits: [consensus('proposals', 'if (pending > s.applied)', 'if (pending > s.log.lastIndex)')],
  },
];
