import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disk_full_status, fatal_status, initial_restart, nextRestart } from './restart-policy.ts';

function waits(ends: readonly (readonly [number | null, number])[]): (number | null)[] {
  let state = initial_restart;
  return ends.map(([status, lived_ms]) => {
    const decision = nextRestart(state, status, lived_ms);
    state = decision.state;
    return decision.wait_ms;
  });
}

test('0.1 s doubling to 10 s, from the start again after a minute of life', () => {
  assert.deepEqual(
    waits(Array.from({ length: 9 }, () => [1, 50] as const)),
    [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000],
  );
  assert.deepEqual(
    waits([
      [null, 50],
      [null, 50],
      [null, 60_000],
      [null, 50],
    ]),
    [100, 200, 100, 200],
  );
});

test('a fatal failure waits 10 s at once, and the fifth in a row stays down', () => {
  const fatal = [fatal_status, 50] as const;
  assert.deepEqual(waits([fatal, fatal, fatal, fatal, fatal]), [10_000, 10_000, 10_000, 10_000, null]);
  assert.deepEqual(
    waits([fatal, fatal, fatal, fatal, [1, 50], fatal]),
    [10_000, 10_000, 10_000, 10_000, 10_000, 10_000],
  );
  assert.deepEqual(
    waits([fatal, fatal, fatal, fatal, [fatal_status, 60_000], fatal]),
    [10_000, 10_000, 10_000, 10_000, 10_000, 10_000],
  );
});

test('a full disk is tried every 10 s for as long as it takes, and makes no fatal failure of the next one', () => {
  const full = [disk_full_status, 50] as const;
  assert.deepEqual(new Set(waits(Array.from({ length: 50 }, () => full))), new Set([10_000]));
  const fatal = [fatal_status, 50] as const;
  assert.deepEqual(waits([fatal, fatal, fatal, fatal, full, fatal]).at(-1), 10_000);
  assert.deepEqual(waits([full, fatal, fatal, fatal, fatal, fatal]).at(-1), null);
});
