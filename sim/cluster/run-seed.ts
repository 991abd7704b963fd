/**
 * One run from one seed: found, join, go wrong for a while under load, heal, converge. The seed decides everything;
 * the same seed gives the same run, to the last line of its trace.
 */
import { default_ha, scaled_ha } from '../../src/config/defaults.ts';
import type { HistoryRecord } from '../history/jsonl.ts';
import { Knobs } from '../kit/knobs.ts';
import type { Marks } from '../kit/marks.ts';
import { formatSeed } from '../kit/seed.ts';
import { Trace } from '../kit/trace.ts';
import { createOps, type Shape } from '../swarm/shape.ts';
import { Acts, type TimedAct } from './acts.ts';
import { Breach, SimCluster } from './cluster.ts';
import { leftOver, lostJob, notConverged } from './convergence.ts';
import { checkExplained } from './explained.ts';
import { drawFaults } from './fault-knobs.ts';
import { Faults } from './faults.ts';
import type { Mark } from './mark-names.ts';
import type { Registers } from './registers.ts';
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
  /** Lease, pool and first instances as of this cluster, instead of drawn ones. */
  readonly shape?: Shape | null;
  readonly turn: Turn;
  /** Sees each line of the trace. */
  readonly sink?: (line: string) => void;
  /** Is given what clients saw of the registers, at the end of the run, a breach too. */
  readonly history?: (records: readonly HistoryRecord[]) => void;
  /** Is shown the cluster before anything happens; it may look, and must change nothing. */
  readonly observe?: (cluster: SimCluster) => void;
  /** Is told of every act as it happens: all of them, played again, give the same run. */
  readonly record?: (timed: TimedAct) => void;
  /** Instead of what the seed would have drawn. */
  readonly play?: readonly TimedAct[];
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

function drawHabits(knobs: Knobs, seed: number): HostHabits {
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
    oob_fails: new Knobs(seed ^ 0x00bf).range(0, 0.5),
    ...drawRaftLimits(new Knobs(seed ^ 0xc0de)),
  };
}

/**
 * With the product's limits a run is too short for any member to need a snapshot, and a snapshot is over in a moment.
 * Draws of their own: all others stay as they are.
 */
function drawRaftLimits(knobs: Knobs): Pick<HostHabits, 'raft_limits'> {
  if (knobs.chance(0.5)) return {};
  const compaction = { every_entries: knobs.pick([15, 40, 120]), keep_entries: knobs.pick([2, 20]) };
  const transfer = { chunk_bytes: knobs.pick([1024, 8192, 65_536]), window: knobs.integer(1, 4) };
  return { raft_limits: { compaction, transfer } };
}

function drawPool(knobs: Knobs, { shape }: RunOptions): number {
  const drawn = knobs.integer(3, 7);
  return shape?.candidate_pool_size ?? drawn;
}

