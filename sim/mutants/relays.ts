/** Mutants of relays (docs/design/relays.md). */
import { consensus, type Mutant } from './mutant.ts';

export const relay_mutants: readonly Mutant[] = [
  {
    name: 'relay-forwards-what-is-not-committed',
    danger: 'A learner acknowledges entries that are replaced later, and its relay never hears of that.',
    simulator: 'raft',
    edits: [
      consensus(
        'relay',
        "if (progress.next > s.commit + 1) return false;\n  return progress.state === 'probe' || progress.next <= s.commit;",
        "if (progress.next > s.log.lastIndex + 1) return false;\n  return progress.state === 'probe' || progress.next <= s.log.lastIndex;",
      ),
      consensus('relay', 'if (prev_index > s.commit) return;', ''),
      consensus(
        'relay',
        's.log.slice(progress.next, s.commit,',
        's.log.slice(progress.next, s.log.lastIndex,',
      ),
    ],
  },
  {
    name: 'reported-match-counted',
    danger: 'An entry is committed by the word of a relay: nobody but its holder knows what is on its disk.',
    simulator: 'scenes',
    edits: [consensus('relay-plan', '  own.reported = known.match;\n', '  own.acknowledged(known.match);\n')],
  },
];
