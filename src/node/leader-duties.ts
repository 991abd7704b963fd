/**
 * What a leader does beyond replicating: grants leases, runs jobs, decides on repairs, keeps the voters in order.
 * Made when its term's own entry is applied, ended at once when the lead is lost; a new one knows nothing of an old
 * one but what is in the log.
 */
import type { Command } from '../config/commands.ts';
import { default_ha } from '../config/defaults.ts';
import type { Evidence } from '../config/model.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import { createJobEngine } from '../ops/engine.ts';
import { opcodes } from '../ops/opcodes/registry.ts';
import type { JobEngine, LiveNode, OpsPorts } from '../ops/types.ts';
import type { CrashPoint } from './crash-point.ts';
import { createHaLoop, type HaLoop } from './ha-loop.ts';
import { createLeaseGranter, type LeaseGranter } from './lease/lease-granter.ts';
import type { Machine } from './machine.ts';
import { adjustVoters } from './membership.ts';
import type { Mesh } from './mesh-types.ts';
import { createOpsPorts, proposeCommand } from './ops-ports.ts';
import type { Env } from './real-env.ts';

export interface LeaderDuties {
  readonly term: number;
  readonly engine: JobEngine;
  readonly granter: LeaseGranter;
  readonly ports: OpsPorts;
  live(): ReadonlyMap<string, LiveNode>;
  evidence(node_uuid: string): Evidence | null;
  propose(command: Command): Promise<{ index: number; value: unknown }>;
  /** Entries were applied. */
  wake(): void;
  stop(): void;
}

export interface LeaderDutiesDeps {
  readonly env: Env;
  readonly machine: Machine;
  readonly replica: ReplicaApi;
  readonly mesh: Mesh;
  readonly self_member: number;
  /** A member was taken out of the Raft group: tell it while it may still hear. */
  memberRemoved(member: number): Promise<void>;
  /** Tests only; null in a real agent. */
  readonly crash: CrashPoint | null;
}

const membership_every_ms = 500;

export function startLeaderDuties(deps: LeaderDutiesDeps, term: number): LeaderDuties {
  const { env, machine, replica, mesh } = deps;
  const { state } = machine;
  let stopped = false;
  const since_ms = env.now_ms();

  const granter = createLeaseGranter({
    now_ms: env.now_ms,
    after: env.after,
    readIndex: () => replica.readIndex(),
    applied: () => replica.status().applied,
    ha: () => state.get('cluster', 'cluster')?.ha ?? default_ha,
    loggedBoot: (uuid) => state.get('nodes', uuid)?.boot ?? null,
    log: env.log,
  });
  const propose = (command: Command) => {
    if (stopped)
      return Promise.reject(
        Object.assign(new Error('no longer the leader'), { code: 'not-leader', outcome: 'not-proposed' }),
      );
    return proposeCommand(replica, command);
  };
  const ha: HaLoop = createHaLoop({ env, machine, granter, term, since_ms, propose });
  const ports = createOpsPorts({
    env,
    state,
    replica,
    mesh,
    term,
    live: (uuid) => granter.live().get(uuid),
    evidence: (uuid) => ha.evidence(uuid),
    barLease: (uuid) => granter.bar(uuid),
    memberRemoved: deps.memberRemoved,
  });
  const propose_for_jobs = deps.crash?.wrap(ports.propose) ?? ports.propose;
  const engine = createJobEngine({ ...ports, propose: propose_for_jobs }, opcodes);
  engine.start(term);

  const silent_since = new Map<number, number>();
  let changing = false;
  async function tendVoters(): Promise<void> {
    const status = replica.status();
    const now_ms = env.now_ms();
    for (const progress of status.progress) {
      if (progress.active) silent_since.delete(progress.id);
      else if (!silent_since.has(progress.id)) silent_since.set(progress.id, now_ms);
    }
    const nodes = state.list('nodes');
    if (nodes.length === 0) return;
    const changes = adjustVoters({
      self: deps.self_member,
      configuration: status.configuration,
      nodes: nodes.map((node) => ({
        member: node.member,
        eligible: node.master_capable,
        offline: node.offline,
      })),
      progress: new Map(
        status.progress.map((p) => [
          p.id,
          {
            active: p.active && mesh.isUp(p.id),
            lag: p.match === 0 ? Number.POSITIVE_INFINITY : status.last_index - p.match,
          },
        ]),
      ),
      candidate_pool_size: state.get('cluster', 'cluster')?.candidate_pool_size ?? 5,
      silent_ms: new Map([...silent_since].map(([id, at_ms]) => [id, now_ms - at_ms])),
    });
    if (!changes) return;
    env.log('info', 'the Raft group changes', { changes });
    await replica.changeMembers(changes);
  }

  let cancel_membership: () => void = () => undefined;
  const membershipTick = () => {
    if (stopped) return;
    if (!changing) {
      changing = true;
      tendVoters()
        .catch((error: Error) => env.log('info', 'the Raft group did not change', { error: error.message }))
        .finally(() => {
          changing = false;
        });
    }
    cancel_membership = env.after(membership_every_ms, membershipTick);
  };
  membershipTick();

  return {
    term,
    engine,
    granter,
    ports,
    live: () => granter.live(),
    evidence: (uuid) => ha.evidence(uuid),
    propose,
    wake() {
      if (stopped) return;
      engine.wake();
      if (!changing && state.list('nodes').length !== replica.status().progress.length) {
        cancel_membership();
        membershipTick();
      }
    },
    stop() {
      if (stopped) return;
      stopped = true;
      granter.stop();
      engine.stop();
      ha.stop();
      cancel_membership();
    },
  };
}