/** @throws Error with the one-line replay and the last lines of the trace. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const knobs = new Knobs(options.seed ^ 0x5eed);
  const trace = new Trace(kept_lines, options.sink ?? null);
  // What clusters run with mostly; the scaled times cost twice the work for each simulated second.
  const drawn_lease = knobs.chance(0.25) ? 'scaled' : 'default';
  const lease = options.shape?.lease ?? drawn_lease;
  const cluster = new SimCluster({
    seed: options.seed,
    nodes: options.nodes ?? knobs.integer(3, 7),
    trace,
    turn: options.turn,
    drift: knobs.maybe(0.7, () => 0.01, 0),
    lease,
    candidate_pool_size: drawPool(knobs, options),
    delays: { least_ms: knobs.range(0.02, 1), mean_ms: knobs.range(0.05, 5) },
    habits: drawHabits(knobs, options.seed),
  });
  const ha = lease === 'scaled' ? scaled_ha : default_ha;
  const fault_knobs = drawFaults(knobs, ha.kill_ms, options.seed);
  let registers: Registers | null = null;
  try {
    options.observe?.(cluster);
    await cluster.found();
    await cluster.joinAll();
    // A whole millisecond, as acts want it.
    await cluster.run(Math.ceil(cluster.time.now_ms) - cluster.time.now_ms);
    const acts = new Acts(cluster);
    registers = acts.registers;
    const faults = new Faults(cluster, acts, fault_knobs);
    const drawn = drawWork(knobs, cluster.options.nodes, options.protection_changes, options.seed);
    const work = new Workload(cluster, acts, drawn, options.shape ? createOps(options.shape) : null);
    faults.onLost = (host) => work.hostLost(host);
    if (options.record !== undefined) acts.onAct = options.record;
    if (options.play !== undefined) acts.play(options.play);
    else {
      work.start();
      faults.start(options.minutes * 60_000);
    }
    for (let left_ms = options.minutes * 60_000; left_ms > 0; left_ms -= bounds_every_ms) {
      await cluster.run(Math.min(left_ms, bounds_every_ms));
      cluster.oracles.checkBounds(cluster.hosts);
    }
    work.stop();
    faults.healAll();
    return await converge(cluster, acts, trace);
  } catch (error) {
    const same = `--seed ${formatSeed(options.seed)} --minutes ${options.minutes}${options.nodes === null ? '' : ` --nodes ${options.nodes}`}${options.protection_changes ? ' --protection-changes' : ''}`;
    const replay = options.shape
      ? `node sim/run-swarm.ts --seed ${formatSeed(options.seed)} --hours ${options.minutes / 60} --shape FILE`
      : `node sim/run-cluster.ts ${same}\nshrink: node sim/run-shrink.ts ${same}`;
    const text = error instanceof Breach ? error.message : (error as Error).stack;
    throw new Error(`${text}\nreplay: ${replay}\n${trace.last(kept_lines).join('\n')}`);
  } finally {
    options.history?.(registers?.records ?? []);
  }
}

/**
 * Waits until nothing is under way and everything is as it should be; at most `most_ms` while no job ends. A long queue may
 * take its time, as long as it moves. @throws Breach
 */
export async function settle(
  cluster: SimCluster,
  acts: Acts,
  most_ms: number = most_convergence_ms,
): Promise<void> {
  acts.registers.stop();
  const wrong = () => notConverged(cluster) ?? lostJob(cluster) ?? leftOver(cluster);
  let next_look_ms = cluster.time.now_ms;
  for (let open = Number.POSITIVE_INFINITY; ; ) {
    const held = await cluster.run(most_ms, () => {
      if (cluster.time.now_ms < next_look_ms) return false;
      next_look_ms = cluster.time.now_ms + 500;
      return acts.idle && wrong() === null;
    });
    if (held) {
      await checkExplained(cluster);
      return acts.registers.finish();
    }
    const before = open;
    open = openJobs(cluster);
    if (open === 0 || open >= before) break;
  }
  noteWarnings(cluster);
  throw new Breach(`O8: not converged in ${most_ms / 1000} s: ${wrong()}`);
}

function openJobs(cluster: SimCluster): number {
  const jobs = cluster.leader()?.member.state.list('jobs') ?? [];
  return [...jobs].filter((job) => job.end_timestamp === null).length;
}

async function converge(cluster: SimCluster, acts: Acts, trace: Trace): Promise<RunResult> {
  const from_ms = cluster.time.now_ms;
  await settle(cluster, acts);
  const jobs = cluster.leader()?.member.state.list('jobs') ?? [];
  for (const job of jobs) {
    if (job.status === 'success') cluster.marks.hit('job done');
    else cluster.marks.hit(job.status === 'canceled' ? 'job canceled' : 'job failed');
  }
  for (const instance of cluster.leader()?.member.state.list('instances') ?? []) {
    for (const { evidence } of instance.owner_log) {
      if (evidence?.kind === 'horizon') cluster.marks.hit('failover by horizon');
      else if (evidence?.kind === 'power') cluster.marks.hit('failover by power');
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
