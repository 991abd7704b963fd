/** The real core, explored; and that merging, symmetry and the bounds do what they claim. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCore } from '../../src/consensus/core.ts';
import { quiet } from './bounds.ts';
import { type Explored, explore, replay } from './explore.ts';
import { permutations, renamed } from './names.ts';
import { type Scope, scopes, settled } from './scenes.ts';

const prompt = { lazy_sync: false, lazy_apply: false };

function look(scope: Scope, states: number): Explored {
  const { scene, lag } = scope;
  return explore({ createCore, bounds: scope.bounds(2, 3), scene, lag, states, seed: 7, audits: 200 });
}

test('no order of events within the bounds breaks a property of Raft: 24,000 states', () => {
  const marks = new Set<string>();
  let states = 0;
  for (const scope of scopes) {
    const found = look(scope, 3_000);
    assert.equal(
      found.breach,
      null,
      `${scope.name}: ${found.breach?.what}\n${found.breach?.trace.join('\n')}`,
    );
    assert.deepEqual(found.unlike, [], `${scope.name}: states are merged that are not alike`);
    assert.ok(found.audited > 100, `${scope.name}: ${found.audited} merges audited`);
    for (const mark of Object.keys(found.marks)) marks.add(mark);
    states += found.states;
  }
  assert.ok(states >= 24_000, `${states} states`);
  for (const mark of [
    'a joint configuration',
    'entries committed in 2 terms',
    'three logs, no two alike beyond the commit',
    'two leaders, of different terms',
  ]) {
    assert.ok(marks.has(mark), `never reached: ${mark}`);
  }
});

test('a bound that can be exhausted is, with the same states each time', () => {
  const bounds = { ...quiet, max_term: 1, proposals: 1 };
  const once = () =>
    explore({ createCore, bounds, scene: settled, lag: prompt, states: 100_000, seed: 1, audits: 50 });
  const found = once();
  assert.equal(found.breach, null);
  assert.ok(found.complete && found.states > 50, `${found.states} states, complete: ${found.complete}`);
  assert.deepEqual(once(), found);
});

test('a trace replays to where it came from, and a step that is not possible is refused', () => {
  const trace = ['@1 timeout', '@2 pre-vote @1>@2 t1 last 0/0', '@1 pre-vote-reply @2>@1 t1 granted'];
  assert.equal(replay({ createCore, lag: prompt }, trace), null);
  assert.throws(
    () => replay({ createCore, lag: prompt }, [...trace, '@3 sync']),
    /"@3 sync" is not possible here/,
  );
});

test('renaming the members: sets stay sorted, and two renamings that cancel out change nothing', () => {
  const text = 'a @1>@2 {@1@3}\nb {@1@2}&{@1@2@3} @9 @0';
  assert.equal(renamed(text, [2, 3, 1]), 'a @2>@3 {@1@2}\nb {@2@3}&{@1@2@3} @9 @0');
  for (const permutation of permutations) {
    const back = [1, 2, 3].map((id) => permutation.indexOf(id) + 1);
    assert.equal(renamed(renamed(text, permutation), back), text);
  }
});
