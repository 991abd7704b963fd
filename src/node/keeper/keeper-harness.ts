/**
 * For tests: a real keeper process whose agent is a relay to this process, so that the test plays the agent through
 * the real client and may still kill the process that the keeper believes to be it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProcessSpec } from '../../drivers/types.ts';
import { connectKeeper, type KeeperClient } from '../keeper-client.ts';
import { detectFreezer, removeFreezer } from './freezer.ts';
import { procStat } from './proc-stat.ts';

/** Copies bytes both ways between descriptor 3 and a unix socket; first tells its pid on a line. */
export const relay = `
const net = require('node:net');
const keeper = new net.Socket({ fd: 3, readable: true, writable: true });
const test = net.connect(process.argv[1]);
test.write(process.pid + '\\n');
keeper.pipe(test);
test.pipe(keeper);
keeper.on('error', () => process.exit(1));
test.on('error', () => process.exit(1));
`;

export interface AgentLife {
  readonly client: KeeperClient;
  readonly pid: number;
}

export class KeeperHarness {
  readonly dir: string;
  readonly keeper: ChildProcess;
  readonly #server: Server;
  readonly #lives: AgentLife[] = [];
  readonly #sockets: Socket[] = [];
  #waiting: ((life: AgentLife) => void)[] = [];
  log = '';

  private constructor(dir: string, server: Server, env: Readonly<Record<string, string>>) {
    this.dir = dir;
    this.#server = server;
    server.on('connection', (socket) => this.#greet(socket));
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const agent = [process.execPath, '-e', relay, join(dir, 'agent.sock')];
    this.keeper = spawn(
      process.execPath,
      [main, '--data', join(dir, 'data'), '--run', join(dir, 'run'), '--', ...agent],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, SKEIN_BOOT_ID_FILE: join(dir, 'boot-id'), ...env },
      },
    );
    this.keeper.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
  }

  static async start(
    env: Readonly<Record<string, string>> = {},
    dir = mkdtempSync(join(tmpdir(), 'keeper-')),
  ): Promise<KeeperHarness> {
    if (!existsSync(join(dir, 'boot-id'))) writeFileSync(join(dir, 'boot-id'), 'boot-one\n');
    rmSync(join(dir, 'agent.sock'), { force: true });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(dir, 'agent.sock'), resolve));
    return new KeeperHarness(dir, server, env);
  }

  #greet(socket: Socket): void {
    this.#sockets.push(socket);
    socket.once('data', (first: Buffer) => {
      const end = first.indexOf(10);
      const pid = Number(first.toString('latin1', 0, end));
      const rest = first.subarray(end + 1);
      if (rest.length > 0) socket.unshift(rest);
      connectKeeper({ stream: socket, beat_ms: 200 }).then(
        (client) => {
          const life = { client, pid };
          const waiter = this.#waiting.shift();
          if (waiter === undefined) this.#lives.push(life);
          else waiter(life);
        },
        (error: Error) => {
          this.log += `greeting failed: ${error.message}\n`;
        },
      );
    });
  }

  /** The next agent that the keeper starts. */
  agent(timeout_ms = 10_000): Promise<AgentLife> {
    const life = this.#lives.shift();
    if (life !== undefined) return Promise.resolve(life);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no agent came\n${this.log}`)), timeout_ms);
      this.#waiting.push((next) => {
        clearTimeout(timer);
        resolve(next);
      });
    });
  }

  spec(name: string, overrides: Partial<ProcessSpec> = {}): ProcessSpec {
    return {
      name: `guest/${name}`,
      tag: `${name}:1`,
      argv: ['sleep', '3600'],
      env: {},
      cwd: this.dir,
      log_file: join(this.dir, `${name}.log`),
      protected: true,
      ...overrides,
    };
  }

  /** Ends the keeper, takes everything away. */
  async close(remove = true): Promise<void> {
    if (this.keeper.exitCode === null && this.keeper.signalCode === null) {
      const ended = new Promise((resolve) => this.keeper.once('exit', resolve));
      this.keeper.kill('SIGCONT');
      this.keeper.kill('SIGTERM');
      const timer = setTimeout(() => this.keeper.kill('SIGKILL'), 8000);
      await ended;
      clearTimeout(timer);
    }
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await until('control groups removed', () =>
      removeFreezer(detectFreezer(join(this.dir, 'data'), process.getuid?.() ?? -1)),
    );
    if (remove) rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Waits for a condition, never for a time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeout_ms = 8000,
): Promise<void> {
  const give_up = Date.now() + timeout_ms;
  while (!(await holds())) {
    if (Date.now() > give_up) throw new Error(`not within ${timeout_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Executes nothing any more: gone or a zombie. */
export function isDead(pid: number): boolean {
  const state = procStat(pid)?.state;
  return state === undefined || state === 'Z' || state === 'X';
}
