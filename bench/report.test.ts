import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Measurement } from './figure.ts';
import { measureSeries } from './measure.ts';
import { jsonLine, table, verdict } from './report.ts';
import { median, spread } from './stats.ts';

const measurement: Measurement = {
  name: 'x/y',
  unit: 'ms',
  values: [30, 10, 500],
  load1: [0.5, 1.25],
  goal: { kind: 'below', value: 30 },
  note: 'a note',
};

test('the median is the middle value, or the mean of the middle two', () => {
  assert.equal(median([3]), 3);
  assert.equal(median([30, 10, 500]), 30);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  // As numbers, not as text.
  assert.equal(median([9, 10, 100]), 10);
  assert.throws(() => median([]), /no values/);
  assert.deepEqual(spread([2, 8, 5]), { count: 3, median: 5, min: 2, max: 8 });
});

test('a goal is judged by the median: below excludes the bound, at least includes it', () => {
  assert.equal(verdict(measurement), 'MISSED');
  assert.equal(verdict({ ...measurement, values: [29.9, 10, 500] }), 'met');
  assert.equal(verdict({ values: [5], goal: { kind: 'at-least', value: 5 } }), 'met');
  assert.equal(verdict({ values: [4.99], goal: { kind: 'at-least', value: 5 } }), 'MISSED');
  assert.equal(verdict({ values: [1], goal: null }), '');
});

test('the table has a line for each measurement, aligned under its head', () => {
  const [head = '', row = '', ...rest] = table([measurement]);
  assert.equal(rest.length, 0);
  assert.match(row, /^x\/y +3 +30 +10 +500 +ms +< 30 ms +MISSED +0\.5-1\.3 +a note$/);
  assert.equal(head.indexOf('goal'), row.indexOf('< 30'));
});

test('a JSON line has every value in the order of the trials', () => {
  const parsed = JSON.parse(jsonLine({ ...measurement, values: [1.23456, 1] })) as Record<string, unknown>;
  assert.deepEqual(parsed.values, [1.235, 1]);
  assert.equal(parsed.verdict, 'met');
  assert.equal(parsed.median, (1.23456 + 1) / 2);
});

test('a series hands over what was measured, and nothing cannot be handed over', () => {
  const emitted: Measurement[] = [];
  const context = { emit: (one: Measurement) => void emitted.push(one) };
  const times = measureSeries(context, 'a', 'ms');
  assert.throws(() => times.emit(), /no values/);
  assert.equal(emitted.length, 0);
  times.add(2);
  times.add(4);
  assert.equal(times.emit('why'), 3);
  assert.deepEqual([emitted[0]?.values, emitted[0]?.note], [[2, 4], 'why']);
});
