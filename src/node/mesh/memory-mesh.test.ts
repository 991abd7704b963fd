import type { Mesh } from '../mesh-types.ts';
import { testMeshCompliance } from './compliance.ts';
import { createMemoryNetwork } from './memory-mesh.ts';
import { testEnv } from './test-env.ts';

testMeshCompliance('memory', () => {
  const network = createMemoryNetwork(testEnv());
  const made: Mesh[] = [];
  return {
    make: async (member) => {
      const mesh = network.createMesh({ peer_id: `peer${member}`, self_member: member, generation: 1 });
      made.push(mesh);
      return mesh;
    },
    end: async () => {
      await Promise.all(made.splice(0).map((mesh) => mesh.close()));
    },
  };
});
