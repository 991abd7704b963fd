/**
 * The agent as the keeper's child: started with a duplex pipe on descriptor 3, started again when it has ended, ended
 * when it is silent. Guarantees: at most one agent at a time, restarts bounded by restart-policy.ts. It must never
 * touch a guest: the agent's death is no reason to.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { encodeLine, LineReader } from './json-lines.ts';
import type { KeeperOutput } from './protocol-more.ts';
import { disk_full_status, initial_restart, nextRestart, type RestartState } from './restart-policy.ts';

export interface AgentProcessOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now_ms: () => number;
  /** Longest delay before a restart after an ordinary end; default {@link max_delay_ms}. */
  readonly most_restart_delay_ms?: number;
  /** Called when bytes have arrived, before any of them is looked at. */
  readonly beforeInput: () => void;
  readonly onLine: (line: Record<string, unknown>) => void;
  /** Pipe closed or process ended; once an agent. */
  readonly onGone: () => void;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

/** An agent that said nothing for this long is ended. It beats every second. */
export const agent_timeout_ms = 10_000;
/** Until its first line: reading a large log back takes longer than a beat. */
export const agent_start_timeout_ms = 60_000;
/** What may wait for an agent that does not read; then it is as good as dead. */
const max_queued_bytes = 8_388_608;

interface Running {
  readonly child: ChildProcess;
  readonly pipe: Duplex;
  readonly started_ms: number;
  heard_ms: number | null;
  gone: boolean;
}

export class AgentProcess {
  readonly #options: AgentProcessOptions;
  #running: Running | null = null;
  #restart: RestartState = initial_restart;
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  /** It ended for want of disk space last time too: said once, since logs need space as well. */
  #disk_full = false;

  constructor(options: AgentProcessOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = null;
    const [program = '', ...rest] = this.#options.argv;
    const child = spawn(program, rest, {
      env: { ...this.#options.env, SKEIN_KEEPER_FD: '3' },
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    });
    const running: Running = {
      child,
      pipe: child.stdio[3] as Duplex,
      started_ms: this.#options.now_ms(),
      heard_ms: null,
      gone: false,
    };
    this.#running = running;
    child.once('error', (error) => {
      this.#options.log('agent could not be started', { program, error: error.message });
      if (child.pid === undefined) this.#ended(running, null, null);
    });
    child.once('exit', (code, signal) => this.#ended(running, code, signal));
    const reader = new LineReader((line) => {
      running.heard_ms = this.#options.now_ms();
      if (this.#running === running && !running.gone) this.#options.onLine(line);
    });
    running.pipe.on('data', (chunk: Uint8Array) => {
      this.#options.beforeInput();
      try {
        reader.push(chunk);
      } catch (error) {
        this.#options.log('agent sent what no agent sends, is ended', { error: (error as Error).message });
        this.#cut(running);
      }
    });
    running.pipe.on('error', (error) => this.#options.log('agent pipe', { error: error.message }));
    running.pipe.once('close', () => this.#cut(running));
    running.pipe.once('end', () => this.#cut(running));
  }

  /** Drops the line when there is no agent to read it. */
  send(line: KeeperOutput): void {
    const running = this.#running;
    if (running === null || running.gone || running.pipe.destroyed) return;
    if (running.pipe.writableLength > max_queued_bytes) {
      this.#options.log('agent does not read, is ended', { queued_bytes: running.pipe.writableLength });
      this.#cut(running);
      return;
    }
    running.pipe.write(encodeLine(line));
  }

  /** When it counts as silent; null when none runs. */
  silentAtMs(): number | null {
    const running = this.#running;
    if (running === null || running.gone) return null;
    return running.heard_ms === null
      ? running.started_ms + agent_start_timeout_ms
      : running.heard_ms + agent_timeout_ms;
  }

  /** The keeper itself stood still: silence during that time is not the agent's fault. */
  forgive(): void {
    if (this.#running !== null && this.#running.heard_ms !== null)
      this.#running.heard_ms = this.#options.now_ms();
  }

  check(): void {
    const silent_at_ms = this.silentAtMs();
    if (silent_at_ms === null || this.#running === null || this.#options.now_ms() < silent_at_ms) return;
    this.#options.log('agent is silent, is ended', { pid: this.#running.child.pid });
    this.#cut(this.#running);
  }

  /** SIGTERM, and SIGKILL when it has not ended in time. It is not started again. */
  async stop(timeout_ms: number): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const running = this.#running;
    if (running === null || running.child.pid === undefined) return;
    const { child } = running;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#options.log('agent did not end in time, is killed', { timeout_ms });
      child.kill('SIGKILL');
    }, timeout_ms);
    await ended;
    clearTimeout(timer);
  }

  /** Its pipe is what ties it to us: without one it is ended, whatever it still does. */
  #cut(running: Running): void {
    this.#gone(running);
    // While stopping it may close its pipe first and still have something to finish.
    if (!this.#stopping) running.child.kill('SIGKILL');
    running.pipe.destroy();
  }

  #gone(running: Running): void {
    if (running.gone) return;
    running.gone = true;
    this.#options.onGone();
  }

  #ended(running: Running, code: number | null, signal: string | null): void {
    this.#gone(running);
    running.pipe.destroy();
    if (this.#running !== running) return;
    this.#running = null;
    if (this.#stopping) return;
    const lived_ms = this.#options.now_ms() - running.started_ms;
    const decision = nextRestart(this.#restart, code, lived_ms, this.#options.most_restart_delay_ms);
    this.#restart = decision.state;
    const disk_full = code === disk_full_status;
    if (!disk_full || !this.#disk_full)
      this.#options.log('agent ended', { code, signal, lived_ms, restart_in_ms: decision.wait_ms });
    if (disk_full && !this.#disk_full)
      this.#options.log(
        'the disk with the data directory is full: the agent is tried again every 10 s until there is space',
      );
    this.#disk_full = disk_full;
    if (decision.wait_ms === null) {
      this.#options.log(
        'agent stays down: it ended with the same fatal failure again and again; see its log, then restart skeind',
      );
      return;
    }
    this.#timer = setTimeout(() => this.start(), decision.wait_ms);
  }
}
