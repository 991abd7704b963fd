/**
 * Program: a peer that is no member, with a key of its own, tries to speak to a member as one: argument 1 is the
 * member's peer id, 2 its multiaddr, 3 a directory for the key. Prints a line of JSON: what became of each attempt.
 */
import { loadOrCreateIdentity } from '../../src/node/identity.ts';
import { createMesh } from '../../src/node/mesh/libp2p-mesh.ts';
import { bootClock } from '../../src/node/real-env.ts';

const [peer_id = '', address = '', key_dir = ''] = process.argv.slice(2);
const now_ms = bootClock();
const identity = await loadOrCreateIdentity(key_dir);
const mesh = await createMesh({
  private_key: identity.private_key,
  self_member: 77,
  listen: [],
  env: {
    now_ms,
    random: Math.random,
    after: (delay_ms, act) => {
      const timer = setTimeout(act, delay_ms);
      return () => clearTimeout(timer);
    },
    log: () => undefined,
  },
  generation: Date.now(),
});
// It believes to be member 77 of this cluster; the member knows better.
mesh.setPeers([
  { member: 1, peer_id, addresses: [address] },
  { member: 77, peer_id: identity.peer_id, addresses: ['/ip4/192.0.2.7/tcp/1820'] },
]);

async function attempt(act: () => Promise<unknown>): Promise<string> {
  try {
    return `answered: ${JSON.stringify(await act())}`;
  } catch (error) {
    return `${(error as { code?: string }).code ?? 'error'}: ${(error as Error).message}`;
  }
}

const outcome = {
  read: await attempt(() => mesh.call(1, 'lead.read', {}, { timeout_ms: 3_000 })),
  propose: await attempt(() =>
    mesh.call(
      1,
      'lead.propose',
      { command: { type: 'node-remove', time: 0, uuid: 'x' } },
      { timeout_ms: 3_000 },
    ),
  ),
  removed: await attempt(() => mesh.call(1, 'member.removed', { by: 77 }, { timeout_ms: 3_000 })),
  console: await attempt(() => mesh.openStream(1, 'console', { instance: 'x' }, 3_000)),
  join: await attempt(() => mesh.requestJoin([address], peer_id, { name: 'stranger' }, 5_000)),
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
await mesh.close();
process.exit(0);
