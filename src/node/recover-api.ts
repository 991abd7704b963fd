/**
 * What the agent does for `skein cluster recover`: checks, stops the replica, keeps a copy, writes the order, and starts
 * anew, where the order is carried out (recover-store.ts). Also how a host stands down when it hears that its cluster
 * was recovered without it: it lays down its replica and the lead, and starts nothing, until an operator has it follow
 * or leave.
 */
import { z } from 'zod';
import type { StateView } from '../config/api.ts';
import { unseenNodes } from '../config/apply-recover.ts';
import { meta_key } from '../config/keys.ts';
import { ApiFailure, type ApiHandler } from './api-server.ts';
import type { Host } from './host.ts';
import type { Member } from './member.ts';
import { type MemberFile, writeMemberFile } from './member-file.ts';
import type { ClusterGeneration } from './mesh-types.ts';
import type { Env } from './real-env.ts';
import { orderFollow, orderRecovery } from './recover-store.ts';

const recover_schema = z.object({ cluster_name: z.string(), off: z.array(z.string()).optional() });
const follow_schema = z.object({ cluster_name: z.string() });
const word_schema = z.object({ node: z.string() });
const word_timeout_ms = 15_000;
/** After the answer to whoever asked. */
const exit_delay_ms = 50;

export interface RecoverApiDeps {
  readonly env: Pick<Env, 'after' | 'wall_s' | 'log' | 'fatal'>;
  readonly host: Host;
  member(): Member | null;
  /** `member.json` of a host that stands down. */
  stood(): MemberFile | null;
  /** Closes the running member without handing over: from now on this host has none. */
  stop(): Promise<void>;
  /** A durable copy of log, state and `member.json`; answers where. */
  keepCopy(name: string): Promise<string>;
  exit(code: number): void;
}

/** Why a host stands down, and what to do, in one line. */
export function supersededText({ cluster_name, superseded }: MemberFile): string {
  const { recovered_s = 0, recovered_by = '' } = superseded ?? {};
  const when = recovered_s > 0 ? ` on ${new Date(recovered_s * 1000).toISOString()}` : '';
  const by = recovered_by === '' ? '' : ` by ${recovered_by}`;
  return `cluster ${cluster_name} was recovered without this host${when}${by}: it takes part in nothing any more`;
}

export const superseded_next =
  'to come along and keep the guests: skein cluster recover --follow; or skein node leave --force, then skein join TOKEN';

/** After a recovery: who is not back, and what that means. */
export function unseenWarnings(state: StateView): readonly string[] {
  const unseen = unseenNodes(state.get('meta', meta_key)?.recovery);
  const silent = [...unseen].filter(([, word]) => !word);
  if (silent.length === 0) return [];
  const names = silent
    .map(([uuid]) => state.get('nodes', uuid)?.name ?? uuid)
    .sort()
    .join(', ');
  return [
    `not seen since the cluster was recovered: ${names}; nothing of theirs is started elsewhere until they follow, or are off: skein cluster recover --off NODE`,
  ];
}

/** What to do at each greeting of a later generation: at the first that finds a member here, this host stands down. */
export function onSuperseded(deps: RecoverApiDeps): (theirs: ClusterGeneration) => void {
  let begun = false;
  return (theirs) => {
    const member = deps.member();
    // The mesh is heard before its member has started: the next greeting says it again.
    if (begun || member === null) return;
    begun = true;
    standDown(deps, member, theirs).catch((error: Error) =>
      deps.env.fatal(`this host cannot stand down: ${error.message}`, error),
    );
  };
}

async function standDown(deps: RecoverApiDeps, member: Member, theirs: ClusterGeneration): Promise<void> {
  const nodes = member.state.list('nodes');
  const known = nodes.map((node) => ({
    member: node.member,
    peer_id: node.peer_id,
    addresses: [...node.addresses],
  }));
  const file = {
    ...member.file,
    superseded: theirs,
    // Those of the later generation: whoever follows begins without any state.
    peers: known.length > 0 ? known : member.file.peers,
  };
  deps.env.log('error', supersededText(file), { next: superseded_next, ...theirs });
  await deps.stop();
  await writeMemberFile(deps.host.membership, file);
  deps.exit(0);
}

