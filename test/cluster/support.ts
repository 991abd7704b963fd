/**
 * What the cluster tests share: a lab of real agents that is always taken down again, and ways to wait, to ask and to
 * look into its hosts. Waits are for conditions, with generous bounds, so that a slow machine fails no test; a lab
 * that leaves a process, namespace or file behind fails the test that made it.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { labDown } from '../../cli/lab/down.ts';
import { hostEnvironment, hostProcesses, logFile, packageRoot } from '../../cli/lab/host.ts';
import { type Lab, type LabOptions, labUp } from '../../cli/lab/lab.ts';
import { cgroupDirs, type NodeLayout, namespaceFile } from '../../cli/lab/layout.ts';
import { labNamespaces } from '../../cli/lab/network.ts';
import { isAlive, type ProcessId, statOf } from '../../cli/lab/proc.ts';
import { loadState } from '../../cli/lab/record.ts';
import { runTool } from '../../cli/lab/run-tool.ts';
import type { Job, OpInput } from '../../src/config/model.ts';
import { ApiCallError, connectApi } from '../../src/node/api-client.ts';
import type { AgentStatus, ApiMethods, QueryResource } from '../../src/node/api-types.ts';

/** Enough for anything that should take seconds, on a machine ten times slower. */
export const patience_ms = 60_000;

export type { Lab } from '../../cli/lab/lab.ts';

/** What a test registers its clean-up with: its context. */
export interface CleanUp {
  after(clean: () => Promise<void>, options?: { readonly timeout?: number }): void;
}

const down_timeout_ms = 90_000;

/**
 * A lab in a directory of its own: three nodes, scaled leases and guests that are none unless said otherwise. Taken
 * down when the test has ended, however it ended. For several tests of a suite: {@link suiteLab}.
 */
export async function withLab(t: CleanUp, options: Omit<LabOptions, 'dir'> = {}): Promise<Lab> {
  const scratch = newScratch();
  t.after(() => takeDown(scratch), { timeout: down_timeout_ms });
  return bringUp(scratch, options);
}

/**
 * The same for all tests of a suite; to be called in the suite's body, before its other hooks. Answers where the lab
 * will be once the tests run.
 */
export function suiteLab(options: Omit<LabOptions, 'dir'> = {}): () => Lab {
  let scratch: string | null = null;
  let lab: Lab | null = null;
  before(
    async () => {
      scratch = newScratch();
      lab = await bringUp(scratch, options);
    },
    { timeout: 3 * patience_ms },
  );
  after(
    async () => {
      if (scratch !== null) await takeDown(scratch);
    },
    { timeout: down_timeout_ms },
  );
  return () => {
    if (!lab) throw new Error('the lab is not up');
    return lab;
  };
}

function newScratch(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), 'skt-')));
}

async function bringUp(scratch: string, options: Omit<LabOptions, 'dir'>): Promise<Lab> {
  const dir = join(scratch, 'l');
  const { lab } = await labUp({ nodes: 3, lease: 'scaled', hypervisor: 'fake', ...options, dir });
  if (options.init !== false)
    await waitForVoters(lab, Math.min(5, lab.nodes.length - 1 + (lab.nodes.length % 2)));
  return lab;
}

/** Waits until so many nodes vote, asked of the first: until then the founder alone decides, and is missed by all. */
export async function waitForVoters(
  lab: Lab,
  voters: number,
  name = lab.nodes[0]?.name ?? '',
): Promise<void> {
  await waitUntil(
    async () => (await rows(lab, name, 'node')).filter((row) => row.voter === true).length === voters,
    `${voters} nodes to vote`,
  );
}

