import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from '../config/commands.ts';
import { createState } from '../config/state.ts';
import { init, now, tokenAdd } from '../config/test-fixtures.ts';
import { admitJoiner, joinIsOpen } from './join-server.ts';
import { hashJoinSecret } from './join-token.ts';
import type { LeaderClient } from './leader-client.ts';
import { createTestEnv } from './test-env.ts';

const secret = 'a-secret-of-32-bytes-in-base64-xx';
const request = {
  token_id: 'token-1',
  secret,
  name: 'n2',
  addresses: ['/ip4/192.0.2.12/tcp/1820'],
  primary_ip: '192.0.2.12',
  boot: 1,
  life: 'life-1',
};

function createRig() {
  const env = createTestEnv(0);
  const state = createState();
  const apply = (command: Command) => state.apply(state.index + 1, command);
  assert.ok(apply(init).ok);
  const addToken = (id: string) => {
    const token = tokenAdd(id) as Extract<Command, { type: 'token-add' }>;
    assert.ok(apply({ ...token, secret_hash: hashJoinSecret(secret) }).ok);
  };
  addToken('token-1');
  let proposed = 0;
  const leader: LeaderClient = {
    async call(_method, params, options) {
      proposed += 1;
      assert.equal(options.repeat, true);
      const applied = apply((params as { command: Command }).command);
      if (applied.ok) return { index: state.index, value: applied.value };
      throw Object.assign(new Error(applied.error.message), { code: applied.error.code });
    },
  };
  return {
    state,
    apply,
    addToken,
    proposed: () => proposed,
    admit: (peer_id: string, asked: unknown = request) => admitJoiner({ state, leader, env }, peer_id, asked),
  };
}

test('a token lets one peer in, and the same peer again: one member', async () => {
  const rig = createRig();
  const first = await rig.admit('peer-2');
  const again = await rig.admit('peer-2');
  assert.equal(again.member, first.member);
  assert.equal(again.uuid, first.uuid);
  assert.deepEqual([first.cluster_name, rig.state.count('nodes')], ['cluster.example', 2]);
  await assert.rejects(rig.admit('peer-3', { ...request, name: 'n3' }), { code: 'denied' });
  assert.equal(rig.state.count('nodes'), 2);
});

test('a host that is a node already is let in anew by another token, once it is proven lost', async () => {
  const rig = createRig();
  const first = await rig.admit('peer-2');
  rig.addToken('token-2');
  const second = { ...request, token_id: 'token-2', life: 'life-2' };
  await assert.rejects(rig.admit('peer-2', second), {
    code: 'in-use',
    message: /node n2 is not proven lost .*skein node remove n2/,
  });
  assert.equal(rig.state.get('tokens', 'token-2')?.used_by, '');
  const lost = { type: 'node-health', time: now, health: 'lost', reason: 'silent', if_boot: 1 } as const;
  assert.ok(rig.apply({ ...lost, uuid: first.uuid }).ok);
  await assert.rejects(rig.admit('peer-3', second), {
    code: 'exists',
    message: /there is a node n2 already/,
  });
  const anew = await rig.admit('peer-2', second);
  assert.ok(anew.member > first.member);
  assert.notEqual(anew.uuid, first.uuid);
  assert.deepEqual(
    rig.state.list('nodes').map(({ name, member }) => [name, member]),
    [
      ['node1', 1],
      ['n2', anew.member],
    ],
  );
  assert.deepEqual(await rig.admit('peer-2', second), anew, 'its answer was lost');
});

test('a joiner is not told of its own former number', async () => {
  const rig = createRig();
  await rig.admit('peer-2');
  const { peers } = await rig.admit('peer-2');
  assert.deepEqual(
    peers.map(({ peer_id }) => peer_id),
    ['peer-1'],
  );
});

test('a wrong secret, an unknown or revoked token, a name that is taken: refused, nothing changed', async () => {
  const rig = createRig();
  await assert.rejects(rig.admit('peer-2', { ...request, secret: `${secret}!` }), { code: 'denied' });
  await assert.rejects(rig.admit('peer-2', { ...request, token_id: 'token-9' }), { code: 'denied' });
  await assert.rejects(rig.admit('peer-2', { ...request, name: 'node1' }), { code: 'exists' });
  assert.ok(rig.apply({ type: 'token-revoke', time: now, id: 'token-1' }).ok);
  await assert.rejects(rig.admit('peer-2'), { code: 'denied' });
  assert.equal(rig.state.count('nodes'), 1);
});

test('what is no request is refused before anything is proposed', async () => {
  const rig = createRig();
  for (const bad of [
    null,
    'join',
    {},
    { ...request, secret: 'short' },
    { ...request, primary_ip: 'n2.example' },
    { ...request, addresses: [] },
    { ...request, addresses: Array.from({ length: 17 }, () => 'x') },
    { ...request, boot: -1 },
    { ...request, name: 'x'.repeat(256) },
    { ...request, life: '' },
    { ...request, life: undefined },
  ])
    await assert.rejects(rig.admit('peer-2', bad), { code: 'invalid', message: /bad join request/ });
  assert.equal(rig.proposed(), 0);
});

test('strangers are listened to only while a token is good', () => {
  const rig = createRig();
  assert.equal(joinIsOpen(rig.state, now + 599), true);
  assert.equal(joinIsOpen(rig.state, now + 601), false);
  assert.equal(joinIsOpen(createState(), now), false);
});
