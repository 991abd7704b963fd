/**
 * What the tests of jobs share: agents with test hooks, what a lab looks like from outside, and what must never be
 * left behind when a job has ended.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { hostProcesses } from '../../cli/lab/host.ts';
import type { LabOptions } from '../../cli/lab/lab.ts';
import type { NodeLayout } from '../../cli/lab/layout.ts';
import { runTool } from '../../cli/lab/run-tool.ts';
import type { OpInput } from '../../src/config/model.ts';
import {
  type CleanUp,
  commandLine,
  findAgent,
  type Lab,
  rows,
  submitAndWait,
  waitUntil,
  withLab,
} from './support.ts';

/**
 * A lab whose agents have test hooks and are restarted by their keepers without the back-off of a real host.
 * `env`: for the lab's daemons only.
 */
export async function withHookedLab(
  t: CleanUp,
  options: Omit<LabOptions, 'dir'> = {},
  env: Readonly<Record<string, string>> = {},
): Promise<Lab> {
  const hooked: Readonly<Record<string, string>> = { SKEIN_TEST: '1', SKEIN_TEST_RESTART_MS: '100', ...env };
  const before = Object.keys(hooked).map((key): [string, string | undefined] => [key, process.env[key]]);
  Object.assign(process.env, hooked);
  try {
    return await withLab(t, options);
  } finally {
    for (const [key, value] of before) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
}

function filesBelow(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Steps that a host's agent remembers on disk. */
export function journalKeys(lab: Lab, name: string): readonly string[] {
  return filesBelow(join(lab.node(name).data_dir, 'journal'));
}

/** Fake guests of a host, as its disk has them: `web epoch 1 running`. */
function fakeGuests(lab: Lab, name: string): readonly string[] {
  return filesBelow(join(lab.node(name).run_dir, 'fake'))
    .filter((path) => path.endsWith('.json'))
    .map((path) => {
      const record = JSON.parse(readFileSync(path, 'utf8')) as {
        state: string;
        resets: number;
        guest: { name: string; epoch: number; memory_mib: number };
      };
      const { guest, state, resets } = record;
      return `${guest.name} epoch ${guest.epoch} ${state}, ${guest.memory_mib} MiB, resets ${resets}`;
    });
}

/** Names of the guests that QEMU processes of a host run. */
function realGuests(node: NodeLayout): readonly string[] {
  return hostProcesses(node)
    .map(({ pid }) => commandLine(pid))
    .filter(([program = '']) => program.includes('qemu-system'))
    .map((words) => words[words.indexOf('-name') + 1] ?? 'without a name');
}

/** What the taps of a host are for, as their aliases say. */
async function taps({ namespace }: NodeLayout): Promise<readonly string[]> {
  if (namespace === null) return [];
  const links = JSON.parse(await runTool(['ip', '-n', namespace, '-j', 'link', 'show'])) as {
    ifalias?: string;
  }[];
  return links.map(({ ifalias = '' }) => ifalias).filter((alias) => alias.startsWith('skein '));
}

const uuid_pattern = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/**
 * Everything that jobs change, one fact a line, without what differs from run to run (uuids). Nodes are written as
 * `@name`. From outside where possible: guests and disks are what the hosts' disks hold, not what agents say.
 */
export async function observe(lab: Lab, via: string): Promise<readonly string[]> {
  const lines: string[] = [];
  const [instances, nodes, tags, cluster, locks] = await Promise.all([
    rows(lab, via, 'instance'),
    rows(lab, via, 'node'),
    rows(lab, via, 'tag'),
    rows(lab, via, 'cluster'),
    rows(lab, via, 'lock'),
  ]);
  for (const row of instances) {
    const facts = [
      row.admin_state,
      `@${row.pnode}`,
      `epoch ${row.epoch}`,
      JSON.stringify(row.custom_beparams),
    ];
    lines.push(`instance ${row.name}: ${facts.join(', ')}`);
  }
  for (const row of nodes) lines.push(`node @${row.name}${row.drained ? ' drained' : ''}`);
  for (const row of tags) lines.push(`tag ${row.path} ${row.tag}`);
  lines.push(`cluster max_running_jobs ${cluster[0]?.max_running_jobs}`);
  for (const row of locks) lines.push(`lock ${row.name} of ${JSON.stringify(row.owner)}`);
  for (const node of lab.nodes) {
    for (const guest of fakeGuests(lab, node.name)) lines.push(`guest on @${node.name}: ${guest}`);
    for (const name of realGuests(node)) lines.push(`process of QEMU on @${node.name}: ${name}`);
    for (const alias of await taps(node)) lines.push(`tap on @${node.name}: ${alias}`);
    for (const path of journalKeys(lab, node.name))
      lines.push(`journal of @${node.name}: ${relative(lab.dir, path)}`);
  }
  for (const directory of ['file', 'shared']) {
    for (const path of filesBelow(join(lab.dir, directory))) lines.push(`file ${relative(lab.dir, path)}`);
  }
  return lines.map((line) => line.replaceAll(uuid_pattern, 'UUID')).sort();
}

/** Waits until the lab looks like this: some traces go only after the job's end has been applied everywhere. */
export async function assertLooksLike(
  lab: Lab,
  via: string,
  same: (lines: readonly string[]) => boolean,
  expected: readonly string[],
  context: string,
): Promise<void> {
  let seen: readonly string[] = [];
  try {
    await waitUntil(
      async () => {
        seen = await observe(lab, via);
        return same(seen);
      },
      'the lab to look as it must',
      20_000,
    );
  } catch (error) {
    const missing = expected.filter((line) => !seen.includes(line));
    const extra = seen.filter((line) => !expected.includes(line));
    throw new Error(
      `${context}: ${(error as Error).message}\nmissing:\n  ${missing.join('\n  ')}\nleft over:\n  ${extra.join('\n  ')}`,
      { cause: error },
    );
  }
}

/** Ops as one job; anything but success fails the test. */
export async function mustSucceed(lab: Lab, via: string, ops: readonly OpInput[]): Promise<void> {
  if (ops.length === 0) return;
  const job = await submitAndWait(lab, via, ops);
  if (job.status !== 'success')
    throw new Error(
      `${ops.map((op) => op.OP_ID).join(', ')}: ${job.status} ${JSON.stringify(job.ops.map((op) => op.result))}`,
    );
}

/** The number that the next job gets. */
export async function nextJob(lab: Lab, via: string): Promise<number> {
  const jobs = await rows(lab, via, 'job');
  return Math.max(0, ...jobs.map((job) => Number(job.id))) + 1;
}

/** Process id of a host's agent; 0: it has none now. */
export function agentOf(lab: Lab, name: string): number {
  return findAgent(lab, name)?.pid ?? 0;
}

/**
 * A suite's clean-up for what its `before` makes; to be called in the suite's body, because an `after` that is
 * registered inside of `before` runs when that has ended.
 */
export function cleanUpOf(
  after: (clean: () => Promise<void>, options?: { timeout?: number }) => void,
): CleanUp {
  const all: (() => Promise<void>)[] = [];
  after(
    async () => {
      for (const clean of all.reverse()) await clean();
    },
    { timeout: 120_000 },
  );
  return { after: (clean) => all.push(clean) };
}
