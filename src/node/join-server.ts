/**
 * The member's side of joining: any member takes a joiner's request on the join-only protocol and has it committed.
 * The token is consumed by one conditional entry bound to the joiner's PeerId, so that its retry works and nobody
 * else's does. Whether a host that is a node already is let in anew is decided by that entry too
 * (src/config/apply-join.ts).
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import type { StateView } from '../config/api.ts';
import type { Command, NodeJoined } from '../config/commands.ts';
import { hashJoinSecret } from './join-token.ts';
import type { LeaderClient } from './leader-client.ts';
import type { Env } from './real-env.ts';

const request_schema = z.object({
  token_id: z.string().min(1).max(64),
  secret: z.string().min(16).max(256),
  name: z.string().min(1).max(255),
  addresses: z.array(z.string().max(200)).min(1).max(16),
  primary_ip: z.string().refine((value) => isIP(value) !== 0, 'expected an IP address'),
  boot: z.number().int().nonnegative(),
  /** See JoiningDeps. */
  life: z.string().min(1).max(64),
});

export type JoinRequest = z.infer<typeof request_schema>;

export interface JoinAnswer {
  readonly uuid: string;
  readonly member: number;
  readonly name: string;
  readonly cluster_uuid: string;
  readonly cluster_name: string;
  readonly generation: number;
  readonly peers: readonly {
    readonly member: number;
    readonly peer_id: string;
    readonly addresses: readonly string[];
  }[];
}

const propose_timeout_ms = 8_000;

/** Whether any token could still be used: only then are strangers let to the join protocol at all. */
export function joinIsOpen(state: StateView, wall_s: number): boolean {
  return state.list('tokens').some((token) => token.expires > wall_s);
}

/** @throws Error with code `denied`, `invalid`, `exists`, `in-use` or `no-quorum`, fit for the joiner's eyes. */
export async function admitJoiner(
  deps: { readonly state: StateView; readonly leader: LeaderClient; readonly env: Env },
  peer_id: string,
  request: unknown,
): Promise<JoinAnswer> {
  const parsed = request_schema.safeParse(request);
  if (!parsed.success)
    throw Object.assign(new Error(`bad join request: ${z.prettifyError(parsed.error)}`), { code: 'invalid' });
  const { token_id, secret, name, addresses, primary_ip, boot, life } = parsed.data;
  const command: Command = {
    type: 'node-join',
    time: deps.env.wall_s(),
    token: token_id,
    secret_hash: hashJoinSecret(secret),
    peer_id,
    uuid: deps.env.uuid(),
    name,
    addresses,
    primary_ip,
    boot,
    life,
  };
  // Bound to the token, the peer and its life: repeating it answers the same member.
  const { value } = (await deps.leader.call(
    'lead.propose',
    { command },
    { timeout_ms: propose_timeout_ms, repeat: true },
  )) as { value: NodeJoined };
  const cluster = deps.state.get('cluster', 'cluster');
  if (!cluster)
    throw Object.assign(new Error('this member has no cluster configuration'), { code: 'no-cluster' });
  return {
    uuid: value.uuid,
    member: value.member,
    name,
    cluster_uuid: cluster.uuid,
    cluster_name: cluster.cluster_name,
    generation: cluster.generation,
    // As this replica knows them, perhaps without what it was just told: under its former number the joiner is nobody.
    peers: deps.state
      .list('nodes')
      .filter((node) => node.peer_id !== peer_id)
      .map((node) => ({ member: node.member, peer_id: node.peer_id, addresses: node.addresses })),
  };
}
