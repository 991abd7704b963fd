/** A run is its acts: recorded and played again they give the same run, to the last line of its trace. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TimedAct } from './acts.ts';
import { runSeed } from './run-seed.ts';

const turn = (next: () => void) => void setImmediate(next);

// Seeds in which no act meets an operation on a register in the same millisecond: which of the two comes first is not kept.
for (const [seed, nodes] of [
  [21, 3],
  [24, 4],
] as const) {
  test(`seed ${seed}: what was recorded, through JSON and back, gives the same run`, async () => {
    const options = { seed, nodes, minutes: 3, protection_changes: false, turn };
    const acts: TimedAct[] = [];
    const first = await runSeed({ ...options, record: (timed) => acts.push(timed) });
    const play = JSON.parse(JSON.stringify(acts)) as TimedAct[];
    const second = await runSeed({ ...options, play });
    assert.equal(second.hash, first.hash);
    const kinds = new Set(acts.map(({ act }) => act.do));
    assert.ok(kinds.size >= 5, [...kinds].join());
    const without = await runSeed({ ...options, play: play.filter((_, nth) => nth % 2 === 0) });
    assert.notEqual(without.hash, first.hash);
  });
}
