/**
 * The placement tools beside Ganeti's: the same clusters, the same command lines, whole processes as users start them
 * (ours by links to `bin/skein`, from the bundle), in CPU seconds; in turn, so that a busy moment hits both.
 *
 * A process that starts Node pays for that each time, so two figures are given of balancing: whole processes, and what
 * a move costs. Ganeti's own needs minutes where there are many nodes: there it makes one move, and ours goes to the end
 * as well. `--quick` leaves out the largest of its runs.
 */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../cli/lab/host.ts';
import { formatTextCluster } from '../src/placement/text-format-write.ts';
import type { BenchContext, Figure, Goal } from './figure.ts';
import { emitRatio, measureSeries } from './measure.ts';
import { allocationTimes } from './placement/allocation.ts';
import { allocatorMessage } from './placement/allocator-message.ts';
import { generateCluster } from './placement/generate.ts';
import { type MeasuredRun, measuredRun } from './placement/measured-run.ts';

const rss_goal: Goal = { kind: 'below', value: 150 };
const peer_hail = '/usr/lib/ganeti/iallocators/hail';

interface Case {
  readonly name: string;
  readonly program: 'hbal' | 'hroller' | 'hail';
  readonly args: readonly string[];
  /** A run of Ganeti's takes: a second or some (as often as ours), tens (at most three times), minutes (once). */
  readonly peer: 'quick' | 'slow' | 'minutes' | 'none';
  /** How many times less CPU than Ganeti's. */
  readonly ratio: Goal | null;
  /** CPU seconds of ours. */
  readonly cpu: Goal | null;
}

/** Medians; null: not run. */
interface Outcome {
  readonly ours_s: number;
  readonly peer_s: number | null;
  readonly moves: number;
}

const peer_limit = { quick: Number.POSITIVE_INFINITY, slow: 3, minutes: 1, none: 0 } as const;

function runCase(context: BenchContext, folder: string, one: Case): Outcome {
  const { name, program, args } = one;
  const ours = measureSeries(context, `placement/${name}`, 's', one.cpu);
  const wall = measureSeries(context, `placement/${name}, wall`, 's');
  const rss = measureSeries(context, `placement/${name}, peak RSS`, 'MiB', rss_goal);
  const peer = measureSeries(context, `placement/${name}, Ganeti`, 's');
  const peer_rss = measureSeries(context, `placement/${name}, Ganeti, peak RSS`, 'MiB');
  const mine = join(folder, program);
  const theirs = program === 'hail' ? peer_hail : `/usr/bin/${program}`;
  measuredRun([mine, ...args]);
  const peer_rounds =
    context.quick && one.peer === 'minutes' ? 0 : Math.min(context.trials, peer_limit[one.peer]);
  let moves = 0;
  for (let round = 0; round < context.trials; round++) {
    context.signal.throwIfAborted();
    const run = measuredRun([mine, ...args]);
    moves = movesOf(run);
    ours.add(run.cpu_s);
    wall.add(run.wall_s);
    rss.add(run.peak_rss_mib);
    if (round >= peer_rounds) continue;
    const other = measuredRun([theirs, ...args]);
    peer.add(other.cpu_s);
    peer_rss.add(other.peak_rss_mib);
  }
  const ours_s = ours.emit(moves > 0 ? `CPU, ${moves} moves` : 'CPU');
  wall.emit();
  rss.emit();
  if (peer_rounds === 0) return { ours_s, peer_s: null, moves };
  const peer_s = peer.emit('CPU');
  peer_rss.emit();
  emitRatio(context, `placement/${name}, ratio`, peer_s / ours_s, one.ratio);
  return { ours_s, peer_s, moves };
}

function movesOf({ output }: MeasuredRun): number {
  return Number(/^Solution length=(\d+)$/m.exec(output)?.[1] ?? 0);
}

