/**
 * A cluster that balances itself: the leader looks now and then, and has one move made at a time, each by a job that
 * looks again (opcodes/balance-run.ts). Off unless the cluster's parameter `balancing` is set.
 *
 * - Never more than so many moves an hour, whoever leads: time (the leader's wall clock) is cut into slots, the job's
 *   request id names its slot, and the state takes a request id once.
 * - It begins when all moves together would gain `start_gain`, and goes on as long as one gains `min_gain`: what is
 *   nearly balanced is left alone.
 * - It waits while anything is not well, while somebody else moves instances, and longer after each of its jobs that failed.
 */
import type { StateView } from '../config/api.ts';
import type { Balancing, Job } from '../config/model.ts';
import type { BalancePlan } from '../placement/balance-plan.ts';
import { isFinal } from './job-runner.ts';
import { troubleOf } from './maintenance/trouble.ts';
import { balance_id } from './opcodes/balance-run.ts';
import type { OpsPorts } from './types.ts';

export type BalancerDeps = Pick<
  OpsPorts,
  'state' | 'propose' | 'placement' | 'live' | 'wall_s' | 'after' | 'log'
>;

export interface Balancer {
  /** The cluster's parameters changed. */
  wake(): void;
  stop(): void;
}

export const request_prefix = 'balancing-';
const looks_per_slot = 4;
const most_between_looks_ms = 60_000;
/** Enough to know what is to be gained; only the first is made. */
const moves_looked_at = 20;
const most_doublings = 6;

export function createBalancer(deps: BalancerDeps): Balancer {
  let stopped = false;
  let looking = false;
  let cancel: (() => void) | null = null;

  async function look(settings: Balancing): Promise<void> {
    const slot_s = slotSeconds(settings);
    const slot = Math.floor(deps.wall_s() / slot_s);
    if (mayMove(deps, settings, slot) === null) return;
    const { moves_per_hour, start_gain, ...limits } = settings;
    const plan = await deps.placement.report({
      type: 'balance',
      group: null,
      max_moves: moves_looked_at,
      ...limits,
    });
    // It may have taken long: another leader, other parameters, or a job of an operator.
    if (stopped || settingsOf(deps.state) !== settings) return;
    const begun = mayMove(deps, settings, slot);
    if (begun === null) return;
    const gain = gainOf(plan);
    if (gain === 0 || (!begun.going_on && gain < start_gain)) return;
    const { allow_restart, min_gain, gain_per_gib, gain_per_down_s } = limits;
    const op = { OP_ID: balance_id, max_moves: 1, min_gain, gain_per_gib, gain_per_down_s, allow_restart };
    const why = `balancing: ${gain.toFixed(4)} to be gained, at most ${moves_per_hour} moves an hour`;
    await deps.propose({
      type: 'job-submit',
      time: deps.wall_s(),
      request_id: requestId(slot_s, slot),
      jobs: [{ ops: [op], priority: 10, depends: [], reason: [['skein', why, 0]] }],
    });
  }

  function schedule(): void {
    cancel?.();
    cancel = null;
    const settings = settingsOf(deps.state);
    if (stopped || settings === null) return;
    const between_ms = Math.min((slotSeconds(settings) * 1000) / looks_per_slot, most_between_looks_ms);
    cancel = deps.after(between_ms, () => {
      looking = true;
      look(settings)
        .catch((error: Error) => deps.log('info', 'balancing did not look', { error: error.message }))
        .finally(() => {
          looking = false;
          schedule();
        });
    });
  }

  schedule();
  return {
    wake() {
      if (!looking) schedule();
    },
    stop() {
      stopped = true;
      cancel?.();
    },
  };
}

const settingsOf = (state: StateView): Balancing | null => state.get('cluster', 'cluster')?.balancing ?? null;
const slotSeconds = ({ moves_per_hour }: Balancing): number => 3600 / moves_per_hour;
const requestId = (slot_s: number, slot: number): string => `${request_prefix}${Math.round(slot_s)}s-${slot}`;

function gainOf({ groups }: BalancePlan): number {
  return groups.reduce((sum, { before, after }) => sum + before - after, 0);
}

/** @returns null: not in this slot, or not now. Otherwise whether its last move was a moment ago. */
function mayMove(
  { state, live }: Pick<BalancerDeps, 'state' | 'live'>,
  settings: Balancing,
  slot: number,
): { readonly going_on: boolean } | null {
  const slot_s = slotSeconds(settings);
  if (state.get('requests', requestId(slot_s, slot)) !== undefined) return null;
  const jobs = state.list('jobs');
  if (jobs.some(movesInstances) || troubleOf(state, live) !== null) return null;
  const own = jobs.filter((job) => job.request_id.startsWith(request_prefix)).toSorted((a, b) => b.id - a.id);
  const last = own[0];
  if (last === undefined) return { going_on: false };
  // A former leader's clock may have been ahead, by anything.
  const slots_since = Math.abs(slot - Math.floor(last.received_timestamp / slot_s));
  const good = own.findIndex(({ status }) => status === 'success');
  const failures = good < 0 ? own.length : good;
  if (failures > 0 && slots_since < 2 ** Math.min(failures, most_doublings)) return null;
  return { going_on: slots_since <= 2 && moved(last) };
}

/** Jobs of one instance keep it to themselves by its lock; these go through many. */
function movesInstances(job: Job): boolean {
  return !isFinal(job.status) && job.ops.some(({ input }) => many_instances.has(input.OP_ID));
}

const many_instances = new Set([
  balance_id,
  'OP_MAINTENANCE_RUN',
  'OP_NODE_EVACUATE',
  'OP_INSTANCE_FAILOVER',
  'OP_NODE_REMOVE',
  'OP_CLUSTER_DESTROY',
]);

function moved({ ops }: Job): boolean {
  return ops.some(({ result }) => {
    const moves = (result as { readonly moves?: unknown } | null)?.moves;
    return typeof moves === 'number' && moves > 0;
  });
}
