import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Evidence } from '../config/model.ts';
import { createState } from '../config/state.ts';
import { init } from '../config/test-fixtures.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import { direct_placement } from '../ops/placement-desk.ts';
import { RpcError } from './mesh-types.ts';
import { CommandRefused, createOpsPorts, proposeCommand } from './ops-ports.ts';
import { createTestEnv } from './test-env.ts';

const key = { job: 1, op: 0, step: 0, undo: false };
const quiet = () => undefined;

function createRig(answer: (signal: AbortSignal | undefined, attempt: number) => Promise<unknown>) {
  const env = createTestEnv();
  const state = createState();
  assert.ok(state.apply(1, init).ok);
  const rig = { env, calls: [] as unknown[], evidence: null as Evidence | null };
  const ports = createOpsPorts({
    placement: direct_placement,
    env,
    state,
    replica: {} as ReplicaApi,
    mesh: {
      call: (_member, _method, params, options) => {
        rig.calls.push(params);
        return answer(options.signal, rig.calls.length);
      },
    },
    term: 3,
    live: () => undefined,
    evidence: () => rig.evidence,
    barLease: () => quiet,
    memberRemoved: () => Promise.resolve(),
  });
  const abort = new AbortController();
  const call = (node = 'node-1') => ports.call(node, key, 5, 'os.create', {}, quiet, abort.signal);
  return Object.assign(rig, { call, abort });
}

const frozen = (signal: AbortSignal | undefined) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new RpcError('canceled', 'given up')));
  });

test('a call goes on across everything that says nothing of its fate, under one key', async () => {
  const codes = ['unreachable', 'broken', 'timeout', 'busy', 'remote-busy', 'closed'];
  const rig = createRig(async (_signal, attempt) => {
    const code = codes[attempt - 1];
    if (code) throw new RpcError(code, code);
    return 'made';
  });
  const made = rig.call();
  await rig.env.advance(10_000);
  assert.equal(await made, 'made');
  assert.equal(new Set(rig.calls.map((call) => JSON.stringify(call))).size, 1);
  assert.equal(rig.env.timers, 0);
});

test('what the node says ends it: failed, refused, and what nobody expected', async () => {
  for (const [code, expected] of [
    ['failed', 'failed'],
    ['refused', 'refused'],
    ['no-method', 'failed'],
  ] as const) {
    const rig = createRig(() => Promise.reject(new RpcError(code, 'no space')));
    await assert.rejects(rig.call(), { code: expected, message: 'node1: no space' });
    assert.equal(rig.calls.length, 1);
  }
});

test('evidence of its loss ends the wait for a node that hangs; an unknown node is lost', async () => {
  const rig = createRig(frozen);
  const lost = assert.rejects(rig.call(), {
    code: 'node-lost',
    message: /node1 is lost \(horizon: T has passed\)/,
  });
  await rig.env.advance(5_000);
  rig.evidence = { kind: 'horizon', text: 'T has passed' } as Evidence;
  await rig.env.advance(1_100);
  await lost;
  assert.equal(rig.calls.length, 1);
  await assert.rejects(rig.call('node-9'), { code: 'node-lost' });
  assert.equal(rig.env.timers, 0);
});

test('an abort ends the wait at once, also between two attempts', async () => {
  const rig = createRig(frozen);
  const canceled = assert.rejects(rig.call(), { code: 'canceled' });
  await rig.env.advance(10);
  rig.abort.abort();
  await canceled;
  const pausing = createRig(() => Promise.reject(new RpcError('broken', 'gone')));
  const second = assert.rejects(pausing.call(), { code: 'canceled' });
  await pausing.env.advance(5);
  pausing.abort.abort();
  await second;
  assert.equal(pausing.env.timers, 0);
});

test('a refusal of the state is an error with its code', async () => {
  const refused = { ok: false, error: { code: 'stale', message: 'too late' } };
  await assert.rejects(
    proposeCommand(
      { propose: async () => ({ index: 1, result: refused }) },
      { type: 'batch', time: 1, commands: [] },
    ),
    (error: Error) =>
      error instanceof CommandRefused && error.code === 'stale' && error.message === 'too late',
  );
});
