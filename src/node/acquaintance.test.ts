import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StateView } from '../config/api.ts';
import { accept, stateWith, three_nodes } from '../config/test-fixtures.ts';
import { type AcquaintanceDeps, createAcquaintance } from './acquaintance.ts';
import type { MeshPeer, RpcHandler } from './mesh-types.ts';
import { createTestEnv } from './test-env.ts';

const peer = (member: number, number = member): MeshPeer => ({
  member,
  peer_id: `peer-${number}`,
  addresses: [`/ip4/10.0.0.${number}/tcp/1820`],
});
const members = (peers: readonly MeshPeer[]) => peers.map((one) => [one.member, one.peer_id]);
const no_client = { signal: new AbortController().signal, note: () => undefined };

/** Host 3 of a cluster of three, with answers that a test sets. */
function fakes(state: StateView = stateWith(...three_nodes)) {
  const env = createTestEnv();
  const handlers = new Map<string, RpcHandler>();
  const asked: { readonly member: number; readonly params: unknown }[] = [];
  const numbers: number[] = [];
  const seen = { id: 3, leader: 0, faulty: [] as { readonly id: number; readonly reason: string }[] };
  const set: (readonly MeshPeer[])[] = [];
  let answer: unknown = { index: 0, peers: null };
  const deps = {
    env,
    mesh: {
      peer_id: 'peer-3',
      handle: (method, handler) => void handlers.set(method, handler),
      call: (member, _method, params) => {
        asked.push({ member, params });
        return Promise.resolve(answer);
      },
      setPeers: (peers) => void set.push(peers),
    },
    state,
    remembered: [peer(1), peer(3)],
    status: () => seen,
    ownNumber: (member) => void numbers.push(member),
  } as AcquaintanceDeps;
  const answers = (next: unknown) => {
    answer = next;
  };
  return { env, handlers, asked, numbers, seen, set, deps, answers, state };
}

test('whoever hears a leader asks nobody; whoever hears none asks its peers in turn, with what it has', async () => {
  const { env, deps, asked, seen, state } = fakes();
  seen.leader = 2;
  const who = createAcquaintance(deps);
  await env.advance(5_000);
  assert.deepEqual(asked, []);
  seen.leader = 0;
  await env.advance(1_000);
  assert.deepEqual(asked, [], 'an election may be under way');
  await env.advance(3_000);
  assert.deepEqual(
    asked,
    [1, 2, 1].map((member) => ({ member, params: { index: state.index } })),
  );
  who.stop();
  await env.advance(5_000);
  assert.equal(asked.length, 3);
  assert.equal(env.timers, 0);
});

test('a faulty member asks, whoever leads', async () => {
  const { env, deps, asked, seen } = fakes();
  Object.assign(seen, { leader: 1, faulty: [{ id: 3, reason: 'a bit' }] });
  createAcquaintance(deps);
  await env.advance(2_000);
  assert.equal(asked.length, 2);
});

test('a later list counts until the own state is as far; the leader under a new number is known by it', async () => {
  const state = stateWith(...three_nodes);
  const fake = fakes(state);
  const { env, deps, set, numbers } = fake;
  const who = createAcquaintance(deps);
  assert.deepEqual(members(set.at(-1)!), [
    [1, 'peer-1'],
    [2, 'peer-2'],
    [3, 'peer-3'],
  ]);
  fake.answers({ index: state.index + 1, peers: [peer(4, 1), peer(2), peer(3)] });
  await env.advance(2_000);
  const later = [
    [4, 'peer-1'],
    [2, 'peer-2'],
    [3, 'peer-3'],
  ];
  assert.deepEqual(members(set.at(-1)!), later);
  assert.deepEqual(members(who.peers()), later);
  assert.deepEqual(numbers, [3]);
  fake.answers({ index: state.index, peers: [peer(1), peer(3)] });
  await env.advance(1_000);
  assert.deepEqual(members(who.peers()), later, 'an earlier one is not taken');
  assert.deepEqual(accept(state, { type: 'node-renew', time: 1, uuid: 'node-2', if_member: 2 }), 4);
  who.wake();
  assert.deepEqual(members(set.at(-1)!), [
    [1, 'peer-1'],
    [4, 'peer-2'],
    [3, 'peer-3'],
  ]);
});

test('a list without this host, and one that is none, change nothing', async () => {
  const fake = fakes();
  const { env, deps, set, numbers, state } = fake;
  createAcquaintance(deps);
  for (const answer of [
    { index: state.index + 9, peers: [peer(1), peer(2)] },
    { index: state.index + 9, peers: [{ member: 0, peer_id: '', addresses: [] }] },
    { index: state.index + 9, peers: null },
    'no',
  ]) {
    fake.answers(answer);
    await env.advance(2_000);
  }
  assert.deepEqual([set.length, numbers], [1, []]);
});

test('its own new number is handed on', async () => {
  const fake = fakes();
  createAcquaintance(fake.deps);
  fake.answers({ index: fake.state.index + 1, peers: [peer(1), peer(2), peer(7, 3)] });
  await fake.env.advance(2_000);
  assert.deepEqual(fake.numbers, [7]);
});

test('before the first entry the peers are those of the file; others are answered with the nodes of the state', async () => {
  const empty = fakes(stateWith());
  assert.deepEqual(members(createAcquaintance(empty.deps).peers()), [
    [1, 'peer-1'],
    [3, 'peer-3'],
  ]);
  const { deps, handlers, state } = fakes();
  createAcquaintance(deps);
  const ask = (index: number) => handlers.get('member.peers')!(2, { index }, no_client);
  const answer = (await ask(0)) as { index: number; peers: MeshPeer[] };
  assert.equal(answer.index, state.index);
  assert.deepEqual(members(answer.peers), [
    [1, 'peer-1'],
    [2, 'peer-2'],
    [3, 'peer-3'],
  ]);
  assert.deepEqual(await ask(state.index), { index: state.index, peers: null });
});
