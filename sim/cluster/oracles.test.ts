/** The oracles of leases, jobs and harm see what they are there for, and leave alone what is right. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_ha, scaled_ha } from '../../src/config/defaults.ts';
import type { Job } from '../../src/config/model.ts';
import { HarmOracle } from './oracles-harm.ts';
import { doneAgain, jobTwice, notUndone } from './oracles-jobs.ts';
import { LeaseOracles } from './oracles-leases.ts';

function made<T>(make: (fail: (what: string) => void) => T): { oracle: T; breaches: string[] } {
  const breaches: string[] = [];
  return { oracle: make((what) => breaches.push(what)), breaches };
}

test('a keeper that is told of another end than was granted; grants of an earlier boot', () => {
  const { oracle, breaches } = made((fail) => new LeaseOracles(fail));
  oracle.booted('a');
  oracle.granted('a', { term: 1, sent_at_ms: 1_000, lease_ms: 10_000 }, 1);
  oracle.granted('a', { term: 1, sent_at_ms: 2_000, lease_ms: 10_000 }, 1);
  oracle.leased('a', 11_000);
  oracle.leased('a', 12_000);
  assert.equal(breaches.length, 0);
  oracle.leased('a', 12_500);
  assert.equal(breaches.length, 1);
  oracle.booted('a');
  oracle.leased('a', 12_000);
  assert.equal(breaches.length, 2);
});

test('a lease granted by a leader of an earlier term, for a renewal sent when a later one was elected', () => {
  const { oracle, breaches } = made((fail) => new LeaseOracles(fail));
  const grant = (term: number) => ({ term, sent_at_ms: 1_000, lease_ms: 10_000 });
  oracle.elected(1, 4);
  const before = oracle.latestTerm(1);
  oracle.elected(1, 5);
  oracle.granted('a', grant(4), before);
  oracle.granted('a', grant(5), oracle.latestTerm(1));
  // In another generation of the cluster terms are others.
  oracle.granted('b', grant(2), oracle.latestTerm(2));
  assert.equal(breaches.length, 0);
  oracle.granted('a', grant(4), oracle.latestTerm(1));
  assert.match(String(breaches), /^O1: a is granted a lease in term 4/);
});

test('a step that has ended and is asked for again', () => {
  const stateOf = (status: string) =>
    ({ get: () => ({ name: 'start', status }) }) as unknown as Parameters<typeof doneAgain>[0];
  const key = { job: 5, op: 0, step: 1, undo: false };
  assert.equal(doneAgain(stateOf('open'), key), null);
  assert.match(String(doneAgain(stateOf('done'), key)), /^O11: step \S+ "start" is done .* it is asked/);
  assert.equal(doneAgain(stateOf('done'), { ...key, undo: true }), null);
  assert.match(String(doneAgain(stateOf('undone'), { ...key, undo: true })), /its undoing is asked/);
});

test('an epoch that is started in a second boot, or on a second host', () => {
  const { oracle, breaches } = made((fail) => new LeaseOracles(fail));
  oracle.booted('a');
  oracle.booted('b');
  oracle.started('a', 'web', 1);
  oracle.started('a', 'web', 1);
  oracle.started('b', 'web', 2);
  oracle.started('b', 'mail', 1);
  assert.equal(breaches.length, 0);
  oracle.started('b', 'web', 1);
  oracle.booted('b');
  oracle.started('b', 'mail', 1);
  assert.deepEqual(
    breaches.map((breach) => breach.slice(0, 3)),
    ['O1:', 'O1:'],
  );
});

test('harm is needless where the leader, or long enough a majority, was in reach', () => {
  const since = { served: 0, quorate: 0, passed_over: 0 };
  const weather = {
    servedMs: () => since.served,
    quorateMs: () => since.quorate,
    passedOverMs: () => since.passed_over,
  };
  const harms = (
    ha: typeof default_ha,
    harm: 'paused' | 'killed',
    served: number,
    quorate: number,
    passed_over = 0,
  ) => {
    const { oracle, breaches } = made((fail) => new HarmOracle(weather, ha, fail));
    Object.assign(since, { served, quorate, passed_over });
    oracle.harmed('a', 'web', harm);
    return breaches.length;
  };
  const counts = [
    harms(default_ha, 'paused', 6_000, 6_000),
    harms(default_ha, 'paused', 12_000, 12_000),
    harms(default_ha, 'killed', 12_000, 12_000),
    harms(default_ha, 'killed', 16_000, 16_000),
    // A new leader a moment ago: it is the lack of one that counts.
    harms(default_ha, 'paused', 100, 14_000),
    harms(default_ha, 'paused', 100, 20_000),
    // Another leads, whose entries do not come here: renewals through others count for T.
    harms(default_ha, 'paused', 0, 24_000, 24_000),
    harms(default_ha, 'paused', 0, 32_000, 32_000),
    // Shorter than an election: it does not outlast one.
    harms(scaled_ha, 'paused', 100, 20_000),
    harms(scaled_ha, 'paused', 9_000, 20_000),
  ];
  assert.deepEqual(counts, [0, 1, 0, 1, 0, 1, 1, 0, 0, 1]);
});

type Given = { id: number; request?: string; op: string; status: string; log?: string };

function state(jobs: readonly Given[], instances: readonly string[]) {
  const tables = {
    jobs: jobs.map(({ id, request = `client-${id}`, op, status, log }) => ({
      id,
      request_id: request,
      ops: [
        {
          input: { OP_ID: op, instance_name: 'web' },
          status,
          log: log === undefined ? [] : [[1, 1, 'warning', log]],
        },
      ],
    })) as unknown as readonly Job[],
    instances: instances.map((name) => ({ name })),
  };
  return { list: (table: keyof typeof tables) => tables[table] } as unknown as Parameters<
    typeof notUndone
  >[0];
}

test('a request that became two jobs', () => {
  const one = { op: 'OP_TEST_DELAY', status: 'success' };
  assert.equal(
    jobTwice(
      state(
        [
          { id: 1, ...one },
          { id: 2, ...one },
        ],
        [],
      ),
    ),
    null,
  ); // prettier-ignore
  const twice = [1, 2].map((id) => ({ id, request: 'client-1', ...one }));
  assert.match(jobTwice(state(twice, [])) ?? '', /^O3: client-1 became job 1 and job 2/);
});

test('an instance that no job which succeeded has made', () => {
  const create = (id: number, status: string, log?: string): Given => ({
    id,
    op: 'OP_INSTANCE_CREATE',
    status,
    ...(log === undefined ? {} : { log }),
  });
  const remove = (id: number, status: string): Given => ({ id, op: 'OP_INSTANCE_REMOVE', status });
  assert.equal(notUndone(state([create(1, 'error'), create(2, 'success')], ['web'])), null);
  assert.equal(notUndone(state([create(1, 'error')], [])), null);
  assert.match(notUndone(state([create(1, 'error')], ['web'])) ?? '', /^O11: instance web/);
  assert.equal(notUndone(state([create(1, 'success'), remove(2, 'error')], ['web'])), null);
  const again = [create(1, 'success'), remove(2, 'success'), create(3, 'canceled')];
  assert.match(notUndone(state(again, ['web'])) ?? '', /^O11/);
  const said = [create(1, 'error', '"add" was not undone: n1 is lost')];
  assert.equal(notUndone(state(said, ['web'])), null);
});
