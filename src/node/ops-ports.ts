/**
 * What the job engine sees of the world, on the leader, for one term.
 */
import type { State } from '../config/api.ts';
import { encodeCommand } from '../config/codec.ts';
import type { ApplyResult, Command } from '../config/commands.ts';
import type { Evidence } from '../config/model.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import { createPlacementDesk, type PlacementEngine } from '../ops/placement-desk.ts';
import {
  type LiveNode,
  NodeCallError,
  type OpsPorts,
  type Progress,
  type StepKey,
  type VerbName,
} from '../ops/types.ts';
import type { Mesh } from './mesh-types.ts';
import type { Env } from './real-env.ts';

/** A command that the state machine refused. `code` is the refusal's. */
export class CommandRefused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CommandRefused';
    this.code = code;
  }
}

/** Proposes, waits until applied here, and turns a refusal into an error. */
export async function proposeCommand(
  replica: Pick<ReplicaApi, 'propose'>,
  command: Command,
): Promise<{ index: number; value: unknown }> {
  const { index, result } = await replica.propose(encodeCommand(command));
  const applied = result as ApplyResult;
  if (!applied.ok) throw new CommandRefused(applied.error.code, applied.error.message);
  return { index, value: applied.value };
}

/** How long one attempt at a verb may stay unanswered. A second attempt with the same key joins the first. */
const attempt_timeout_ms: Partial<Record<VerbName, number>> = {
  'os.create': 60 * 60 * 1000,
  'disk.create': 10 * 60 * 1000,
  'instance.stop': 60 * 60 * 1000,
  'test.delay': 60 * 60 * 1000,
};
const default_attempt_timeout_ms = 2 * 60 * 1000;
/** `closed`: the node's agent is being stopped, and comes back; the act goes on or is done again under its key. */
const retry_codes = new Set(['unreachable', 'broken', 'timeout', 'busy', 'remote-busy', 'closed']);
/** How often evidence against the node is looked for while a call waits for it. */
const evidence_every_ms = 1_000;

export interface OpsPortsDeps {
  readonly env: Env;
  readonly state: State;
  readonly replica: ReplicaApi;
  readonly mesh: Pick<Mesh, 'call'>;
  readonly term: number;
  readonly placement: PlacementEngine;
  live(node_uuid: string): LiveNode | undefined;
  evidence(node_uuid: string): Evidence | null;
  barLease(node_uuid: string): () => void;
  /** Resolves when it has heard, or did not for a while; never rejects. */
  memberRemoved(member: number): Promise<void>;
}

export function createOpsPorts(deps: OpsPortsDeps): OpsPorts {
  const { env, state, replica, mesh } = deps;

  function pause(delay_ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = env.after(delay_ms, done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }

  /** A node that hangs answers nothing: evidence of its loss must end the wait. */
  function watchEvidence(node_uuid: string, lost: AbortController): () => void {
    let cancel: () => void = () => undefined;
    const look = () => {
      if (deps.evidence(node_uuid) !== null) lost.abort();
      else cancel = env.after(evidence_every_ms, look);
    };
    cancel = env.after(evidence_every_ms, look);
    return () => cancel();
  }

  async function call(
    node_uuid: string,
    key: StepKey,
    index: number,
    verb: VerbName,
    args: unknown,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<unknown> {
    for (let attempt = 0; ; attempt += 1) {
      if (signal.aborted) throw new NodeCallError('canceled', 'canceled');
      const node = state.get('nodes', node_uuid);
      if (!node)
        throw new NodeCallError('node-lost', `node ${node_uuid} is not in the configuration any more`);
      const lost = deps.evidence(node_uuid);
      if (lost)
        throw new NodeCallError('node-lost', `node ${node.name} is lost (${lost.kind}: ${lost.text})`);
      const found_lost = new AbortController();
      const unwatch = watchEvidence(node_uuid, found_lost);
      try {
        return await mesh.call(
          node.member,
          'node.call',
          { key, term: deps.term, index, verb, args },
          {
            timeout_ms: attempt_timeout_ms[verb] ?? default_attempt_timeout_ms,
            onNote: (note) => onProgress(note as Progress),
            // The act itself belongs to its step in the log (actions/index.ts): this ends the wait for it.
            signal: AbortSignal.any([signal, found_lost.signal]),
          },
        );
      } catch (error) {
        const code = (error as { code?: string }).code ?? '';
        if (code === 'failed') throw new NodeCallError('failed', `${node.name}: ${(error as Error).message}`);
        if (code === 'refused')
          throw new NodeCallError('refused', `${node.name}: ${(error as Error).message}`);
        if (signal.aborted) throw new NodeCallError('canceled', 'canceled');
        if (found_lost.signal.aborted) continue;
        if (!retry_codes.has(code))
          throw new NodeCallError('failed', `${node.name}: ${(error as Error).message}`);
        env.log('debug', 'node call is repeated', { node: node.name, verb, code, attempt });
      } finally {
        unwatch();
      }
      await pause(Math.min(1000, 20 * 2 ** Math.min(attempt, 6)) * (0.5 + env.random()), signal);
    }
  }

  return {
    state,
    propose: (command) => proposeCommand(replica, command),
    call,
    placement: createPlacementDesk({ state, engine: deps.placement, live: deps.live }),
    live: deps.live,
    evidence: deps.evidence,
    barLease: deps.barLease,
    async removeMember(member) {
      const { configuration } = replica.status();
      if (configuration.voters.includes(member) || configuration.learners.includes(member)) {
        await replica.changeMembers([{ type: 'remove', id: member }]);
      }
      // Before its removal is recorded: from then on the mesh does not reach it, and a later leader has no reason to try.
      await deps.memberRemoved(member);
    },
    voters() {
      const { voters, voters_outgoing } = replica.status().configuration;
      return [...new Set([...voters, ...voters_outgoing])];
    },
    now_ms: env.now_ms,
    wall_s: env.wall_s,
    after: env.after,
    uuid: env.uuid,
    random: env.random,
    log: env.log,
  };
}
