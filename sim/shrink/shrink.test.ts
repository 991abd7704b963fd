/** Delta debugging finds the pair that matters, in a list and in a simulated cluster with an oracle made for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TimedAct } from '../cluster/acts.ts';
import { playScenario } from '../scenarios/play.ts';
import { type Candidate, signatureOf, toScenario } from './candidate.ts';
import { ddmin } from './ddmin.ts';
import { shrink } from './shrink.ts';

const turn = (next: () => void) => void setImmediate(next);

test('ddmin: what is left fails, and fails no more without any one item', async () => {
  const items = Array.from({ length: 60 }, (_, nth) => nth);
  for (const needed of [[], [17], [3, 41], [0, 29, 30, 59], items]) {
    let runs = 0;
    const found = await ddmin(items, async (some) => {
      runs += 1;
      return needed.every((item) => some.includes(item));
    });
    assert.deepEqual(found, needed);
    // The paper's worst case is n² + 3n tests.
    assert.ok(runs <= 60 * 60 + 180, `${runs} runs`);
  }
});

test('ddmin: 1-minimal where any three of five do', async () => {
  const odd = [1, 3, 5, 7, 9];
  const fails = async (some: readonly number[]) => some.filter((item) => odd.includes(item)).length >= 3;
  const found = await ddmin([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], fails);
  assert.equal(found.length, 3);
  assert.ok(await fails(found));
});

test('failures of one rule are told apart from those of another, whatever their names and times', () => {
  const same = [
    'O8: not converged in 420 s: instance i1 is down on n1 and runs on [n1]',
    'O8: not converged in 150 s: instance i3 is down on n4 and runs on []',
  ];
  assert.equal(new Set(same.map(signatureOf)).size, 1);
  assert.notEqual(signatureOf('O8: not converged in 420 s: no leader'), signatureOf(same[0]!));
  assert.equal(signatureOf('O1: instance x runs on n1 (at 7 ms)'), signatureOf('O1: epoch 3 of y (at 9 ms)'));
  assert.notEqual(signatureOf('O1: x'), signatureOf('O12: x'));
  const left = (uuid: string) =>
    signatureOf(`O8: not converged in 420 s: O12: /srv/i3/${uuid} is left on n2`);
  assert.equal(left('1361a862-a486-4bbf-8b08-07e6f183a9f8'), left('a961a862-a486-4bbf-9b08-0fe6f183a9ff'));
});

const others: readonly TimedAct[] = [
  { at_ms: 0, act: { do: 'submit', request: 'client-1', ops: [{ OP_ID: 'OP_CLUSTER_VERIFY' }] } },
  { at_ms: 1_510, act: { do: 'cut', ways: 'n1>n4' } },
  { at_ms: 2_003, act: { do: 'freeze-agent', host: 'n3', ms: 700 } },
  { at_ms: 4_444, act: { do: 'heal', ways: 'n1>n4' } },
  { at_ms: 5_001, act: { do: 'submit', request: 'client-3', ops: [{ OP_ID: 'OP_CLUSTER_VERIFY' }] } },
  { at_ms: 5_077, act: { do: 'slow-disk', host: 'n1', times: 3 } },
  { at_ms: 6_000, act: { do: 'join' } },
  { at_ms: 8_222, act: { do: 'kill-agent', host: 'n4' } },
];
const pair: readonly TimedAct[] = [
  { at_ms: 3_456, act: { do: 'power-off', host: 'n2' } },
  { at_ms: 7_654, act: { do: 'submit', request: 'client-2', ops: [{ OP_ID: 'OP_CLUSTER_VERIFY' }] } },
];
const calm = {
  sync_ms: 1,
  pipe_ms: 0.1,
  deaf_guests: 0,
  mute_monitors: 0,
  master_ip_fails: 0,
  master_ip_hangs: 0,
  os_fails: 0,
  start_fails: 0,
};
const first: Candidate = {
  cluster: {
    seed: 5,
    nodes: 4,
    lease: 'scaled',
    drift: 0,
    candidate_pool_size: 5,
    delays: { least_ms: 0.1, mean_ms: 0.3 },
    habits: calm,
  },
  acts: [...others, ...pair].toSorted((a, b) => a.at_ms - b.at_ms),
  end_ms: 10_000,
  heal: false,
};

test('a cluster in which two events may not meet: they are what is left, with fewer hosts and round times', async () => {
  const judge = async (candidate: Candidate) => {
    const { log, failure } = await playScenario(toScenario(candidate), turn);
    assert.equal(failure, null);
    const at = (text: string) => log.findIndex((line) => line.text.startsWith(text));
    const lost = at('> power-off n2');
    return lost >= 0 && at('> submit client-2') > lost ? 'O99: the two have met' : null;
  };
  const options = { judge, enough: () => false, say: () => undefined };
  const { best, failure, runs } = await shrink(first, 'O99: elsewhere', options);
  assert.deepEqual(
    best.acts.map(({ act }) => act),
    pair.map(({ act }) => act),
  );
  assert.deepEqual(
    best.acts.map(({ at_ms }) => at_ms),
    [3_000, 8_000],
  );
  assert.equal(best.cluster.nodes, 1);
  assert.equal(best.end_ms, 8_000);
  assert.equal(failure, 'O99: the two have met');
  assert.ok(runs < 150, `${runs} runs`);
  await assert.rejects(shrink(first, 'O1: another', options), /do not break "O1: another"/);
});

test('time that is over ends it with the best so far', async () => {
  let left = 4;
  const judge = async (candidate: Candidate) => (candidate.acts.length >= 2 ? 'O9: x' : null);
  const { best } = await shrink(first, 'O9: x', {
    judge,
    enough: () => {
      left -= 1;
      return left < 0;
    },
    say: () => undefined,
  });
  assert.ok(best.acts.length >= 2 && best.acts.length < first.acts.length, `${best.acts.length} acts`);
});
