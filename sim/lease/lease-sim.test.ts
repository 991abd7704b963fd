/**
 * The lease, fence and repair rules together, over random histories of cuts, freezes, deaths, reboots and elections:
 * no protected instance ever runs twice. And each rule left out shows, or this test would prove nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubleRuns } from '../../src/node/ha/oracle.ts';
import { runHistory } from './run-history.ts';
import type { Variant } from './world.ts';

const histories = 2000;
/** A mutant that survives this many is not caught. */
const mutant_histories = 4000;

test(`no double run in ${histories} histories, and the rare states are reached`, () => {
  const reached = new Map<string, number>();
  for (let seed = 1; seed <= histories; seed += 1) {
    const { events, marks } = runHistory(seed, 'none');
    for (const [name, count] of marks) reached.set(name, (reached.get(name) ?? 0) + count);
    assert.deepEqual(
      doubleRuns(events),
      [],
      `seed ${seed}: runHistory(${seed}, 'none', console.log) replays it`,
    );
  }
  const rare = [
    'keeper killed',
    'keeper froze',
    'keeper thawed',
    'keeper frozen',
    'resumed',
    'failover by horizon',
    'failover by boot',
    'reboot',
    'adopted',
    'storm',
  ];
  for (const name of rare)
    assert.ok((reached.get(name) ?? 0) >= 50, `'${name}' was reached ${reached.get(name) ?? 0} times`);
});

test('the same seed gives the same history', () => {
  assert.deepEqual(runHistory(7, 'none'), runHistory(7, 'none'));
});

const mutants: readonly Exclude<Variant, 'none'>[] = [
  'grant-without-round',
  'lease-from-reply',
  'new-leader-does-not-wait',
  'short-wait',
  'index-not-applied',
  'grant-while-loss-proposed',
  'epoch-survives-reboot',
];

for (const mutant of mutants) {
  test(`caught: ${mutant}`, () => {
    for (let seed = 1; seed <= mutant_histories; seed += 1) {
      if (doubleRuns(runHistory(seed, mutant).events).length > 0) return;
    }
    assert.fail(`${mutant} survived ${mutant_histories} histories`);
  });
}