async function takeDown(scratch: string): Promise<void> {
  const dir = join(scratch, 'l');
  const hosts = existsSync(join(dir, 'lab.json'))
    ? (JSON.parse(readFileSync(join(dir, 'lab.json'), 'utf8')) as { hash: string; nodes: NodeLayout[] })
    : null;
  try {
    keepLogs(dir, hosts?.nodes ?? []);
    await labDown({ dir });
    if (hosts) await assertNothingLeft(hosts.hash, hosts.nodes);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** With SKEIN_TEST_LOGS=DIR the hosts' logs outlive the lab. */
function keepLogs(dir: string, nodes: readonly NodeLayout[]): void {
  const keep = process.env.SKEIN_TEST_LOGS;
  if (keep === undefined) return;
  for (const node of nodes) {
    if (!existsSync(logFile(node))) continue;
    const to = join(keep, dir.replaceAll('/', '_'));
    mkdirSync(to, { recursive: true });
    cpSync(logFile(node), join(to, `${node.name}.log`));
  }
}

async function assertNothingLeft(hash: string, nodes: readonly NodeLayout[]): Promise<void> {
  const left: string[] = [...labNamespaces(hash)];
  for (const node of nodes) {
    left.push(...hostProcesses(node).map(({ pid }) => `process ${pid} ${commandLine(pid).join(' ')}`));
    left.push(...[node.dir, node.run_dir, ...cgroupDirs(node)].filter((path) => existsSync(path)));
  }
  if (left.length > 0) throw new Error(`the lab left behind: ${left.join(', ')}`);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Asks again and again until the answer is something: its value. Errors of the agents' API count as `not yet` and are
 * part of the message when the time is over; other errors end it at once.
 */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  what: string,
  timeout_ms = patience_ms,
  pause_ms = 50,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + timeout_ms;
  for (let last = ''; ; ) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined)
        return value as NonNullable<Exclude<T, false>>;
      last = '';
    } catch (error) {
      if (!(error instanceof ApiCallError)) throw error;
      last = `: ${error.message}`;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeout_ms / 1000} s for ${what}${last}`);
    await sleep(pause_ms);
  }
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The `skein` command as installed, asking the agent of `name`. Never rejects for a failed command. */
export function cli(
  lab: Lab,
  name: string,
  args: readonly string[],
  options: { readonly timeout_ms?: number; readonly input?: string } = {},
): Promise<CliResult> {
  const node = lab.node(name);
  const { timeout_ms = patience_ms, input = '' } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(join(packageRoot(), 'bin', 'skein'), ['--socket', node.socket, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: hostEnvironment(node),
      cwd: lab.dir,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms);
    child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') reject(error);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const stdout = Buffer.concat(out).toString('utf8');
      const stderr = Buffer.concat(err).toString('utf8');
      if (code === null)
        reject(new Error(`skein ${args.join(' ')}: ended by ${signal} (limit ${timeout_ms} ms)\n${stderr}`));
      else resolve({ code, stdout, stderr });
    });
    child.stdin.end(input);
  });
}

/** Like {@link cli}, but a failed command fails the test. Its standard output. */
export async function cliOk(
  lab: Lab,
  name: string,
  args: readonly string[],
  options: { readonly timeout_ms?: number; readonly input?: string } = {},
): Promise<string> {
  const { code, stdout, stderr } = await cli(lab, name, args, options);
  if (code !== 0) throw new Error(`skein ${args.join(' ')} on ${name}: status ${code}\n${stderr}${stdout}`);
  return stdout;
}

/** null: no agent answers. */
export async function statusOf(lab: Lab, name: string, timeout_ms = 3_000): Promise<AgentStatus | null> {
  try {
    return await lab.node(name).call('status', {}, { timeout_ms });
  } catch (error) {
    if (error instanceof ApiCallError) return null;
    throw error;
  }
}

/** Waits for an agent that leads and may act as master; its name. Of several, the one of the highest term. */
export async function leaderOf(
  lab: Lab,
  options: { readonly among?: readonly string[]; readonly timeout_ms?: number } = {},
): Promise<string> {
  const among = options.among ?? lab.nodes.map((node) => node.name);
  return waitUntil(
    async () => {
      const all = await Promise.all(among.map(async (name) => ({ name, status: await statusOf(lab, name) })));
      const leading = all
        .filter(({ status }) => status?.role === 'leader' && status.established)
        .sort((a, b) => (b.status?.term ?? 0) - (a.status?.term ?? 0));
      return leading[0]?.name ?? null;
    },
    `a leader among ${among.join(', ')}`,
    options.timeout_ms,
  );
}

/** The others, in order. */
export function othersThan(lab: Lab, ...names: readonly string[]): readonly string[] {
  return lab.nodes.map((node) => node.name).filter((name) => !names.includes(name));
}

/** Submits jobs, once, however often it has to ask; their numbers. */
export async function submit(
  lab: Lab,
  name: string,
  jobs: ApiMethods['submit']['params']['jobs'],
): Promise<readonly number[]> {
  const request_id = randomUUID();
  const again = new Set(['no-quorum', 'unavailable', 'unknown-outcome', 'timeout']);
  return waitUntil(async () => {
    try {
      return (await lab.node(name).call('submit', { request_id, jobs }, { timeout_ms: 35_000 })).jobs;
    } catch (error) {
      if (error instanceof ApiCallError && again.has(error.code)) return null;
      throw new Error(`submit on ${name}: ${(error as Error).message}`, { cause: error });
    }
  }, `jobs to be taken by ${name}`);
}

/** Waits until a job has ended, seen from `name`; survives changes of leader and restarts of the agent asked. */
export async function waitForJob(
  lab: Lab,
  name: string,
  job: number,
  timeout_ms = 2 * patience_ms,
): Promise<Job> {
  const deadline = Date.now() + timeout_ms;
  return waitUntil(
    async () => {
      const client = await connectApi(lab.node(name).socket);
      try {
        return await client.call(
          'job.watch',
          { job },
          { timeout_ms: Math.max(1, deadline - Date.now()), onEvent: () => undefined },
        );
      } finally {
        client.close();
      }
    },
    `job ${job} to end`,
    timeout_ms,
  );
}

/** One job of one or more opcodes, to its end. */
export async function submitAndWait(
  lab: Lab,
  name: string,
  ops: OpInput | readonly OpInput[],
  timeout_ms = 2 * patience_ms,
): Promise<Job> {
  const list = Array.isArray(ops) ? (ops as readonly OpInput[]) : [ops as OpInput];
  const [job] = await submit(lab, name, [{ ops: list }]);
  if (job === undefined) throw new Error('a submission was answered without a job');
  return waitForJob(lab, name, job, timeout_ms);
}

/** A job that does nothing, through `name`, succeeds: the cluster commits and works. */
export async function assertCommits(lab: Lab, name: string, timeout_ms = 2 * patience_ms): Promise<number> {
  const job = await submitAndWait(lab, name, { OP_ID: 'OP_TEST_DELAY', duration: 0 }, timeout_ms);
  if (job.status !== 'success') throw new Error(`job ${job.id} ended ${job.status}`);
  return job.id;
}

export async function rows(
  lab: Lab,
  name: string,
  resource: QueryResource,
  options: { readonly names?: readonly string[]; readonly stale?: boolean } = {},
): Promise<readonly Record<string, unknown>[]> {
  return (await lab.node(name).call('query', { resource, ...options }, { timeout_ms: 15_000 })).rows;
}

export async function rowOf(
  lab: Lab,
  name: string,
  resource: QueryResource,
  object: string,
): Promise<Record<string, unknown>> {
  const [row] = await rows(lab, name, resource, { names: [object] });
  if (!row) throw new Error(`${name} does not know ${resource} ${object}`);
  return row;
}

/** Waits until all of `names` stand at the same index with the same state; `index:hash`. */
export async function sameState(
  lab: Lab,
  names: readonly string[] = lab.nodes.map((node) => node.name),
): Promise<string> {
  let seen = '';
  const agreed = waitUntil(
    async () => {
      const all = await Promise.all(names.map((name) => statusOf(lab, name)));
      const hashes = all.map((status) => status?.state_hash ?? '');
      seen = hashes.join(' ');
      return hashes[0] !== '' && hashes.every((hash) => hash === hashes[0]) ? hashes[0] : null;
    },
    `${names.join(', ')} to have the same state`,
  );
  return agreed.catch((error: Error) => Promise.reject(new Error(`${error.message}: ${seen}`)));
}

export function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return [];
    throw error;
  }
}

/** The host's keeper, dead or alive. */
export function keeperProcess(lab: Lab, name: string): ProcessId {
  const { keeper } = loadState(lab.node(name));
  if (!keeper) throw new Error(`${name} has no keeper`);
  return keeper;
}

export function keeperPid(lab: Lab, name: string): number {
  return keeperProcess(lab, name).pid;
}

/** The host's agent as the process table has it, also when it does not answer; null: there is none now. */
export function findAgent(lab: Lab, name: string): ProcessId | null {
  const keeper = keeperPid(lab, name);
  return (
    hostProcesses(lab.node(name)).find(
      ({ pid }) =>
        statOf(pid)?.parent === keeper && commandLine(pid).some((word) => word.endsWith('/agent.mjs')),
    ) ?? null
  );
}

export function agentPid(lab: Lab, name: string): number {
  const agent = findAgent(lab, name);
  if (!agent) throw new Error(`${name} has no agent`);
  return agent.pid;
}

/** kill -9; resolves when the process is gone. */
export async function killHard(id: ProcessId): Promise<void> {
  if (!isAlive(id)) throw new Error(`process ${id.pid} is dead already`);
  process.kill(id.pid, 'SIGKILL');
  await waitUntil(() => !isAlive(id), `process ${id.pid} to die`);
}

export async function killAgent(lab: Lab, name: string): Promise<void> {
  const agent = findAgent(lab, name);
  if (!agent) throw new Error(`${name} has no agent`);
  await killHard(agent);
}

/** Addresses without prefix lengths, as the kernel of the host has them now. */
export async function addressesOf(lab: Lab, name: string): Promise<readonly string[]> {
  const { namespace } = lab.node(name);
  if (namespace === null) throw new Error('this lab has no namespaces');
  const text = await runTool(['ip', '-n', namespace, '-j', 'addr', 'show']);
  const links = JSON.parse(text) as { addr_info?: { local: string }[] }[];
  return links.flatMap((link) => (link.addr_info ?? []).map(({ local }) => local));
}

export async function holdsMasterIp(lab: Lab, name: string): Promise<boolean> {
  return (await addressesOf(lab, name)).includes(lab.master_ip);
}

/** Runs a program in the namespace of the lab's client. Its standard output. */
export function onClient(lab: Lab, argv: readonly string[], timeout_ms = 15_000): Promise<string> {
  if (!lab.client) throw new Error('this lab has no client');
  return runTool(['nsenter', `--net=${namespaceFile(lab.client.namespace)}`, '--', ...argv], { timeout_ms });
}
