import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Marks } from '../kit/marks.ts';
import { nthSeed } from '../kit/seed.ts';
import { fault_names, mark_names } from './marks.ts';
import { runSeed } from './run.ts';

const ms = 30_000;
const runs = 20;
/** Reached somewhere in the runs below: a swarm that gets nowhere near trouble proves nothing. */
const least_marks = 22;

async function swarm() {
  const marks = new Marks(mark_names);
  const faults = new Marks(fault_names);
  let ok = 0;
  for (let nth = 0; nth < runs; nth++) {
    const result = await runSeed(nthSeed(0x5eed, nth), { ms });
    marks.merge(result.marks);
    faults.merge(result.faults);
    ok += result.operations.ok;
  }
  return { marks, faults, ok };
}

async function hashes() {
  const seed = nthSeed(0x5eed, 3);
  const hash = async (of: number) => (await runSeed(of, { ms: 15_000 })).trace_hash;
  return { first: await hash(seed), again: await hash(seed), other: await hash(seed + 1) };
}

// Before the first test begins: from then on the runner follows every promise, which makes these runs many times slower.
const [swarmed, hashed] = await Promise.allSettled([swarm(), hashes()]);

test(`${runs} runs of ${ms / 1000} s under faults keep every promise and come together again`, () => {
  if (swarmed.status === 'rejected') throw swarmed.reason;
  const { marks, faults, ok } = swarmed.value;
  assert.ok(
    marks.reached.length >= least_marks,
    `reached ${marks.reached.length}, missed: ${marks.missed.join('; ')}`,
  );
  assert.ok(faults.missed.length <= 4, `not delivered: ${faults.missed.join('; ')}`);
  for (const name of ['learner fed by a relay', 'relay lost', 'relayed learner promoted'] as const)
    assert.ok(marks.count(name) > 0, `never: ${name}`);
  assert.ok(ok > 1000, `${ok} operations succeeded`);
});

test('the same seed is the same run, another seed another', () => {
  if (hashed.status === 'rejected') throw hashed.reason;
  const { first, again, other } = hashed.value;
  assert.equal(again, first);
  assert.notEqual(other, first);
});
