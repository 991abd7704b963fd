/**
 * The thin loop around the pure decider (ha/decide.ts): it shows it what the leader knows, and turns what it wants into
 * conditional entries and jobs. It never acts twice for the same thing: every repair job's request id names the
 * instance, its epoch and the attempt, and the state refuses a second one.
 */

import { unseenNodes } from '../config/apply-recover.ts';
import type { Command } from '../config/commands.ts';
import { jobKey, meta_key } from '../config/keys.ts';
import type { Cluster, Evidence } from '../config/model.ts';
import { fillNdParams } from '../config/params.ts';
import { type Attempts, type AttemptsView, failuresOf, retryDelayMs, tendAttempts } from './ha/attempts.ts';
import {
  decide,
  evidenceFor,
  type HaMemory,
  type HaWorld,
  isSuspect,
  no_memory,
  observe,
} from './ha/decide.ts';
import type { EvidenceView } from './ha/evidence.ts';
import { createJobWatch } from './ha/job-watch.ts';
import { createPowerWatch, type SilentNode } from './ha/power-watch.ts';
import type { HaAction } from './ha-types.ts';
import type { LeaseGranter } from './lease/lease-granter.ts';
import type { Machine } from './machine.ts';
import { CommandRefused } from './ops-ports.ts';
import type { Env } from './real-env.ts';
import { settleBar } from './settle-bar.ts';

export interface HaLoop {
  evidence(node_uuid: string): Evidence | null;
  stop(): void;
}

export interface HaLoopDeps {
  readonly env: Env;
  readonly machine: Pick<Machine, 'state'>;
  readonly granter: Pick<LeaseGranter, 'bar' | 'heard' | 'live'>;
  /** The leader's. */
  readonly term: number;
  /** When this leader's own-term entry was applied. */
  readonly since_ms: number;
  propose(command: Command): Promise<{ index: number; value: unknown }>;
  /** Of another host, by an out-of-band program. Ends in bounded time. */
  isPowered(program: string, node: string): Promise<boolean>;
}

const tick_ms = 250;

