/** The mesh over libp2p: what the agent runs. */
import type { PrivateKey } from '@libp2p/interface';
import type { Mesh, MeshCluster } from '../mesh-types.ts';
import type { MeshEnv } from './carrier.ts';
import { createLibp2pCarrier } from './libp2p-carrier.ts';
import { MeshCore } from './mesh-core.ts';

export interface CreateMeshOptions {
  /** From `loadOrCreateIdentity`. */
  readonly private_key: PrivateKey;
  /** Own member number; 0 while in no cluster. `setPeers` with the own peer id in the list corrects it. */
  readonly self_member: number;
  /** Multiaddrs; port 0 takes a free one (see `Mesh.addresses`). */
  readonly listen: readonly string[];
  readonly env: MeshEnv;
  /** A number that rises with every life of this host's agent (its boot and restart count, or its start time in ms). */
  readonly generation: number;
  readonly cluster?: MeshCluster;
}

/** Listens at once and lets nobody in until `setPeers` or `serveJoin`. Rejects when an address cannot be listened on. */
export async function createMesh(options: CreateMeshOptions): Promise<Mesh> {
  const core = new MeshCore(options);
  core.start(await createLibp2pCarrier(options, core));
  return core;
}
