/**
 * A few fixed seeds of the cluster simulator, and its own foundations: the same seed gives the same run, and oracles
 * see what they are there for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Oracles } from './oracles.ts';
import { runSeed } from './run-seed.ts';
import { VirtualTime } from './virtual-time.ts';

const turn = (next: () => void) => void setImmediate(next);

test('the same seed gives the same run, to the last line', async () => {
  const run = (seed: number) => runSeed({ seed, nodes: 3, minutes: 1, protection_changes: false, turn });
  const first = await run(11);
  const second = await run(11);
  assert.equal(first.hash, second.hash);
  assert.equal(first.lines, second.lines);
  assert.equal(first.events, second.events);
  assert.notEqual((await run(12)).hash, first.hash);
});

for (const [seed, nodes] of [
  [1, 3],
  [2, 4],
  [3, 5],
  [4, 7],
] as const) {
  test(`seed ${seed}: ${nodes} hosts under load and faults hold what they must, and converge`, async () => {
    const { jobs } = await runSeed({ seed, nodes, minutes: 2, protection_changes: false, turn });
    assert.ok(jobs > 5, `${jobs} jobs`);
  });
}

test('timers come in order of time, then of making; canceled ones not at all; promises settle in between', async () => {
  const time = new VirtualTime(turn);
  const seen: string[] = [];
  const say = (what: string) => () => {
    seen.push(what);
    void Promise.resolve()
      .then(() => undefined)
      .then(() => seen.push(`${what}+`));
  };
  time.after(5, say('c'));
  time.after(2, say('a'));
  time.after(2, say('b'));
  time.after(3, say('never'))();
  for (let i = 0; i < 200; i += 1) time.after(10 + ((i * 37) % 100), () => seen.push(`${time.now_ms}`));
  assert.equal(await time.run(1000), false);
  assert.deepEqual(seen.slice(0, 6), ['a', 'a+', 'b', 'b+', 'c', 'c+']);
  const rest = seen.slice(6).map(Number);
  assert.equal(rest.length, 200);
  assert.deepEqual(
    rest,
    rest.toSorted((a, b) => a - b),
  );
  assert.equal(time.now_ms, 1000);
});

test('oracles: an instance that runs twice, a job promised twice, an address that stays on two hosts', async () => {
  const time = new VirtualTime(turn);
  const breaches: string[] = [];
  const oracles = new Oracles(time, (what) => breaches.push(what));
  oracles.runs('a', 'web', true);
  oracles.runs('a', 'web', false);
  oracles.runs('b', 'web', true);
  oracles.jobAcknowledged(1, 'x');
  oracles.jobAcknowledged(1, 'x');
  oracles.address('a', true);
  oracles.address('b', true);
  await time.run(1000);
  oracles.address('a', false);
  await time.run(10_000);
  assert.equal(breaches.length, 0, breaches.join());
  oracles.runs('a', 'web', true);
  oracles.jobAcknowledged(1, 'y');
  oracles.address('a', true);
  await time.run(10_000);
  assert.deepEqual(
    breaches.map((breach) => breach.slice(0, 2)),
    ['O1', 'O3', 'O4'],
  );
});
