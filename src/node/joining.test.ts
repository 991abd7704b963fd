import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk } from '../consensus/memory-disk.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Host } from './host.ts';
import type { JoinAnswer, JoinRequest } from './join-server.ts';
import { createJoinToken } from './join-token.ts';
import { type JoiningDeps, joinCluster, parseJoining } from './joining.ts';
import { RpcError } from './mesh-types.ts';
import { createTestEnv } from './test-env.ts';

const answer: JoinAnswer = {
  uuid: 'node-4',
  member: 4,
  name: 'n4',
  cluster_uuid: 'cluster-1',
  cluster_name: 'lab',
  generation: 1,
  peers: [{ member: 1, peer_id: 'peer-1', addresses: ['/ip4/192.0.2.11/tcp/1820'] }],
};

/** A host that keeps what it is told in memory; each member asked answers in turn. */
function rig(answers: readonly (JoinAnswer | RpcError)[]) {
  const env = createTestEnv();
  const disk = new MemoryDisk();
  const asked: { peer_id: string; request: JoinRequest }[] = [];
  let written: unknown = null;
  let full = false;
  const host = {
    peer_id: 'peer-4',
    openMesh: async () => ({
      async requestJoin(_addresses: readonly string[], peer_id: string, request: unknown) {
        const told = answers[asked.length];
        asked.push({ peer_id, request: request as JoinRequest });
        if (told === undefined || told instanceof RpcError)
          throw told ?? new RpcError('timeout', 'no answer');
        return told;
      },
      close: async () => undefined,
    }),
    wipe: async () => undefined,
    async openLogDisk() {
      if (full) throw Object.assign(new Error('ENOSPC: segment'), { code: 'ENOSPC' });
      return disk;
    },
    membership: {
      async write(_name: string, value: unknown) {
        written = value;
      },
    },
  } as unknown as Host;
  const options = { name: 'n4', listen: ['/ip4/192.0.2.14/tcp/1820'] } as unknown as AgentOptions;
  const deps: JoiningDeps = { options, env, host, boot: 1, life: 'life-1' };
  const peers = ['peer-1', 'peer-2'].map((peer_id) => ({ peer_id, addresses: ['/ip4/192.0.2.11/tcp/1820'] }));
  const { text } = createJoinToken({
    ...{ id: 't1', cluster_name: 'lab', peers, secret: new Uint8Array(32) },
    expires: env.wall_s() * 1000 + 60_000,
  });
  return {
    asked,
    join: () => joinCluster(deps, parseJoining(deps, { token: text })),
    written: () => written,
    fill(now_full: boolean) {
      full = now_full;
    },
  };
}

for (const [code, known, next] of [
  ['denied', 'refused', /skein node add/],
  ['exists', 'exists', /skein node list/],
  ['in-use', 'refused', /skein node list/],
  ['invalid', 'invalid', /skein join --help/],
] as const) {
  test(`a refusal ${code} is final, and says what to try`, async () => {
    const { join, asked, written } = rig([new RpcError(code, 'node n4 is so')]);
    await assert.rejects(join(), (error: Error & { code: string; next: string }) => {
      assert.deepEqual([error.code, error.message], [known, 'cluster lab refused: node n4 is so']);
      assert.match(error.next, next);
      return true;
    });
    assert.deepEqual([asked.length, written()], [1, null]);
  });
}

test('all members are asked in the same life, and again after a full disk; it is a member when all is written', async () => {
  const { join, asked, written, fill } = rig([new RpcError('timeout', 'no answer'), answer, answer]);
  fill(true);
  await assert.rejects(join(), { code: 'ENOSPC' });
  assert.equal(written(), null);
  fill(false);
  const file = await join();
  assert.deepEqual([file.member, file.node_uuid, written()], [4, 'node-4', file]);
  assert.deepEqual(
    asked.map(({ peer_id, request }) => `${peer_id} ${request.life}`),
    ['peer-1 life-1', 'peer-2 life-1', 'peer-1 life-1'],
  );
});
