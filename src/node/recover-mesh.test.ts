import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { createMesh } from './mesh/libp2p-mesh.ts';
import { createMemoryNetwork } from './mesh/memory-mesh.ts';
import { peerOf, testEnv, until } from './mesh/test-env.ts';
import type { ClusterGeneration, Mesh, MeshCluster } from './mesh-types.ts';

/** A host's mesh in one of its lives. */
type MakeMesh = (member: number, life: number, cluster: MeshCluster) => Mesh | Promise<Mesh>;

interface Side {
  readonly mesh: Mesh;
  readonly heard: [number, ClusterGeneration][];
  readonly ups: number[];
  readonly raft: number[];
}

async function side(make: MakeMesh, member: number, generation: number, life = 1): Promise<Side> {
  const heard: Side['heard'] = [];
  const own = { generation, recovered_s: generation > 1 ? 1_700_000_000 : 0, recovered_by: 'n1' };
  const cluster: MeshCluster = { own: () => own, other: (from, theirs) => void heard.push([from, theirs]) };
  const mesh = await make(member, life, cluster);
  const ups: number[] = [];
  const raft: number[] = [];
  mesh.onPeer((from, up) => void (up && ups.push(from)));
  mesh.raft.onMessage((from) => void raft.push(from));
  mesh.handle('ping', async () => 'pong');
  return { mesh, heard, ups, raft };
}

/** Two hosts, the one that dials first. */
const carriers: Readonly<Record<string, () => Promise<readonly [MakeMesh, MakeMesh]>>> = {
  async memory() {
    const network = createMemoryNetwork(testEnv());
    const host =
      (peer_id: string): MakeMesh =>
      (self_member, generation, cluster) =>
        network.createMesh({ peer_id, self_member, generation, cluster });
    return [host('a'), host('b')];
  },
  async libp2p() {
    const keys = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')];
    const id = (key: (typeof keys)[number]) => peerIdFromPrivateKey(key).toString();
    keys.sort((a, b) => (id(a) < id(b) ? -1 : 1));
    const [first, second] = keys.map((private_key): MakeMesh => {
      let listen = '/ip4/127.0.0.1/tcp/0';
      return async (self_member, generation, cluster) => {
        const env = testEnv();
        const mesh = await createMesh({
          private_key,
          self_member,
          generation,
          cluster,
          env,
          listen: [listen],
        });
        [listen = listen] = mesh.addresses;
        return mesh;
      };
    });
    assert.ok(first && second);
    return [first, second];
  },
};

for (const [carrier, makeHosts] of Object.entries(carriers)) {
  for (const newer_dials of [true, false]) {
    test(`two generations of a cluster hear of each other and nothing else: ${carrier}, ${newer_dials ? 'the newer' : 'the older'} dials`, async (t) => {
      const [dialler, dialled] = await makeHosts();
      const [newer, older] = newer_dials ? [dialler, dialled] : [dialled, dialler];
      const next = await side(newer, 1, 2);
      const old = await side(older, 2, 1);
      t.after(() => Promise.all([next.mesh.close(), old.mesh.close()]));
      const peers = [peerOf(1, next.mesh), peerOf(2, old.mesh)];
      next.mesh.setPeers(peers);
      old.mesh.setPeers(peers);
      // Twice: it is tried again, and refused again.
      await until('both to hear of the other twice', () => next.heard.length >= 2 && old.heard.length >= 2);
      assert.deepEqual(old.heard[0], [1, { generation: 2, recovered_s: 1_700_000_000, recovered_by: 'n1' }]);
      assert.equal(next.heard[0]?.[1].generation, 1);
      for (const [from, to] of [
        [next, 2],
        [old, 1],
      ] as const) {
        from.mesh.raft.send(to, new Uint8Array([1]));
        await assert.rejects(from.mesh.call(to, 'ping', {}, { timeout_ms: 1_000 }), /not connected/);
        assert.deepEqual([from.ups, from.raft, from.mesh.isUp(to)], [[], [], false]);
      }
      // Once it follows, it is let in like any other.
      await old.mesh.close();
      const followed = await side(older, 2, 2, 2);
      t.after(() => followed.mesh.close());
      followed.mesh.setPeers(peers);
      await until('the host that followed to be let in', () => next.mesh.isUp(2) && followed.mesh.isUp(1));
      assert.equal(await followed.mesh.call(1, 'ping', {}, { timeout_ms: 5_000 }), 'pong');
    });
  }
}
