/** What the tests of the mesh share: real time, and waiting for conditions. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mesh, MeshPeer } from '../mesh-types.ts';
import type { MeshEnv } from './carrier.ts';

/** `logs` collects what is said at warn and error. */
export function testEnv(logs: string[] = []): MeshEnv {
  return {
    now_ms: () => performance.now(),
    after: (delay_ms, fn) => {
      const timer = setTimeout(fn, delay_ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    log: (level, message, fields) => {
      if (process.env.MESH_LOG !== undefined) console.error(level, message, fields);
      if (level === 'warn' || level === 'error') logs.push(message);
    },
  };
}

/** Polls until `check` holds; fails with `what` after 10 s. */
export async function until(what: string, check: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!check()) {
    if (performance.now() > end) assert.fail(`waited 10 s for: ${what}`);
    await sleep(2);
  }
}

export function peerOf(member: number, mesh: Mesh): MeshPeer {
  return { member, peer_id: mesh.peer_id, addresses: mesh.addresses };
}

/** Tells all of them about all of them, and waits until everyone sees everyone. */
export async function connectAll(meshes: readonly Mesh[]): Promise<void> {
  const peers = meshes.map((mesh, at) => peerOf(at + 1, mesh));
  for (const mesh of meshes) mesh.setPeers(peers);
  for (const [at, mesh] of meshes.entries()) {
    for (const peer of peers) {
      if (peer.member !== at + 1) await until(`${at + 1} sees ${peer.member}`, () => mesh.isUp(peer.member));
    }
  }
}
