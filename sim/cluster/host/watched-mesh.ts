/**
 * What crosses the wire, seen from outside the agents: what leaders grant, so that a keeper can be held to it, and
 * leaders to their majority; which steps they ask of nodes; how large frames of Raft are and how many calls wait for an
 * answer, so that bounds can be kept. It looks on and changes nothing.
 */
import type { Mesh } from '../../../src/node/mesh-types.ts';
import type { StepKey } from '../../../src/ops/types.ts';
import type { Grant } from '../oracles-leases.ts';
import type { Watcher } from '../world.ts';

/** @param generation of the cluster that this host is a member of; 0: of none yet */
export function watchMesh(mesh: Mesh, host: string, generation: () => number, watcher: Watcher): void {
  const call = mesh.call.bind(mesh);
  const { leases } = watcher;
  let waiting = 0;
  mesh.call = async (member, method, params, options) => {
    waiting += 1;
    watcher.calls(host, waiting);
    if (method === 'node.call') watcher.asksForStep(host, (params as { readonly key: StepKey }).key);
    const latest_term = leases.latestTerm(generation());
    try {
      const answer = await call(member, method, params, options);
      if (method === 'lead.renew' || method === 'relay.renew')
        leases.granted(host, answer as Grant, latest_term);
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