function measure(context: BenchContext, folder: string): void {
  for (const program of ['hbal', 'hroller', 'hail']) {
    symlinkSync(join(packageRoot(), 'bin', 'skein'), join(folder, program));
  }
  const clusterFile = (nodes: number, instances: number): string => {
    const path = join(folder, `${nodes}.data`);
    writeFileSync(path, formatTextCluster(generateCluster({ nodes, instances })));
    return path;
  };
  const small = clusterFile(20, 200);
  const middle = clusterFile(80, 800);
  const large = clusterFile(200, 4000);
  const balanced = { program: 'hbal', ratio: null, cpu: null } as const;
  const cases: readonly Case[] = [
    { ...balanced, name: 'hbal 20x200', args: ['-v', '-t', small], peer: 'slow' },
    { ...balanced, name: 'hbal 80x800, one move', args: ['-v', '-t', middle, '-l', '1'], peer: 'slow' },
    { ...balanced, name: 'hbal 80x800', args: ['-v', '-t', middle], peer: 'none' },
    { ...balanced, name: 'hbal 200x4000, one move', args: ['-v', '-t', large, '-l', '1'], peer: 'minutes' },
    {
      ...balanced,
      name: 'hbal 200x4000',
      args: ['-v', '-t', large],
      peer: 'none',
      cpu: { kind: 'below', value: 60 },
    },
  ];
  const [, one_middle, all_middle, one_large, all_large] = cases.map((one) => runCase(context, folder, one));
  perMove(context, 'placement/hbal 80x800, a move', one_middle, all_middle);
  perMove(context, 'placement/hbal 200x4000, a move', one_large, all_large);
  runCase(context, folder, {
    ...{ name: 'hroller 200x4000', program: 'hroller', args: ['-t', large], peer: 'slow', cpu: null },
    ratio: { kind: 'at-least', value: 10 },
  });
  measureHail(context, folder);
}

/** A move of Ganeti's one, process and all, by a move of a whole run of ours, process and all. */
function perMove(
  context: BenchContext,
  name: string,
  one: Outcome | undefined,
  all: Outcome | undefined,
): void {
  if (one === undefined || all === undefined || one.peer_s === null || all.moves === 0) return;
  emitRatio(context, name, one.peer_s / (all.ours_s / all.moves), { kind: 'at-least', value: 100 });
}

/** In a cluster with room: where nothing fits, nothing is compared. */
function measureHail(context: BenchContext, folder: string): void {
  const cluster = generateCluster({ nodes: 200, instances: 4000, fill: 0.2 });
  const run = (what: string, request: object, ratio: Goal | null): Outcome => {
    const file = join(folder, `${what}.json`);
    writeFileSync(file, allocatorMessage(cluster, request));
    const name = `hail 200x4000, ${what}`;
    return runCase(context, folder, { name, program: 'hail', args: [file], peer: 'quick', ratio, cpu: null });
  };
  const twice: Goal = { kind: 'at-least', value: 2 };
  run('one node', wantedInstance('plain', 1), twice);
  const pair = run('two nodes', wantedInstance('drbd', 2), twice);
  // Only the reading is left to do: what is not spent on that is spent in the engine.
  const nothing = run('nothing to place', { type: 'multi-allocate', instances: [], required_nodes: 2 }, null);
  const engine = measureSeries(context, 'placement/allocation in the engine, 200x4000', 'ms', {
    kind: 'below',
    value: 10,
  });
  for (const time_ms of allocationTimes(cluster, 50, Math.max(20, context.trials))) engine.add(time_ms);
  const engine_ms = engine.emit('CPU, warm, two nodes');
  if (pair.peer_s === null || nothing.peer_s === null) return;
  const ratio = ((pair.peer_s - nothing.peer_s) * 1000) / engine_ms;
  emitRatio(context, 'placement/allocation in the engine, ratio', ratio, { kind: 'at-least', value: 10 });
}

function wantedInstance(disk_template: string, required_nodes: number): object {
  return {
    type: 'allocate',
    name: 'new',
    memory: 2048,
    vcpus: 2,
    spindle_use: 1,
    required_nodes,
    disks: [{ size: 20_480, mode: 'rw', spindles: 1 }],
    disk_space_total: 20_480,
    disk_template,
    tags: [],
    nics: [],
    hypervisor: 'xen-pvm',
    os: 'debian',
  };
}

export const placement: Figure = {
  name: 'placement',
  summary:
    "balancing, reboot groups and allocation beside Ganeti's htools, up to 200 nodes with 4,000 instances",
  root: false,
  needs: [
    ['hbal', 'ganeti-htools'],
    ['python3', 'python3-minimal'],
  ],
  usual_trials: 5,
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'skein-placement-'));
    try {
      measure(context, folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
