/** What was moved on trial is back, to the last bit, once it is undone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateCluster } from '../../bench/placement/generate.ts';
import {
  clearNonRedundant,
  clearSecondaries,
  migrateOff,
  openTrial,
  type Trial,
  undo,
} from './evacuation.ts';
import { compileRules, type PlacementRules } from './rules.ts';
import { buildTable } from './table.ts';

const moves = fc.array(fc.tuple(fc.nat(2), fc.nat(7), fc.boolean()), { maxLength: 30 });

/** All that a trial is, without the journal's scratch. */
function stateOf({ table, rules, primaries, secondaries, steps }: Trial): object {
  const { journal: _journal, ...rest } = table;
  return structuredClone({ rest, rules, primaries, secondaries, steps });
}

describe('clearing nodes on trial', () => {
  it('undone, it never was', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(fc.nat(1_000), moves, (seed, steps) => {
        const generated = generateCluster({
          nodes: 8,
          instances: 40,
          templates: ['drbd', 'plain', 'rbd'],
          fill: 0.6,
          exclusion: true,
          seed,
        });
        const cluster = {
          ...generated,
          instances: generated.instances.map((one, at) => ({
            ...one,
            tags:
              at % 3 === 0
                ? ['skein:anti-affinity:must:web']
                : at % 7 === 0
                  ? ['skein:affinity:should:web']
                  : [],
          })),
        };
        const compiled = compileRules(cluster);
        const rules: PlacementRules | null = 'rules' in compiled ? compiled.rules : null;
        const trial = openTrial(buildTable(cluster), rules);
        const before = stateOf(trial);
        const nodes = cluster.nodes.map((_, at) => at);
        const away = new Uint8Array(8);
        for (const [kind, node, stays] of steps) {
          const at_first = trial.steps.length;
          const clear = [clearNonRedundant, migrateOff, clearSecondaries][kind]!;
          const state = stateOf(trial);
          const done = clear(trial, node, { nodes, away });
          if (trial.steps.length > at_first) kinds.add(`${clear.name} ${stays}`);
          if (!done) assert.deepEqual(stateOf(trial), state, 'all or nothing');
          else if (stays) away[node] = 1;
          else {
            undo(trial, at_first);
            assert.deepEqual(stateOf(trial), state);
          }
        }
        undo(trial, 0);
        assert.deepEqual(stateOf(trial), before);
      }),
    );
    assert.equal(kinds.size, 6, 'each was done, and was undone');
  });
});
