import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ascending, leastIndex } from './near-ties.ts';

const never = (index: number): number => assert.fail(`${index} is not to be worked out`);

describe('the least of scores', () => {
  it('is plain where they differ', () => {
    assert.equal(leastIndex([3, 1, 2], never), 1);
    assert.equal(leastIndex([], never), -1);
    assert.deepEqual([...ascending([3, 1, 2], never)], [1, 2, 0]);
  });

  it('is the last of those that are equal to the last bit', () => {
    assert.equal(leastIndex([1, 2, 1, 2], never), 2);
    assert.deepEqual([...ascending([1, 2, 1, 2], never)], [2, 0, 3, 1]);
  });

  it('is told by exact values where they are nearer than rounding can tell', () => {
    const scores = [1 + 1e-13, 1, 1 + 2e-13, 2];
    const asked: number[] = [];
    const exact = (index: number): number => {
      asked.push(index);
      return [5, 7, 5, 0][index]!;
    };
    assert.deepEqual([...ascending(scores, exact)], [2, 0, 1, 3]);
    assert.deepEqual(asked.sort(), [0, 1, 2]);
  });

  it('asks one of those that are alike, or each', () => {
    const scores = [1, 1 + 1e-13, 1, 1 + 1e-13];
    const asked: number[] = [];
    const exact = (index: number): number => {
      asked.push(index);
      return [1, 4, 3, 4][index]!;
    };
    assert.equal(leastIndex(scores, exact), 2);
    assert.deepEqual(asked, [2, 3]);
    assert.deepEqual([...ascending(scores, exact, false)], [0, 2, 3, 1]);
  });

  it('is the last where no score is a number', () => {
    assert.equal(
      leastIndex([Number.NaN, Number.NaN], () => Number.NaN),
      1,
    );
  });
});
