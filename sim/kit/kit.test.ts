import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Knobs } from './knobs.ts';
import { Marks } from './marks.ts';
import { formatSeed, nthSeed, parseSeed } from './seed.ts';
import { Trace } from './trace.ts';

test('draws are a function of the seed, and stay in their ranges', () => {
  const draw = (seed: number) => {
    const knobs = new Knobs(seed);
    return Array.from({ length: 50 }, () => [
      knobs.range(2, 3),
      knobs.integer(4, 6),
      knobs.exponential(10, 50),
      knobs.maybe(0.5, () => 'on', 'off'),
      knobs.pick(['a', 'b', 'c']),
      knobs.shuffle([1, 2, 3]).join(''),
    ]);
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  for (const [range, integer, wait] of draw(9)) {
    assert.ok(Number(range) >= 2 && Number(range) < 3);
    assert.ok([4, 5, 6].includes(Number(integer)));
    assert.ok(Number(wait) >= 0 && Number(wait) <= 50);
  }
  assert.deepEqual([...new Set(draw(1).map((row) => row[1]))].sort(), [4, 5, 6]);
  assert.throws(() => new Knobs(1).pick([]), RangeError);
});

test('a fork leaves the draws of others where they are', () => {
  const after = (asked: number) => {
    const knobs = new Knobs(3);
    const fork = knobs.fork();
    for (let i = 0; i < asked; i++) fork.random();
    return knobs.random();
  };
  assert.equal(after(0), after(9));
});

test('an exponential wait has its mean', () => {
  const knobs = new Knobs(5);
  let sum = 0;
  for (let i = 0; i < 20_000; i++) sum += knobs.exponential(100);
  assert.ok(Math.abs(sum / 20_000 - 100) < 3, String(sum / 20_000));
});

test('marks count what was declared, merge, and show zeros', () => {
  const marks = new Marks(['joint', 'torn', 'never']);
  marks.hit('joint');
  const other = new Marks(['joint', 'torn', 'never']);
  other.hit('joint', 11);
  other.hit('torn');
  marks.merge(other);
  assert.deepEqual(marks.reached, ['joint', 'torn']);
  assert.deepEqual(marks.missed, ['never']);
  assert.equal(marks.table(), '12  joint\n 1  torn\n 0  never');
  assert.throws(() => new Marks<string>(['a']).hit('b'), RangeError);
});

test('a trace hashes every line and keeps the last ones', () => {
  const run = (words: readonly string[], keep: number) => {
    const trace = new Trace(keep);
    words.forEach((word, i) => {
      trace.add(i, 'm1', word);
    });
    return trace;
  };
  const words = ['a', 'b', 'c', 'd', 'e'];
  assert.equal(run(words, 2).hash, run(words, 9).hash);
  assert.notEqual(run(words, 2).hash, run(['x', 'b', 'c', 'd', 'e'], 2).hash);
  assert.notEqual(run(['a', 'b'], 2).hash, run(['a', 'b', 'c'], 2).hash);
  assert.deepEqual(
    run(words, 3)
      .last(9)
      .map((line) => line.trim()),
    ['2 m1 c', '3 m1 d', '4 m1 e'],
  );
  assert.deepEqual(run(['a'], 3).last(9).length, 1);
});

test('seeds are printed as they are read', () => {
  for (const seed of [0, 1, 0x1234, 2 ** 32 - 1]) assert.equal(parseSeed(formatSeed(seed)), seed);
  assert.equal(parseSeed('42'), 42);
  for (const bad of ['', '-1', '0x', '1.5', '4294967296', 'seed'])
    assert.throws(() => parseSeed(bad), RangeError);
  assert.equal(new Set(Array.from({ length: 1000 }, (_, i) => nthSeed(1, i))).size, 1000);
});
