import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubleRuns, type RunEvent } from './oracle.ts';

const event = (at_ms: number, host: string, runs: boolean, instance = 'web'): RunEvent => ({
  at_ms,
  host,
  instance,
  runs,
});

test('a hand-over without a gap is no double run, one millisecond more is', () => {
  assert.deepEqual(doubleRuns([event(0, 'a', true), event(5, 'a', false), event(5, 'b', true)]), []);
  assert.deepEqual(doubleRuns([event(0, 'a', true), event(4, 'b', true), event(5, 'a', false)]), [
    { instance: 'web', hosts: ['a', 'b'], from_ms: 4, to_ms: 5 },
  ]);
});

test('other instances do not count, repeated reports do not confuse, an open end is told', () => {
  assert.deepEqual(
    doubleRuns([
      event(0, 'a', true),
      event(1, 'b', true, 'db'),
      event(2, 'a', true),
      event(3, 'a', false),
      event(3, 'b', true),
    ]),
    [],
  );
  assert.deepEqual(doubleRuns([event(0, 'a', true), event(2, 'b', true)]), [
    { instance: 'web', hosts: ['a', 'b'], from_ms: 2, to_ms: null },
  ]);
});

test('refuses a list that is not in order of time', () => {
  assert.throws(() => doubleRuns([event(2, 'a', true), event(1, 'a', false)]), /out of order/);
});
