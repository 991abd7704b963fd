import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Mesh } from '../mesh-types.ts';
import { testMeshCompliance } from './compliance.ts';
import { createMesh } from './libp2p-mesh.ts';
import { testEnv } from './test-env.ts';

testMeshCompliance('libp2p', () => {
  const made: Mesh[] = [];
  return {
    make: async (member) => {
      const mesh = await createMesh({
        private_key: await generateKeyPair('Ed25519'),
        self_member: member,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        env: testEnv(),
        generation: 1,
      });
      made.push(mesh);
      return mesh;
    },
    end: async () => {
      await Promise.all(made.splice(0).map((mesh) => mesh.close()));
    },
  };
});
