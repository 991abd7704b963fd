/** Every scenario folder, and that a scenario can fail: by an oracle, an expectation, the log, a misspelt word. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runScenario, scenarioNames } from '../run-scenarios.ts';
import { differences, formatLog, parseLog } from './golden.ts';
import { playScenario } from './play.ts';
import { parseScenario, type ScenarioInput } from './scenario.ts';

const turn = (next: () => void) => void setImmediate(next);

for (const name of scenarioNames())
  test(name, async () => {
    const { wrong } = await runScenario(name, false);
    assert.deepEqual(wrong, []);
  });

const play = (input: Omit<ScenarioInput, 'cluster'>) =>
  playScenario(
    parseScenario(JSON.stringify({ cluster: { nodes: 3, seed: 1 }, instances: { web: 'n2' }, ...input })),
    turn,
  );
const lose = [
  { at_s: 1, act: { do: 'power-off', host: 'n2' } },
  { until: ['web runs on n1|n3'] },
] as const satisfies ScenarioInput['steps'];

test('what was expected and is not, what was never to be and was, a count that is off: each is a failure', async () => {
  const failures = async (input: Omit<ScenarioInput, 'cluster' | 'steps'>) =>
    (await play({ steps: [...lose], ...input })).failure ?? 'held';
  assert.match(await failures({ expect: ['web runs on n2'] }), /expected within 0 s: web runs on n2/);
  assert.match(await failures({ never: ['web runs nowhere'] }), /never was to be: web runs nowhere/);
  assert.match(await failures({ counts: { 'guest started': 1 } }), /came to pass 2 times, not 1/);
  assert.equal(await failures({ counts: { 'guest started': [1, 2] } }), 'held');
});

test('a wait for what does not come to pass ends', async () => {
  const { failure } = await play({ steps: [{ until: ['n3 leads'], within_s: 3 }] });
  assert.match(String(failure), /expected within 3 s: n3 leads/);
});

test('words that mean nothing are errors, not expectations that hold', async () => {
  await assert.rejects(async () => play({ steps: [], expect: ['x'], expected: ['x'] } as never), /expected/);
  assert.match(String((await play({ steps: [], never: ['web rnus on n1'] })).failure), /is no condition/);
  assert.match(String((await play({ steps: [], counts: { 'no such mark': 0 } })).failure), /no such mark/);
});

test('logs: texts and how often count; times and order only when they are far off', () => {
  const log = [
    { at_s: 1, text: 'a' },
    { at_s: 100, text: 'b' },
    { at_s: 101, text: 'c' },
  ];
  assert.deepEqual(parseLog(formatLog(log)), log);
  const near = [log[0]!, { at_s: 104, text: 'c' }, { at_s: 105, text: 'b' }];
  assert.deepEqual(differences(log, near), []);
  assert.deepEqual(differences(log, [...log, log[0]!]), ['+ 1 s  a']);
  assert.deepEqual(differences(log, log.slice(0, 2)), ['- 101 s  c']);
  assert.deepEqual(differences(log, [log[0]!, log[1]!, { at_s: 140, text: 'c' }]), [
    '~ 101 s is now 140 s  c',
  ]);
  assert.throws(() => parseLog('soon a'), /no line of a log/);
});