export function createHaLoop(deps: HaLoopDeps): HaLoop {
  const { env, machine, granter } = deps;
  const { state } = machine;
  let stopped = false;
  let acting = false;
  let held_reason = '';
  let memory: HaMemory = no_memory;
  let attempts: Attempts = new Map();
  /** Repair jobs submitted by this leader, by instance: their request ids never come twice. */
  const submitted = new Map<string, number>();
  const jobs = createJobWatch(state);
  const power = createPowerWatch({ now_ms: env.now_ms, log: env.log, isPowered: deps.isPowered });

  /** What evidence is judged by. */
  function sight(cluster: Cluster): EvidenceView {
    return {
      now_ms: env.now_ms(),
      leader_since_ms: deps.since_ms,
      ha: cluster.ha,
      nodes: state.list('nodes'),
      heard: granter.heard(),
      unseen: unseen(),
      no_power: power.proofs(),
    };
  }

  function view(cluster: Cluster): AttemptsView & Omit<HaWorld, 'failures'> {
    const seen = sight(cluster);
    return {
      ...seen,
      wall_s: env.wall_s(),
      cluster,
      groups: state.list('groups'),
      instances: state.list('instances'),
      disks: state.list('disks'),
      live: granter.live(),
      busy: jobs.busy(),
      job_ended_at_ms: jobs.look(seen.now_ms),
      job: (id) => state.get('jobs', jobKey(id)),
    };
  }

  function silentNodes(cluster: Cluster): readonly SilentNode[] {
    const seen = sight(cluster);
    return state.list('nodes').flatMap((node) => {
      if (!isSuspect(seen, node.uuid)) return [];
      const group = state.get('groups', node.group);
      const program = group === undefined ? '' : String(fillNdParams(cluster, group, node).oob_program ?? '');
      return [{ uuid: node.uuid, name: node.name, boot: node.boot, program }];
    });
  }

  async function submit(
    instance_uuid: string,
    op: Record<string, unknown> & { OP_ID: string },
    why: string,
  ): Promise<void> {
    const instance = state.get('instances', instance_uuid);
    if (!instance) return;
    const count = (attempts.get(instance_uuid)?.count ?? 0) + 1;
    const serial = (submitted.get(instance_uuid) ?? 0) + 1;
    const { value } = await deps.propose({
      type: 'job-submit',
      time: env.wall_s(),
      request_id: `repair:${instance_uuid}:${instance.owner.epoch}:${deps.term}:${serial}:${op.OP_ID}`,
      jobs: [
        {
          ops: [op],
          priority: -10,
          depends: [],
          reason: [['skein:repair', why, Math.round(env.wall_s() * 1e9)]],
        },
      ],
    });
    const job = (value as readonly number[])[0]!;
    submitted.set(instance_uuid, serial);
    attempts = new Map(attempts).set(instance_uuid, { job, count, state: 'running', at_ms: env.now_ms() });
    env.log('warn', 'repair', { instance: instance.name, op: op.OP_ID, job, count, why });
  }

  async function act(action: HaAction): Promise<void> {
    switch (action.type) {
      case 'node-health': {
        const command: Command = {
          type: 'node-health',
          time: env.wall_s(),
          uuid: action.node,
          health: action.health,
          reason: action.reason,
          if_boot: action.if_boot,
        };
        if (action.health !== 'lost') {
          await deps.propose(command);
          return;
        }
        // Rule 4 of docs/ha.md: no lease from the proposal until it is applied or refused. Its outcome may stay
        // unknown although the lead is kept: then the bar stays until something proposed after it is decided.
        const release = granter.bar(action.node);
        await settleBar(
          { after: env.after, propose: deps.propose, stopped: () => stopped },
          command,
          release,
        );
        return;
      }
      case 'failover':
        return submit(
          action.instance,
          {
            OP_ID: 'OP_INSTANCE_FAILOVER',
            instance_name: nameOf(action.instance),
            ...(action.target ? { target_node: nodeName(action.target) } : {}),
            skein_repair: true,
          },
          action.reason,
        );
      case 'start':
        return submit(
          action.instance,
          {
            OP_ID: 'OP_INSTANCE_STARTUP',
            instance_name: nameOf(action.instance),
            no_remember: true,
            skein_repair: true,
          },
          action.reason,
        );
      case 'hold':
        if (action.reason !== held_reason) env.log('warn', 'repair holds', { reason: action.reason });
        held_reason = action.reason;
        return;
      default:
        throw new Error(`unknown action ${JSON.stringify(action satisfies never)}`);
    }
  }
  const unseen = () => unseenNodes(state.get('meta', meta_key)?.recovery);
  const nameOf = (uuid: string) => state.get('instances', uuid)?.name ?? uuid;
  const nodeName = (uuid: string) => state.get('nodes', uuid)?.name ?? uuid;

  /** One act that fails must not keep the others from being done: it comes again with the next look. */
  async function attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (stopped) return;
      const level = error instanceof CommandRefused ? 'info' : 'warn';
      env.log(level, 'a repair was not taken on', { what, error: (error as Error).message });
    }
  }

  async function boots(): Promise<void> {
    for (const [uuid, heard] of granter.heard()) {
      const node = state.get('nodes', uuid);
      if (stopped) return;
      if (node && heard.heard_at_ms !== null && unseen().has(uuid)) {
        await attempt(`first sight of ${node.name}`, async () => {
          await deps.propose({ type: 'node-seen', time: env.wall_s(), uuid });
        });
      }
      if (!node || heard.boot <= node.boot) continue;
      await attempt(`boot of ${node.name}`, async () => {
        await deps.propose({ type: 'node-boot', time: env.wall_s(), uuid, boot: heard.boot });
      });
    }
  }

  function tend(seen: AttemptsView): void {
    const before = attempts;
    attempts = tendAttempts(before, seen);
    for (const [uuid, { count, state: now, job }] of attempts) {
      if (now !== 'failed' || before.get(uuid)?.state === 'failed') continue;
      const wait_ms = retryDelayMs(count);
      env.log('warn', 'a repair did not last', { instance: nameOf(uuid), job, count, wait_ms });
    }
    for (const uuid of submitted.keys()) if (!state.get('instances', uuid)) submitted.delete(uuid);
  }

  async function once(): Promise<void> {
    await boots();
    const cluster = state.get('cluster', 'cluster');
    if (!cluster) return;
    power.look(silentNodes(cluster));
    const looked = view(cluster);
    tend(looked);
    const seen: HaWorld = { ...looked, failures: failuresOf(attempts) };
    memory = observe(memory, seen);
    const actions = decide({ ...seen, memory });
    if (!actions.some((action) => action.type === 'hold')) held_reason = '';
    for (const action of actions) {
      if (stopped) return;
      await attempt(action.type, () => act(action));
    }
  }

  let cancel: () => void = () => undefined;
  function run(): void {
    if (stopped || acting) return;
    acting = true;
    cancel();
    once()
      .catch((error: Error) => {
        if (!stopped) env.log('error', 'the repair decider failed', { error: error.message });
      })
      .finally(() => {
        acting = false;
        if (!stopped) cancel = env.after(tick_ms, run);
      });
  }
  run();

  return {
    evidence(node_uuid) {
      const cluster = state.get('cluster', 'cluster');
      if (!cluster) return null;
      return evidenceFor(sight(cluster), node_uuid);
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}
