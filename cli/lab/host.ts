/**
 * One host of a lab as a set of processes: started like on a real host (bin/skeind), found, frozen and killed from
 * outside. Only processes that belong to the host are ever signalled.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectApi } from '../../src/node/api-client.ts';
import type { AgentStatus } from '../../src/node/api-types.ts';
import { CliError } from '../exit-status.ts';
import {
  cgroupDirs,
  hostVariable,
  mesh_port,
  type NodeLayout,
  namespaceFile,
  rebootProgram,
} from './layout.ts';
import { isAlive, type ProcessId, processesOf, signalProcess, statOf } from './proc.ts';

const start_timeout_ms = 40_000;
const kill_timeout_ms = 15_000;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The package that this file belongs to, as source or in a bundle. */
export function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'bin', 'skeind'))) {
    const parent = dirname(dir);
    if (parent === dir)
      throw new CliError('bin/skeind was not found beside this program', 'npm ci in a checkout of skein');
    dir = parent;
  }
  return dir;
}

/** Where keeper and agent write what they have to say. */
export function logFile(node: NodeLayout): string {
  return join(node.log_dir, 'skeind.log');
}

/** In the host's namespace, or as it is without one. */
export function hostArgv(node: Pick<NodeLayout, 'namespace'>, argv: readonly string[]): readonly string[] {
  if (node.namespace === null) return argv;
  // nsenter, not `ip netns exec`: that one mounts another /sys, without the control groups.
  return ['nsenter', `--net=${namespaceFile(node.namespace)}`, '--', ...argv];
}

/** Environment of a host's processes: this one's, without what speaks of this process. */
export function hostEnvironment(node: NodeLayout): NodeJS.ProcessEnv {
  const {
    SKEIN_SOCKET: _socket,
    NODE_TEST_CONTEXT: _test,
    NODE_OPTIONS: _options,
    NODE_COMPILE_CACHE: _cache,
    ...env
  } = process.env;
  return { ...env, SKEIN_BOOT_ID_FILE: node.boot_id_file, SKEIN_REBOOT_PROGRAM: rebootProgram(node) };
}

function logTail(node: NodeLayout): string {
  const path = logFile(node);
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-5).join('\n') : '';
}

/** Only ours to use: a directory in /tmp of somebody else's making is refused. */
function makeRunDir(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stats = lstatSync(path);
  if (!stats.isDirectory() || stats.uid !== process.getuid?.()) {
    throw new CliError(`${path} is not this user's directory`, 'a shorter --dir for the lab');
  }
}

/** Starts keeper and agent; resolves with the keeper once it is running. `daemon`: bin/skeind, or a stand-in in tests. */
export async function startHost(node: NodeLayout, daemon: readonly string[]): Promise<ProcessId> {
  for (const dir of [node.data_dir, node.log_dir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  makeRunDir(node.run_dir);
  const argv = hostArgv(node, [
    ...daemon,
    '--data',
    node.data_dir,
    '--run',
    node.run_dir,
    '--log',
    node.log_dir,
    '--listen',
    `/ip4/${node.address}/tcp/${mesh_port}`,
    '--name',
    node.name,
  ]);
  const [program = '', ...args] = argv;
  const log = openSync(logFile(node), 'a', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: node.dir,
      env: hostEnvironment(node),
      detached: true,
      stdio: ['ignore', log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(new CliError(`${node.name}: ${program}: ${error.message}`, 'apt-get install util-linux')),
      );
    });
    child.unref();
    const stat = child.pid === undefined ? null : statOf(child.pid);
    if (!stat) throw new CliError(`${node.name}: skeind ended at once\n${logTail(node)}`, `${logFile(node)}`);
    return { pid: stat.pid, start_ticks: stat.start_ticks };
  } finally {
    closeSync(log);
  }
}