function parsed<T>(schema: z.ZodType<T>, method: string, params: unknown): T {
  const { success, data, error } = schema.safeParse(params);
  if (success) return data;
  throw new ApiFailure('invalid', `${method}: ${z.prettifyError(error)}`, 'skein cluster recover --help');
}

function checkName(given: string, name: string): void {
  if (given === name) return;
  throw new ApiFailure('invalid', `this is cluster ${name}, not ${given}`, 'type the name of the cluster');
}

export function recoverMethods(deps: RecoverApiDeps): ReadonlyMap<string, ApiHandler> {
  const { env, host } = deps;
  let changing = false;

  function running(): Member {
    const member = deps.member();
    if (member !== null) return member;
    const stood = deps.stood();
    if (stood !== null) throw new ApiFailure('refused', supersededText(stood), superseded_next);
    throw new ApiFailure('no-cluster', 'this host is in no cluster', 'skein status');
  }

  async function exclusively<T>(act: () => Promise<T>): Promise<T> {
    if (changing) throw new ApiFailure('refused', 'a recovery is under way on this host', 'skein status');
    changing = true;
    try {
      return await act();
    } finally {
      changing = false;
    }
  }

  /** From here on there is no member: whatever becomes of it, the next start finds out. */
  async function ordered<T>(act: () => Promise<T>): Promise<T> {
    try {
      const result = await act();
      env.after(exit_delay_ms, () => deps.exit(0));
      return result;
    } catch (error) {
      env.after(exit_delay_ms, () => deps.exit(1));
      const { message } = error as Error;
      throw new ApiFailure('refused', `the recovery was not begun: ${message}`, 'skein status');
    }
  }

  const recover: ApiHandler = (params) =>
    exclusively(async () => {
      const { cluster_name, off = [] } = parsed(recover_schema, 'cluster.recover', params);
      const member = running();
      checkName(cluster_name, member.file.cluster_name);
      const look = await member.surveyRecovery();
      if (look.refusal !== null) throw new ApiFailure('refused', look.refusal, look.next);
      const nodes = member.state.list('nodes');
      const words = off.map((name) => {
        const node = nodes.find((one) => one.name === name);
        const answers = look.nodes.some((one) => one.name === name && one.answers);
        if (node !== undefined && !answers) return node.uuid;
        throw new ApiFailure('invalid', `${name} ${node ? 'answers' : 'is no node'}: it cannot be off`, '');
      });
      const time = env.wall_s();
      const before = Math.max(
        member.file.generation,
        member.state.get('cluster', 'cluster')?.generation ?? 0,
      );
      // Of two survivors recovered apart neither is taken for the other: the later one counts.
      const generation = Math.max(before + 1, Math.floor(time * 1000));
      return ordered(async () => {
        await deps.stop();
        const copy = await deps.keepCopy(`before-generation-${generation}`);
        await orderRecovery(host, member.file, { generation, time, words });
        env.log('warn', 'the cluster is recovered here: a new generation begins', { generation, copy });
        return { cluster_name, generation, copy };
      });
    });

  const follow: ApiHandler = (params) =>
    exclusively(async () => {
      const { cluster_name } = parsed(follow_schema, 'cluster.follow', params);
      const stood = deps.stood();
      const of = stood?.superseded;
      if (stood === null || of === undefined) {
        running();
        throw new ApiFailure(
          'refused',
          'this host has not heard of a recovery of its cluster',
          'start it while the host that was recovered is up and reachable',
        );
      }
      checkName(cluster_name, stood.cluster_name);
      return ordered(async () => {
        const copy = await deps.keepCopy(`before-generation-${of.generation}`);
        await orderFollow(host, stood, of);
        return { cluster_name, generation: of.generation, recovered_by: of.recovered_by, copy };
      });
    });

  const word: ApiHandler = async (params) => {
    const { node: name } = parsed(word_schema, 'recover.word', params);
    const member = running();
    const node = member.state.list('nodes').find((one) => one.name === name);
    if (!node) throw new ApiFailure('not-found', `there is no node ${name}`, 'skein node list');
    const command = { type: 'node-word', time: env.wall_s(), uuid: node.uuid };
    await member.leader.call('lead.propose', { command }, { timeout_ms: word_timeout_ms, repeat: true });
    return null;
  };

  return new Map<string, ApiHandler>([
    ['recover.look', () => running().surveyRecovery()],
    ['cluster.recover', recover],
    ['cluster.follow', follow],
    ['recover.word', word],
  ]);
}
