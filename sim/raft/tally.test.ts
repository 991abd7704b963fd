import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Marks } from '../kit/marks.ts';
import { fault_names, mark_names } from './marks.ts';
import type { RunResult } from './run.ts';
import { rates, Tally } from './tally.ts';

function result(): RunResult {
  const marks = new Marks(mark_names);
  const faults = new Marks(fault_names);
  marks.hit('vote split', 3);
  faults.hit('bit rot', 2);
  const operations = { ok: 5, failed: 6, unknown: 7 };
  const rest = { trace_hash: '', recovery_ms: 1, peak_in_flight: 1 };
  return { seed: 1, virtual_ms: 1000, events: 4, marks, faults, operations, committed: 8, terms: 9, ...rest };
}

test('a tally adds runs up, and goes on where its text ended', () => {
  const tally = new Tally(7, 60_000);
  tally.add(result());
  tally.breaches.push(12);
  const again = Tally.of(tally.toText());
  again.add(result());
  assert.equal(again.base, 7);
  assert.equal(again.ms, 60_000);
  assert.deepEqual(again.breaches, [12]);
  assert.equal(again.sum.virtual_ms, 2000);
  assert.equal(again.sum.unknown, 14);
  assert.equal(again.marks.count('vote split'), 6);
  assert.equal(again.faults.count('bit rot'), 4);
});

test('what is no tally is an error', () => {
  const whole = new Tally(7, 60_000).toText();
  for (const bad of [
    '',
    '[]',
    'null',
    '{}',
    whole.slice(0, -20),
    whole.replace('"version": 1', '"version": 2'),
  ])
    assert.throws(() => Tally.of(bad), `${bad.slice(0, 20)}`);
  assert.throws(() => Tally.of(whole.replace('"events": 0', '"events": "0"')), /events/);
});

test('rates say what is too rare for a budget', () => {
  const marks = new Marks(['often', 'seldom']);
  marks.hit('often', 60);
  marks.hit('seldom', 1);
  const table = rates(['often', 'seldom'], marks, { virtual_ms: 3_600_000, wall_ms: 60_000 }, 600);
  assert.match(table, / 60 +60 +600 {2}often$/m);
  assert.match(table, / 1 +1\.0 +10 {2}seldom {2}\(rare\)$/m);
});
