/**
 * The joiner's side: asks the members that a token names, one after the other, to be let in, and writes what makes
 * this host a member that waits for the log. `member.json` comes last.
 */
import { z } from 'zod';
import { bootstrapLog } from '../consensus/index.ts';
import type { AgentOptions } from './agent-options.ts';
import { ApiFailure } from './api-server.ts';
import type { Host } from './host.ts';
import type { JoinAnswer, JoinRequest } from './join-server.ts';
import { type JoinToken, parseJoinToken } from './join-token.ts';
import { type MemberFile, writeMemberFile } from './member-file.ts';
import { ownAddresses, primaryIp } from './own-address.ts';
import type { Env } from './real-env.ts';

/** One member may take this long to answer before the next is asked. */
const request_timeout_ms = 15_000;
const new_token = 'make a new token on any member: skein node add';
const nodes_there = 'on a member: skein node list';
/** A refusal that any member would give: as what it is passed on, and what to try. */
const final_codes = {
  denied: { code: 'refused', next: new_token },
  invalid: { code: 'invalid', next: 'skein join --help' },
  exists: { code: 'exists', next: nodes_there },
  'in-use': { code: 'refused', next: nodes_there },
} as const;

const join_schema = z.object({
  token: z.string().max(65_536),
  name: z.string().optional(),
  timeout_ms: z.number().optional(),
});

export interface JoiningDeps {
  readonly options: AgentOptions;
  readonly env: Env;
  readonly host: Host;
  readonly boot: number;
  /**
   * Names this life of the agent as long as it has begun as no member. Who asks again in the same life has said nothing under
   * the number it was given; in another one it may have, and lost its log since.
   */
  readonly life: string;
}

export interface Joining {
  readonly token: JoinToken;
  readonly name: string;
  /** For the whole of it, as the caller asked; null: not said. */
  readonly timeout_ms: number | null;
}

/** @throws ApiFailure `invalid` saying what is wrong with the token. */
export function parseJoining(deps: Pick<JoiningDeps, 'options' | 'env'>, params: unknown): Joining {
  const parsed = join_schema.safeParse(params);
  if (!parsed.success) {
    throw new ApiFailure('invalid', `cluster.join: ${z.prettifyError(parsed.error)}`, 'skein join --help');
  }
  const { token: text, name = deps.options.name, timeout_ms = null } = parsed.data;
  try {
    return { token: parseJoinToken(text, deps.env.wall_s() * 1000), name, timeout_ms };
  } catch (error) {
    throw new ApiFailure('invalid', (error as Error).message, new_token);
  }
}

/** Asks each member that the token names until one answers; a refusal by any is final. */
async function askMembers(deps: JoiningDeps, { token, name }: Joining): Promise<JoinAnswer> {
  const { options } = deps;
  const request: JoinRequest = {
    token_id: token.id,
    secret: token.secret,
    name,
    addresses: [...ownAddresses(options)],
    primary_ip: primaryIp(options),
    boot: deps.boot,
    life: deps.life,
  };
  const mesh = await deps.host.openMesh(0);
  const failures: string[] = [];
  try {
    for (const peer of token.peers) {
      try {
        return (await mesh.requestJoin(
          peer.addresses,
          peer.peer_id,
          request,
          request_timeout_ms,
        )) as JoinAnswer;
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        if (code in final_codes) {
          const known = final_codes[code as keyof typeof final_codes];
          throw new ApiFailure(known.code, `cluster ${token.cluster_name} refused: ${message}`, known.next);
        }
        failures.push(`${peer.addresses.join(' ')}: ${message}`);
      }
    }
  } finally {
    await mesh.close();
  }
  throw new ApiFailure(
    'unavailable',
    `no member of ${token.cluster_name} let this host in: ${failures.join('; ')}`,
    'check the network to these addresses, then try again',
  );
}

/**
 * Resolves with what makes this host a member; whoever asks after that is in another life.
 * @throws ApiFailure with nothing changed here, or what a disk answers, with this host in the configuration: it may ask again
 */
export async function joinCluster(deps: JoiningDeps, joining: Joining): Promise<MemberFile> {
  const { host } = deps;
  const answer = await askMembers(deps, joining);
  await host.wipe();
  await bootstrapLog(await host.openLogDisk());
  const file: MemberFile = {
    version: 1,
    cluster_uuid: answer.cluster_uuid,
    cluster_name: answer.cluster_name,
    generation: answer.generation,
    member: answer.member,
    node_uuid: answer.uuid,
    node_name: joining.name,
    peers: answer.peers.map((peer) => ({
      member: peer.member,
      peer_id: peer.peer_id,
      addresses: [...peer.addresses],
    })),
    pending_init: null,
  };
  await writeMemberFile(host.membership, file);
  return file;
}