/** Waits until the host's agent answers on its socket. */
export async function waitForAgent(node: NodeLayout, keeper: ProcessId): Promise<AgentStatus> {
  const deadline = Date.now() + start_timeout_ms;
  let last = 'no socket yet';
  while (Date.now() < deadline) {
    if (!isAlive(keeper))
      throw new CliError(`${node.name}: skeind ended\n${logTail(node)}`, `skein lab logs ${node.name}`);
    if (existsSync(node.socket)) {
      try {
        return await agentStatus(node, 2_000);
      } catch (error) {
        last = (error as Error).message;
      }
    }
    await sleep(30);
  }
  throw new CliError(
    `${node.name}: no agent after ${start_timeout_ms / 1000} s (${last})\n${logTail(node)}`,
    `skein lab logs ${node.name}`,
  );
}

export async function agentStatus(
  node: Pick<NodeLayout, 'socket'>,
  timeout_ms: number,
): Promise<AgentStatus> {
  const client = await connectApi(node.socket, timeout_ms);
  try {
    return await client.call('status', {}, { timeout_ms });
  } finally {
    client.close();
  }
}

/** All processes of the host that run now. */
export function hostProcesses(node: NodeLayout): readonly ProcessId[] {
  const namespace_file = node.namespace === null ? null : namespaceFile(node.namespace);
  return processesOf({ namespace_file, environment: hostVariable(node) });
}

/** A process in a frozen group of version 1 does not even die. */
function thawGroups(node: NodeLayout): void {
  for (const base of cgroupDirs(node)) {
    if (!existsSync(base)) continue;
    for (const name of readdirSync(base)) {
      for (const [file, text] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const) {
        const path = join(base, name, file);
        if (existsSync(path)) writeFileSync(path, text);
      }
    }
  }
}

/** SIGKILL to everything until nothing is left. */
export async function killHost(node: NodeLayout): Promise<void> {
  const deadline = Date.now() + kill_timeout_ms;
  for (let pause_ms = 5; ; pause_ms = Math.min(200, pause_ms * 2)) {
    const left = hostProcesses(node);
    if (left.length === 0) return;
    for (const id of left) signalProcess(id, 'SIGKILL');
    thawGroups(node);
    if (Date.now() > deadline) {
      const pids = left.map(({ pid }) => pid).join(', ');
      throw new CliError(
        `${node.name}: processes ${pids} do not die within ${kill_timeout_ms / 1000} s`,
        `ps -o pid,stat,cmd -p ${pids}`,
      );
    }
    await sleep(pause_ms);
  }
}

/** SIGSTOP to everything, again until none that came meanwhile is missed. Answers how many. */
export function stopHost(node: NodeLayout): number {
  const stopped = new Set<number>();
  for (let round = 0; round < 20; round++) {
    const fresh = hostProcesses(node).filter(({ pid }) => !stopped.has(pid));
    if (fresh.length === 0) return stopped.size;
    for (const id of fresh) {
      signalProcess(id, 'SIGSTOP');
      stopped.add(id.pid);
    }
  }
  throw new CliError(
    `${node.name}: processes appear faster than they are stopped`,
    `skein lab power ${node.name} off`,
  );
}

export function continueHost(node: NodeLayout): number {
  const all = hostProcesses(node);
  for (const id of all) signalProcess(id, 'SIGCONT');
  return all.length;
}

/** Control groups that the keeper made, once nothing runs in them. They stay busy while the kernel buries the dead. */
export async function removeGroups(node: NodeLayout): Promise<void> {
  for (const base of cgroupDirs(node)) {
    if (!existsSync(base)) continue;
    for (const entry of readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory()) await removeGroup(join(base, entry.name));
    }
    await removeGroup(base);
  }
}

async function removeGroup(path: string): Promise<void> {
  const deadline = Date.now() + kill_timeout_ms;
  for (let pause_ms = 5; ; pause_ms = Math.min(200, pause_ms * 2)) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || Date.now() > deadline) throw error;
    }
    await sleep(pause_ms);
  }
}
