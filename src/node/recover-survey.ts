/**
 * Asks every other node, directly, what its replica knows: the leader has no part in it, as there should be none. It
 * changes nothing; what it finds is judged by recover-look.ts.
 */
import { z } from 'zod';
import type { StateView } from '../config/api.ts';
import { unseenNodes } from '../config/apply-recover.ts';
import { meta_key } from '../config/keys.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import type { RecoverLook } from './api-types.ts';
import type { MemberFile } from './member-file.ts';
import type { Mesh } from './mesh-types.ts';
import type { Env } from './real-env.ts';
import { judgeRecovery, type RecoverAnswer, type RecoverPeer, votersOf } from './recover-look.ts';
import { type LastEntry, watchSilence } from './recover-watch.ts';

const ask_timeout_ms = 3_000;

const answer_schema = z.object({
  leader: z.number(),
  term: z.number(),
  last_index: z.number(),
  last_term: z.number(),
  last_time: z.number().nullable(),
  faulty: z.boolean(),
});

export interface SurveyDeps {
  readonly env: Pick<Env, 'wall_s' | 'log'>;
  readonly mesh: Pick<Mesh, 'call' | 'handle' | 'isUp' | 'onPeer'>;
  readonly replica: Pick<ReplicaApi, 'status'>;
  readonly state: StateView;
  readonly file: MemberFile;
  last(): LastEntry;
}

/** Answers others from now on; the function asks them. Never rejects: who does not answer is part of the result. */
export function serveSurvey(deps: SurveyDeps): () => Promise<RecoverLook> {
  const { mesh, replica, state, file } = deps;
  const silentSince = watchSilence(mesh, deps.env.wall_s);

  function own(): RecoverAnswer {
    const status = replica.status();
    const { index, term, time } = deps.last();
    // Who does not vote does not notice by itself that its leader is gone.
    const heard = status.leader === file.member || mesh.isUp(status.leader);
    return {
      leader: heard ? status.leader : 0,
      term: status.term,
      last_index: index,
      last_term: term,
      last_time: time,
      faulty: status.faulty.some(({ id }) => id === file.member),
    };
  }
  mesh.handle('recover.ask', async () => own());

  async function ask(name: string, member: number): Promise<RecoverPeer> {
    try {
      const value = await mesh.call(member, 'recover.ask', {}, { timeout_ms: ask_timeout_ms });
      return { name, member, answer: answer_schema.parse(value), silent_since: null };
    } catch (error) {
      deps.env.log('info', 'a node does not answer', { name, error: (error as Error).message });
      // A host whose power went has a connection until its silence is noticed.
      const silent_since = mesh.isUp(member) ? deps.env.wall_s() : silentSince(member);
      return { name, member, answer: null, silent_since };
    }
  }

  return async () => {
    const nodes = state.list('nodes');
    const others = nodes.filter((node) => node.member !== file.member);
    const peers = await Promise.all(others.map(({ name, member }) => ask(name, member)));
    const { configuration, commit } = replica.status();
    const self = { name: file.node_name, member: file.member, answer: own() };
    const voters = votersOf(configuration);
    const nameOf = (uuid: string) => nodes.find((node) => node.uuid === uuid)?.name ?? uuid;
    const unseen = unseenNodes(state.get('meta', meta_key)?.recovery);
    return {
      cluster_name: file.cluster_name,
      name: file.node_name,
      ...judgeRecovery({ self, configuration, peers }),
      last: deps.last(),
      commit,
      nodes: [{ ...self, silent_since: null }, ...peers].map(({ name, member, answer, silent_since }) => ({
        name,
        voter: voters.includes(member),
        answers: answer !== null,
        silent_since,
        last_index: answer?.last_index ?? null,
      })),
      jobs: state
        .list('jobs')
        .filter((job) => job.end_timestamp === null)
        .map(({ id }) => id),
      instances: state.list('instances').map(({ name, owner, guarded }) => ({
        name,
        node: nameOf(owner.node),
        guarded,
      })),
      unseen: [...unseen].map(([uuid, word]) => ({ name: nameOf(uuid), word })),
    };
  };
}
