/**
 * What crosses the wire, seen from outside the agents: what leaders grant, so that a keeper can be held to it; how large
 * frames of Raft are and how many calls wait for an answer, so that bounds can be. It looks on and changes nothing.
 */
import type { Mesh } from '../../../src/node/mesh-types.ts';
import type { Grant } from '../oracles-leases.ts';
import type { Watcher } from '../world.ts';

export function watchMesh(mesh: Mesh, host: string, watcher: Watcher): void {
  const call = mesh.call.bind(mesh);
  let waiting = 0;
  mesh.call = async (member, method, params, options) => {
    waiting += 1;
    watcher.calls(host, waiting);
    try {
      const answer = await call(member, method, params, options);
      if (method === 'lead.renew' || method === 'relay.renew') watcher.leases.granted(host, answer as Grant);
      return answer;
    } finally {
      waiting -= 1;
    }
  };
  const { raft } = mesh;
  const send = raft.send.bind(raft);
  raft.send = (to, frame) => {
    watcher.frame(host, frame.byteLength);
    return send(to, frame);
  };
}
