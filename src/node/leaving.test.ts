// How a host learns that it is in no cluster any more, and what is said of the job and the console that go with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job } from '../config/model.ts';
import { createState } from '../config/state.ts';
import { init } from '../config/test-fixtures.ts';
import { checkLocalConsole } from './console.ts';
import { endWithCluster, isDestroyed } from './destroyed.ts';
import { RpcError } from './mesh-types.ts';
import { tellRemoved } from './tell-removed.ts';
import { createTestEnv } from './test-env.ts';

test('a destroyed cluster is told from one that has yet to arrive', () => {
  const state = createState();
  assert.equal(isDestroyed(state), false, 'nothing arrived yet');
  assert.equal(state.apply(1, init).ok, true);
  assert.equal(isDestroyed(state), false);
  assert.equal(state.apply(2, { type: 'cluster-destroy', time: 1 }).ok, true);
  assert.equal(isDestroyed(state), true);
});

test('the job that destroyed its cluster has ended well; nothing is said of any other', () => {
  const op = (OP_ID: string, status: string) => ({ input: { OP_ID }, status, end_timestamp: null });
  const job = (...ops: readonly object[]) =>
    ({ id: 7, status: 'running', end_timestamp: null, ops }) as unknown as Job;
  const ended = endWithCluster(job(op('OP_CLUSTER_DESTROY', 'running')), 12);
  assert.deepEqual(
    [ended?.status, ended?.end_timestamp, ended?.ops[0]?.status, ended?.ops[0]?.end_timestamp],
    ['success', 12, 'success', 12],
  );
  for (const other of [
    job(op('OP_TEST_DELAY', 'running')),
    job(op('OP_CLUSTER_DESTROY', 'running'), op('OP_TEST_DELAY', 'queued')),
    job(op('OP_TEST_DELAY', 'queued'), op('OP_CLUSTER_DESTROY', 'queued')),
  ])
    assert.equal(endWithCluster(other, 12), null);
});

test('a removed member is told again until it hears, and not for ever', async () => {
  const env = createTestEnv();
  let calls = 0;
  const mesh = (deaf: number) => ({
    call: () => {
      calls += 1;
      return calls <= deaf
        ? Promise.reject(new RpcError('internal', 'only the leader'))
        : Promise.resolve(null);
    },
  });
  let told = false;
  const heard = tellRemoved({ env, mesh: mesh(2) }, 3).then(() => {
    told = true;
  });
  await env.advance(399);
  assert.equal(told, false);
  await env.advance(1);
  await heard;
  assert.equal(calls, 3);

  calls = 0;
  const given_up = tellRemoved({ env, mesh: mesh(Number.POSITIVE_INFINITY) }, 3);
  await env.advance(5_000);
  await given_up;
  assert.ok(calls >= 10 && calls <= 20, `${calls} calls`);
  assert.equal(env.timers, 0);
});

test('a console is promised only for a guest that runs here', async () => {
  const env = createTestEnv();
  const unix = { kind: 'unix', path: '/nonexistent', message: '' } as const;
  const driver = (
    kind: typeof unix | { kind: 'none'; path: ''; message: string },
    names: readonly string[],
  ) => ({
    console: () => kind,
    list: () => Promise.resolve(names.map((name) => ({ name }) as never)),
  });
  await checkLocalConsole(env, driver(unix, ['db', 'web']), 'web');
  await assert.rejects(checkLocalConsole(env, driver(unix, ['db']), 'web'), /web does not run there/);
  const none = driver({ kind: 'none', path: '', message: 'it is a fake one' }, ['web']);
  await assert.rejects(checkLocalConsole(env, none, 'web'), /it is a fake one/);
  const hangs = { console: () => unix, list: () => new Promise<never>(() => undefined) };
  const late = assert.rejects(checkLocalConsole(env, hangs, 'web'), /listing guests took more than 5000 ms/);
  await env.advance(5_000);
  await late;
  assert.equal(env.timers, 0);
});
