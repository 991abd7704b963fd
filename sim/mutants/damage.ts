/** Mutants of how a member with damaged storage is dealt with (docs/design/storage-faults.md). */
import { consensus, type Mutant } from './mutant.ts';

export const damage_mutants: readonly Mutant[] = [
  {
    name: 'damaged-member-votes',
    danger: 'It helps somebody into the lead who lacks what it had acknowledged before the damage.',
    simulator: 'scenes',
    edits: [
      consensus('election', 'if (s.listensOnly) {', 'if (s.now < 0) {'),
      consensus(
        'election',
        's.votes.set(m.from, m.granted && !s.faulty.has(m.from));',
        's.votes.set(m.from, m.granted);',
      ),
    ],
  },
  {
    name: 'damaged-member-counted',
    danger: 'An entry is committed by a copy that the next election does not count.',
    simulator: 'scenes',
    edits: [consensus('replication', '  if (s.faulty.has(id)) return undefined;\n', '')],
  },
  {
    name: 'damaged-member-answers-rounds',
    danger: 'A read is confirmed by a member that no election needs: another may lead without its knowing.',
    simulator: 'scenes',
    edits: [
      consensus(
        'core',
        'if (!s.faulty.has(m.from)) s.lead.rounds.answered(m.from, m.round);',
        's.lead.rounds.answered(m.from, m.round);',
      ),
    ],
  },
];
