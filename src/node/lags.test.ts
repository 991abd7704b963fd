import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberProgress } from '../consensus/types.ts';
import { lagsOf } from './lags.ts';

test('a lag is counted from what is committed; who was never heard, or is damaged, has none', () => {
  const of = (id: number, match: number, faulty = false): MemberProgress => {
    return { id, match, state: 'replicate', learner: true, active: true, faulty };
  };
  const progress = [of(1, 12), of(2, 10), of(3, 4), of(4, 0), of(5, 9, true)];
  assert.deepEqual(
    [...lagsOf(10, progress)],
    [
      [1, 0],
      [2, 0],
      [3, 6],
    ],
  );
});
