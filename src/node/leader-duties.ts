/**
 * What a leader does beyond replicating: grants leases, runs jobs, decides on repairs, keeps the voters in order.
 * Made when its term's own entry is applied, ended at once when the lead is lost; a new one knows nothing of an old
 * one but what is in the log.
 */
import { checkCommand } from '../config/command-schemas.ts';
import type { Command } from '../config/commands.ts';
import { default_ha } from '../config/defaults.ts';
import { meta_key } from '../config/keys.ts';
import type { Evidence } from '../config/model.ts';
import { plainData } from '../config/plain-data.ts';
import { Refused } from '../config/refused.ts';
import type { ReplicaApi } from '../consensus/api.ts';
import { createBalancer } from '../ops/balancer.ts';
import { createJobEngine } from '../ops/engine.ts';
import { opcodes } from '../ops/opcodes/registry.ts';
import type { PlacementEngine } from '../ops/placement-desk.ts';
import type { JobEngine, LiveNode, OpsPorts } from '../ops/types.ts';
import type { CrashPoint } from './crash-point.ts';
import { createHaLoop, type HaLoop } from './ha-loop.ts';
import { createLeaseGranter, type LeaseGranter } from './lease/lease-granter.ts';
import type { Machine } from './machine.ts';
import type { Mesh } from './mesh-types.ts';
import { CommandRefused, createOpsPorts, proposeCommand } from './ops-ports.ts';
import type { Env } from './real-env.ts';
import { holdsLeases } from './recover-hold.ts';
import type { MemberStanding } from './voters/standing.ts';
import { createVoterTender } from './voters/tender.ts';
import { voterNodes } from './voters/voter-nodes.ts';

export interface LeaderDuties {
  readonly term: number;
  readonly engine: JobEngine;
  readonly granter: LeaseGranter;
  readonly ports: OpsPorts;
  live(): ReadonlyMap<string, LiveNode>;
  evidence(node_uuid: string): Evidence | null;
  /** What the choice of voters waits for or lacks, in words; '' when all is as it should be. */
  votersReason(): string;
  standings(): readonly MemberStanding[];
  /** @throws CommandRefused `invalid` with nothing proposed, for a command that no replica would take */
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
  readonly placement: PlacementEngine;
  /** Since when this agent's mesh listens, on its own clock. */
  readonly mesh_since_ms: number;
  /** A member was taken out of the Raft group: tell it while it may still hear. */
  memberRemoved(member: number): Promise<void>;
  /** Of another host, by an out-of-band program. */
  isPowered(program: string, node: string): Promise<boolean>;
  /** Tests only; null in a real agent. */
  readonly crash: CrashPoint | null;
}

/** What is of the wrong shape is refused before it costs an entry of every log. @throws CommandRefused `invalid` */
function checkShape(command: Command): void {
  try {
    checkCommand(plainData(command));
  } catch (error) {
    if (error instanceof Refused) throw new CommandRefused(error.refusal.code, error.message);
    throw error;
  }
}

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
    hold: () => {
      const { ha: params } = state.get('cluster', 'cluster') ?? { ha: default_ha };
      return holdsLeases(state.get('meta', meta_key)?.recovery, params, env.now_ms() - deps.mesh_since_ms);
    },
    log: env.log,
  });
  const propose = async (command: Command) => {
    if (stopped)
      throw Object.assign(new Error('no longer the leader'), { code: 'not-leader', outcome: 'not-proposed' });
    checkShape(command);
    return proposeCommand(replica, command);
  };
  const ha: HaLoop = createHaLoop({
    env,
    machine,
    granter,
    term,
    since_ms,
    propose,
    isPowered: deps.isPowered,
  });
  const voters = createVoterTender({
    env,
    replica,
    self: deps.self_member,
    isUp: (member) => mesh.isUp(member),
    nodes: () => voterNodes(state),
    candidatePoolSize: () => state.get('cluster', 'cluster')?.candidate_pool_size ?? 5,
    async renew(member) {
      const node = state.list('nodes').find((one) => one.member === member);
      if (node === undefined) return;
      await propose({ type: 'node-renew', time: env.wall_s(), uuid: node.uuid, if_member: member });
    },
    leaseMs: () => (state.get('cluster', 'cluster')?.ha ?? default_ha).lease_ms,
  });
  const general_ports = createOpsPorts({
    env,
    state,
    replica,
    mesh,
    term,
    placement: deps.placement,
    live: (uuid) => granter.live().get(uuid),
    evidence: (uuid) => ha.evidence(uuid),
    barLease: (uuid) => granter.bar(uuid),
    memberRemoved: deps.memberRemoved,
  });
  const ports: OpsPorts = {
    ...general_ports,
    async removeMember(member) {
      await voters.removeMember(member);
      // Before its removal is recorded: from then on the mesh does not reach it, and a later leader has no reason to try.
      await deps.memberRemoved(member);
    },
  };
  const propose_for_jobs = deps.crash?.wrap(ports.propose) ?? ports.propose;
  const engine = createJobEngine({ ...ports, propose: propose_for_jobs }, opcodes);
  engine.start(term);
  const balancer = createBalancer(ports);
  const unwatch = machine.onChanges((_index, changes) => {
    if (changes.some(({ table }) => table === 'nodes' || table === 'cluster' || table === 'groups'))
      voters.wake();
    if (changes.some(({ table }) => table === 'cluster')) balancer.wake();
  });

  return {
    term,
    engine,
    granter,
    ports,
    live: () => granter.live(),
    evidence: (uuid) => ha.evidence(uuid),
    votersReason: () => voters.reason(),
    standings: () => voters.standings(),
    propose,
    wake() {
      if (stopped) return;
      engine.wake();
    },
    stop() {
      if (stopped) return;
      stopped = true;
      granter.stop();
      engine.stop();
      ha.stop();
      voters.stop();
      balancer.stop();
      unwatch();
    },
  };
}
