import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaApi, ReplicaEvents, ReplicaStatus } from '../consensus/api.ts';
import { createLeaderClient } from './leader-client.ts';
import { RpcError } from './mesh-types.ts';
import { createTestEnv } from './test-env.ts';

type Answer = (member: number, signal: AbortSignal | undefined) => Promise<unknown>;

function createRig(answer: Answer) {
  const env = createTestEnv();
  const asked: number[] = [];
  const handlers = new Set<ReplicaEvents['role']>();
  let leader = 0;
  const client = createLeaderClient({
    mesh: {
      call: (member, _method, _params, options) => {
        asked.push(member);
        return answer(member, options.signal);
      },
    },
    replica: {
      status: () => ({ leader }) as ReplicaStatus,
      on: ((_event: 'role', handler: ReplicaEvents['role']) => {
        handlers.add(handler);
        return () => handlers.delete(handler);
      }) as ReplicaApi['on'],
    },
    now_ms: env.now_ms,
    after: env.after,
    random: env.random,
  });
  const elect = (member: number) => {
    leader = member;
    for (const handler of [...handlers]) handler({ role: 'follower', leader, term: 1, established: true });
  };
  return { env, asked, client, elect, handlers };
}

const once = { timeout_ms: 10_000, repeat: false };
const often = { timeout_ms: 10_000, repeat: true };
/** Never answers; ends as a mesh call does when its caller gives it up. */
const frozen: Answer = (_member, signal) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new RpcError('canceled', 'given up')));
  });

test('with no leader it waits for one, and says so at its deadline', async () => {
  const rig = createRig(async () => 'answer');
  const waits = rig.client.call('read', {}, often);
  await rig.env.advance(3_000);
  assert.deepEqual(rig.asked, []);
  rig.elect(2);
  assert.equal(await waits, 'answer');
  rig.elect(0);
  const late = assert.rejects(rig.client.call('read', {}, often), {
    code: 'no-quorum',
    message: 'no leader answered within 10 s (no leader is known)',
  });
  await rig.env.advance(11_000);
  await late;
  assert.deepEqual([rig.env.timers, rig.handlers.size], [0, 0]);
});

test('whoever does not lead (any more) or is busy is asked again, or the next one is', async () => {
  const codes = ['not-leader', 'unreachable', 'busy', 'remote-busy'];
  const rig = createRig(async () => {
    const code = codes.shift();
    if (code) throw new RpcError(code, code);
    return 'answer';
  });
  rig.elect(1);
  const waits = rig.client.call('propose', {}, once);
  await rig.env.advance(5_000);
  assert.equal(await waits, 'answer');
  assert.equal(rig.asked.length, 5);
});

test('an unknown outcome is repeated only where that is safe', async () => {
  for (const code of ['broken', 'timeout', 'lost', 'closed']) {
    const answers = [new RpcError(code, code)];
    const rig = createRig(async () => {
      const error = answers.shift();
      if (error) throw error;
      return 'answer';
    });
    rig.elect(1);
    const waits = rig.client.call('read', {}, often);
    await rig.env.advance(1_000);
    assert.equal(await waits, 'answer');
    answers.push(new RpcError(code, code));
    await assert.rejects(rig.client.call('propose', {}, once), { code: 'unknown-outcome' });
    assert.equal(rig.asked.length, 3);
  }
});

test("the handler's own error is passed on at once", async () => {
  const rig = createRig(async () => {
    throw new RpcError('exists', 'it is there');
  });
  rig.elect(1);
  await assert.rejects(rig.client.call('propose', {}, often), { code: 'exists', message: 'it is there' });
});

test('a frozen leader is left for the new one; what must not be asked twice ends as unknown', async () => {
  const rig = createRig((member, signal) => (member === 1 ? frozen(member, signal) : Promise.resolve('new')));
  rig.elect(1);
  const read = rig.client.call('read', {}, often);
  const propose = assert.rejects(rig.client.call('propose', {}, once), { code: 'unknown-outcome' });
  await rig.env.advance(500);
  rig.elect(0);
  await rig.env.advance(500);
  rig.elect(2);
  await rig.env.advance(100);
  assert.equal(await read, 'new');
  await rig.env.advance(2_000);
  await propose;
  assert.deepEqual(rig.asked, [1, 1, 2]);
  assert.deepEqual([rig.env.timers, rig.handlers.size], [0, 0]);
});

test('an old leader that answers in time is believed', async () => {
  const gate = Promise.withResolvers<string>();
  const rig = createRig(() => gate.promise);
  rig.elect(1);
  const propose = rig.client.call('propose', {}, once);
  rig.elect(2);
  await rig.env.advance(1_000);
  gate.resolve('done');
  assert.equal(await propose, 'done');
});

test('the caller may give up, also while nobody leads, also before it began', async () => {
  const rig = createRig(frozen);
  const abort = new AbortController();
  const waits = assert.rejects(rig.client.call('read', {}, { ...often, signal: abort.signal }), {
    code: 'canceled',
  });
  await rig.env.advance(100);
  abort.abort();
  await waits;
  await assert.rejects(rig.client.call('read', {}, { ...often, signal: abort.signal }), { code: 'canceled' });
  rig.elect(1);
  const second = new AbortController();
  const asks = assert.rejects(rig.client.call('read', {}, { ...often, signal: second.signal }), {
    code: 'canceled',
  });
  await rig.env.advance(10);
  second.abort();
  await asks;
  assert.equal(rig.env.timers, 0);
});
