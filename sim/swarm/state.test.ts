import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nthSeed } from '../kit/seed.ts';
import { formatSeconds, parseSeconds } from './duration.ts';
import { emptyState, give, type SeedDone, type SwarmState, seedBroke, seedDone } from './state.ts';
import { swarmSummary } from './summary.ts';

const settings = { nodes: null, minutes: 10, protection_changes: false, shape: null };
const done: SeedDone = {
  simulated_s: 600,
  events: 10,
  jobs: 3,
  repeated: false,
  marks: { 'fault: x': 2, y: 1 },
};

test('every seed is given once, and what a stop left open is given again before a new one', () => {
  let state: SwarmState = emptyState(7, settings);
  const running = new Set<number>();
  const take = () => {
    const found = give(state, running);
    state = found.state;
    running.add(found.given.nth);
    return found.given;
  };
  assert.deepEqual([take().nth, take().nth, take().nth], [0, 1, 2]);
  state = seedDone(state, 1, 'abc', done);
  // A stop: it is read back from a file, and nothing runs.
  state = JSON.parse(JSON.stringify(state)) as SwarmState;
  running.clear();
  const after = [take(), take(), take()];
  assert.deepEqual(
    after.map(({ nth }) => nth),
    [0, 2, 3],
  );
  assert.deepEqual(
    after.map(({ seed }) => seed),
    [0, 2, 3].map((nth) => nthSeed(7, nth)),
  );
});

test('one seed in a hundred is run twice, the first among them', () => {
  let state = emptyState(1, settings);
  let twice = 0;
  for (let nth = 0; nth < 1000; nth += 1) {
    const found = give(state, new Set());
    state = seedDone(found.state, nth, 'abc', { ...done, repeated: found.given.twice });
    if (found.given.twice) twice += 1;
    if (nth === 0) assert.equal(twice, 1);
  }
  assert.equal(twice, 10);
  assert.equal(state.repeated, 10);
});

test('the account sums up, by commit, and does not say that rules held when one broke, or nothing ran', () => {
  let state = emptyState(1, settings);
  const words = (of: SwarmState) => swarmSummary(of, ['fault: x', 'fault: never', 'y', 'rare']).join('\n');
  assert.match(words(state), /nothing was run to its end/);
  state = seedDone(state, 0, 'abc', done);
  state = seedDone(state, 1, 'def', done);
  assert.match(words(state), /oracles: all held/);
  assert.match(words(state), /4 {2}x/);
  assert.match(words(state), /0 {2}never/);
  assert.match(words(state), /0 {2}rare/);
  assert.match(words(state), /0\.33 simulated hours/);
  state = seedBroke(state, 2, 'def', 'O1: twice');
  assert.match(words(state), /1 seeds broke a rule/);
  assert.doesNotMatch(words(state), /all held/);
  assert.deepEqual(state.commits, { abc: 1, def: 2 });
  assert.equal(state.breaches[0]?.seed, nthSeed(1, 2));
});

test('durations', () => {
  assert.deepEqual(
    ['90', '90s', '30m', '2h', '1h30m', '1.5h', '0'].map(parseSeconds),
    [90, 90, 1800, 7200, 5400, 5400, 0],
  );
  for (const bad of ['', 'h', '2x', '-1', '1h 30m']) assert.throws(() => parseSeconds(bad), RangeError);
  assert.deepEqual([12.34, 200, 7500].map(formatSeconds), ['12.3 s', '3 min 20 s', '2 h 05 min']);
});
