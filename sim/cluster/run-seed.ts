/**
 * One run from one seed: found, join, go wrong for a while under load, heal, converge. The seed decides everything;
 * the same seed gives the same run, to the last line of its trace.
 */
import { default_ha, scaled_ha } from '../../src/config/defaults.ts';
import { Knobs } from '../kit/knobs.ts';
import type { Marks } from '../kit/marks.ts';
import { formatSeed } from '../kit/seed.ts';
import { Trace } from '../kit/trace.ts';
import { Breach, SimCluster } from './cluster.ts';
import { leftOver, lostJob, notConverged } from './convergence.ts';
import { drawFaults, Faults } from './faults.ts';
import type { Mark } from './mark-names.ts';
import type { Turn } from './virtual-time.ts';
import { drawWork, Workload } from './workload.ts';
import type { HostHabits } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  /** Hosts at the beginning; drawn when null. */
  readonly nodes: number | null;
  /** Virtual minutes of load and faults. */
  readonly minutes: number;
  /** Instances become protected, and cease to be, while they run. */
  readonly protection_changes: boolean;
  readonly turn: Turn;
  /** Sees each line of the trace. */
  readonly sink?: (line: string) => void;
}

export interface RunResult {
  readonly hash: string;
  readonly lines: number;
  readonly nodes: number;
  /** Virtual seconds, founding and convergence included. */
  readonly simulated_s: number;
  readonly converged_s: number;
  readonly events: number;
  readonly jobs: number;
  readonly marks: Marks<Mark>;
}

/** A repair that failed again and again is tried every five minutes at last. */
const most_convergence_ms = 420_000;
const bounds_every_ms = 5_000;
const kept_lines = 60;

function drawHabits(knobs: Knobs): HostHabits {
  const rare = () => knobs.maybe(0.4, () => knobs.range(0, 0.2), 0);
  return {
    sync_ms: knobs.range(0.1, 12),
    pipe_ms: knobs.range(0.01, 1),
    deaf_guests: rare(),
    mute_monitors: rare(),
    master_ip_fails: rare(),
    master_ip_hangs: rare(),
    os_fails: rare(),
    start_fails: rare(),
  };
}

/** @throws Error with the one-line replay and the last lines of the trace. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const knobs = new Knobs(options.seed ^ 0x5eed);
  const trace = new Trace(kept_lines, options.sink ?? null);
  const lease = knobs.chance(0.5) ? 'scaled' : 'default';
  const cluster = new SimCluster({
    seed: options.seed,
    nodes: options.nodes ?? knobs.integer(3, 7),
    trace,
    turn: options.turn,
    drift: knobs.maybe(0.7, () => 0.01, 0),
    lease,
    candidate_pool_size: knobs.integer(3, 7),
    delays: { least_ms: knobs.range(0.02, 1), mean_ms: knobs.range(0.05, 5) },
    habits: drawHabits(knobs),
  });
  const ha = lease === 'scaled' ? scaled_ha : default_ha;
  const fault_knobs = drawFaults(knobs, ha.kill_ms);
  try {
    await cluster.found();
    await cluster.joinAll();
    const faults = new Faults(cluster, fault_knobs);
    const work = new Workload(cluster, drawWork(knobs, cluster.options.nodes, options.protection_changes));
    work.start();
    faults.start();
    for (let left_ms = options.minutes * 60_000; left_ms > 0; left_ms -= bounds_every_ms) {
      await cluster.run(Math.min(left_ms, bounds_every_ms));
      cluster.oracles.checkBounds(cluster.hosts);
    }
    work.stop();
    faults.healAll();
    cluster.note('run', 'healed');
    return await converge(cluster, work, trace);
  } catch (error) {
    const replay = `node sim/run-cluster.ts --seed ${formatSeed(options.seed)} --minutes ${options.minutes}${options.nodes === null ? '' : ` --nodes ${options.nodes}`}${options.protection_changes ? ' --protection-changes' : ''}`;
    const text = error instanceof Breach ? error.message : (error as Error).stack;
    throw new Error(`${text}\nreplay: ${replay}\n${trace.last(kept_lines).join('\n')}`);
  }
}

async function converge(cluster: SimCluster, work: Workload, trace: Trace): Promise<RunResult> {
  const from_ms = cluster.time.now_ms;
  const wrong = () => notConverged(cluster) ?? lostJob(cluster) ?? leftOver(cluster);
  let next_look_ms = from_ms;
  const held = await cluster.run(most_convergence_ms, () => {
    if (cluster.time.now_ms < next_look_ms) return false;
    next_look_ms = cluster.time.now_ms + 500;
    return work.idle && wrong() === null;
  });
  if (!held) {
    noteWarnings(cluster);
    throw new Breach(`O8: not converged in ${most_convergence_ms / 1000} s: ${wrong()}`);
  }
  const jobs = cluster.leader()?.member.state.list('jobs') ?? [];
  for (const job of jobs) {
    if (job.status === 'success') cluster.marks.hit('job done');
    else cluster.marks.hit(job.status === 'canceled' ? 'job canceled' : 'job failed');
  }
  for (const instance of cluster.leader()?.member.state.list('instances') ?? []) {
    for (const { evidence } of instance.owner_log) {
      if (evidence?.kind === 'horizon') cluster.marks.hit('failover by horizon');
      else if (evidence?.kind === 'boot') cluster.marks.hit('failover by boot');
      else if (evidence?.kind === 'stopped') cluster.marks.hit('failover by stop');
    }
  }
  return {
    hash: trace.hash,
    lines: trace.count,
    nodes: cluster.options.nodes,
    simulated_s: cluster.time.now_ms / 1000,
    converged_s: (cluster.time.now_ms - from_ms) / 1000,
    events: cluster.time.events,
    jobs: jobs.length,
    marks: cluster.marks,
  };
}

/** What jobs had to complain of: the first place to look when something is left over. */
function noteWarnings(cluster: SimCluster): void {
  for (const job of cluster.leader()?.member.state.list('jobs') ?? []) {
    for (const op of job.ops) {
      const warnings = op.log.filter(([, , kind]) => kind === 'warning').map(([, , , text]) => String(text));
      if (warnings.length > 0 || job.end_timestamp === null)
        cluster.note('job', `${job.id} ${job.status} ${op.input.OP_ID}: ${warnings.join('; ')}`);
    }
  }
}
