/**
 * Whom this host's links are with: as its own state has it, or as a peer with a later state says.
 *
 * A host that was away may know too little. Whoever leads now joined meanwhile, or was given a new member number: it is not
 * let in here, or its words are dropped, and from nobody else can this host learn of it, since only a leader sends entries.
 * So a host that hears no leader, or whose replica is faulty, asks the members that it does know for the nodes of their
 * state. What is applied is committed: whoever answers, it is true, if perhaps not the latest; of two answers the one of the
 * higher index counts, and of none any more once the own state is as far.
 *
 * What it must never do: act on a list in which this host is not. Links are all that an answer changes; who votes and what
 * is committed is told by the log alone.
 */
import { z } from 'zod';
import type { StateView } from '../config/api.ts';
import type { Node } from '../config/model.ts';
import type { ReplicaStatus } from '../consensus/api.ts';
import type { Mesh, MeshPeer } from './mesh-types.ts';
import type { Env } from './real-env.ts';

export interface AcquaintanceDeps {
  readonly env: Pick<Env, 'after' | 'log'>;
  readonly mesh: Pick<Mesh, 'call' | 'handle' | 'setPeers' | 'peer_id'>;
  readonly state: Pick<StateView, 'index' | 'list'>;
  /** Of `member.json`: while the state knows no nodes. */
  readonly remembered: readonly MeshPeer[];
  status(): Pick<ReplicaStatus, 'id' | 'faulty' | 'leader'>;
  /** This node's number, as somebody with a later state says. */
  ownNumber(member: number): void;
}

export interface Acquaintance {
  peers(): readonly MeshPeer[];
  /** The nodes changed. */
  wake(): void;
  stop(): void;
}

/** Between two questions, and how long one may take. */
const ask_every_ms = 1_000;
/** Looks in a row at which nobody led: most elections are over before that. */
const looks_without_leader = 2;

const asked = z.object({ index: z.number().int().nonnegative() });
const answered = z.object({
  index: z.number().int().nonnegative(),
  /** null: what the asker has is as new. */
  peers: z
    .array(
      z.object({
        member: z.number().int().positive(),
        peer_id: z.string().min(1),
        addresses: z.array(z.string()),
      }),
    )
    .nullable(),
});

type Answer = z.infer<typeof answered>;

export function createAcquaintance(deps: AcquaintanceDeps): Acquaintance {
  const { env, mesh, state } = deps;
  let told: { readonly index: number; readonly peers: readonly MeshPeer[] } = { index: 0, peers: [] };
  let turn = 0;
  let without_leader = 0;
  let stopped = false;

  /** The same object for the same node: whoever compares two lists sees at once what differs. */
  const peer_of = new WeakMap<Node, MeshPeer>();
  const peerOf = (node: Node): MeshPeer => {
    const known = peer_of.get(node);
    if (known !== undefined) return known;
    const peer = { member: node.member, peer_id: node.peer_id, addresses: node.addresses };
    peer_of.set(node, peer);
    return peer;
  };

  const own = (): readonly MeshPeer[] => state.list('nodes').map(peerOf);

  function peers(): readonly MeshPeer[] {
    if (told.index > state.index) return told.peers;
    const known = own();
    return known.length > 0 ? known : deps.remembered;
  }

  mesh.handle('member.peers', (_from, params) => {
    const { index } = asked.parse(params);
    const answer: Answer = {
      index: state.index,
      peers: state.index > index ? own().map((peer) => ({ ...peer, addresses: [...peer.addresses] })) : null,
    };
    return Promise.resolve(answer);
  });

  function take({ index, peers: theirs }: Answer): void {
    if (stopped || theirs === null || index <= Math.max(told.index, state.index)) return;
    const self = theirs.find((peer) => peer.peer_id === mesh.peer_id);
    if (self === undefined) return;
    told = { index, peers: theirs };
    mesh.setPeers(peers());
    deps.ownNumber(self.member);
  }

  async function ask(): Promise<void> {
    const others = peers().filter((peer) => peer.peer_id !== mesh.peer_id);
    const peer = others[turn % Math.max(1, others.length)];
    turn += 1;
    if (peer === undefined) return;
    const params = { index: Math.max(told.index, state.index) };
    take(answered.parse(await mesh.call(peer.member, 'member.peers', params, { timeout_ms: ask_every_ms })));
  }

  function tick(): void {
    if (stopped) return;
    cancel = env.after(ask_every_ms, tick);
    const { id, faulty, leader } = deps.status();
    without_leader = leader === 0 ? without_leader + 1 : 0;
    if (without_leader < looks_without_leader && !faulty.some((of) => of.id === id)) return;
    ask().catch((error: Error) => env.log('debug', 'who is who', { error: error.message }));
  }
  let cancel = env.after(ask_every_ms, tick);
  mesh.setPeers(peers());

  return {
    peers,
    wake: () => mesh.setPeers(peers()),
    stop() {
      stopped = true;
      cancel();
    },
  };
}
