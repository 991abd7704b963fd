/** How long `skein instance list` takes on a node that does not lead, with a hundred instances: all of it, as typed. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import process from 'node:process';
import { packageRoot } from '../cli/lab/host.ts';
import type { LabNode } from '../cli/lab/lab.ts';
import { connectApi } from '../src/node/api-client.ts';
import { nowMs } from './clock.ts';
import type { BenchContext, Figure, Goal } from './figure.ts';
import { measureSeries } from './measure.ts';
import { settled, withLab } from './skein-lab.ts';

const instances = 100;
const limit_ms = 30_000;

async function addInstances(node: LabNode, nodes: readonly LabNode[]): Promise<void> {
  const client = await connectApi(node.socket);
  try {
    const { jobs } = await client.call('submit', {
      request_id: randomUUID(),
      jobs: Array.from({ length: instances }, (_, at) => ({
        ops: [
          {
            OP_ID: 'OP_INSTANCE_CREATE',
            instance_name: `web${String(at).padStart(3, '0')}`,
            mode: 'create',
            disk_template: 'diskless',
            disks: [],
            nics: [],
            pnode: nodes[at % nodes.length]?.name ?? '',
            hypervisor: 'fake',
            beparams: { memory: 16, vcpus: 1 },
            start: true,
          },
        ],
      })),
    });
    for (const job of jobs) {
      const ended = await client.call('job.watch', { job }, { timeout_ms: 300_000 });
      if (ended.status !== 'success')
        throw new Error(`job ${job}: ${ended.status} ${JSON.stringify(ended.ops.map((op) => op.result))}`);
    }
  } finally {
    client.close();
  }
}

/** Wall time in milliseconds and standard output. Rejects unless it ends with status 0. */
function timed(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<readonly [number, string]> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const begun_ms = nowMs();
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), limit_ms);
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString('utf8');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve([nowMs() - begun_ms, text]);
      else reject(new Error(`${argv.join(' ')}: ended with ${signal ?? code}`));
    });
  });
}

interface Case {
  readonly name: string;
  readonly argv: readonly string[];
  /** Lines of output that it must have at least. */
  readonly lines: number;
  readonly goal: Goal | null;
}

async function measure(context: BenchContext, socket: string): Promise<void> {
  const skein = join(packageRoot(), 'bin', 'skein');
  const cases: readonly Case[] = [
    {
      name: 'list/skein instance list',
      argv: [skein, 'instance', 'list'],
      lines: instances + 1,
      goal: { kind: 'below', value: 100 },
    },
    { name: 'list/skein node list', argv: [skein, 'node', 'list'], lines: 4, goal: null },
    { name: 'list/node -e 0', argv: [process.execPath, '-e', '0'], lines: 0, goal: null },
    { name: 'list/python3 -c 0', argv: ['python3', '-c', '0'], lines: 0, goal: null },
  ];
  // Not the environment of this process: what it was started with is no part of the figure.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, SKEIN_SOCKET: socket };
  const runs = cases.map((one) => ({ one, times: measureSeries(context, one.name, 'ms', one.goal) }));
  for (const { one } of runs) for (let warm = 0; warm < 3; warm++) await timed(one.argv, env);
  // Side by side, one of each in turn, so that a busy moment hits all alike.
  for (let round = 0; round < context.trials; round++) {
    context.signal.throwIfAborted();
    for (const { one, times } of runs) {
      const [time_ms, text] = await timed(one.argv, env);
      const lines = text.split('\n').length - 1;
      if (lines < one.lines) throw new Error(`${one.name}: ${lines} lines, at least ${one.lines} expected`);
      times.add(time_ms);
    }
  }
  for (const { times } of runs) times.emit('wall time, process start included');
}

export const list: Figure = {
  name: 'list',
  summary: `skein instance list on a node that does not lead, ${instances} instances`,
  root: false,
  needs: [['python3', 'python3-minimal']],
  run: (context) =>
    withLab(async (lab) => {
      const { leader, followers } = await settled(lab);
      const begun_ms = nowMs();
      await addInstances(leader, lab.nodes);
      context.say(`${instances} instances added in ${((nowMs() - begun_ms) / 1000).toFixed(1)} s`);
      const [follower] = followers;
      if (!follower) throw new Error('a lab without followers');
      await measure(context, follower.socket);
    }),
};
