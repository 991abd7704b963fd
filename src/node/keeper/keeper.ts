/**
 * The keeper: holds the lease's deadline, the guests and the master role's end, and the agent that decides about them.
 * Guarantees: whatever the agent does or stops doing, nothing protected runs past the fence, and the fence is looked
 * at before any line of the agent is served. It must never wait for the agent.
 */
import type { MasterIpDriver, MasterIpParams, ProcessSpec } from '../../drivers/types.ts';
import { keeper_protocol_version } from '../keeper-protocol.ts';
import { AgentProcess } from './agent-process.ts';
import { type FenceLease, fenceAction, leaseIsLive, nextLease, no_lease } from './fence-action.ts';
import { type Freezer, removeFreezer } from './freezer.ts';
import { type KeeperFile, writeKeeperFile } from './keeper-file.ts';
import { MasterGuard } from './master-guard.ts';
import { parseKeeperInput } from './parse-input.ts';
import { type ProcessExit, ProcessTable } from './process-table.ts';
import type { KeeperInput } from './protocol-more.ts';

export interface KeeperOptions {
  readonly agent_argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file_path: string;
  readonly file: KeeperFile;
  readonly freezer: Freezer;
  readonly now_ms: () => number;
  /** Shorter than usual for tests that kill the agent again and again. */
  readonly most_restart_delay_ms?: number;
  readonly masterIpDriver: () => Promise<Pick<MasterIpDriver, 'stop' | 'holds'>>;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

/** Exits that wait for an agent to come back; the list in `welcome` says the rest. */
const max_kept_exits = 1000;
/** Timers stand still while the host is suspended, the boot-time clock does not: look at least this often. */
const guarded_look_ms = 1000;
const idle_look_ms = 5000;
/** Looked later than planned by this much: the keeper stood still. */
const stalled_ms = 2000;
const agent_stop_timeout_ms = 10_000;
const end_timeout_ms = 5000;

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #table: ProcessTable;
  readonly #agent: AgentProcess;
  readonly #master: MasterGuard;
  #file: KeeperFile;
  #lease: FenceLease = no_lease;
  #connected = false;
  #exits: ProcessExit[] = [];
  /** Frozen by the fence but not yet confirmed by the kernel, and until when that may take. */
  readonly #unproven = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #planned_ms: number | null = null;
  #ending = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#file = options.file;
    this.#table = new ProcessTable({
      freezer: options.freezer,
      env: options.env,
      refusal: () => this.#refusal(),
      onExit: (exit) => this.#onExit(exit),
      log: options.log,
    });
    this.#master = new MasterGuard(
      {
        now_ms: options.now_ms,
        after(delay_ms, fn) {
          const timer = setTimeout(fn, delay_ms);
          return () => clearTimeout(timer);
        },
        driver: options.masterIpDriver,
        persist: (master) => this.#persistMaster(master),
        onDropped: (params, error) => this.#agent.send({ type: 'master-dropped', params, error }),
        log: options.log,
      },
      options.file.master,
    );
    this.#agent = new AgentProcess({
      argv: options.agent_argv,
      env: options.env,
      now_ms: options.now_ms,
      ...(options.most_restart_delay_ms === undefined
        ? {}
        : { most_restart_delay_ms: options.most_restart_delay_ms }),
      beforeInput: () => this.#look(),
      onLine: (line) => this.#onLine(line),
      onGone: () => {
        this.#connected = false;
        this.#master.drop();
      },
      log: options.log,
    });
  }

  start(): void {
    this.#master.drop();
    this.#agent.start();
    this.#look();
  }

  /** Agent, then master address, then guests: with the keeper they die anyway. */
  async end(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    this.#options.log('ending: agent, master IP, guests');
    await this.#agent.stop(agent_stop_timeout_ms);
    this.#master.drop();
    await Promise.race([this.#master.idle(), delay(end_timeout_ms)]);
    this.#master.close();
    await Promise.all(
      this.#table
        .list()
        .map((process) =>
          this.#table
            .kill(process.name, end_timeout_ms)
            .catch((error: Error) => this.#options.log('not ended', { error: error.message })),
        ),
    );
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (let left = 20; !removeFreezer(this.#options.freezer); left -= 1) {
      if (left === 0) {
        this.#options.log('a control group is still busy', { base: this.#options.freezer.base });
        break;
      }
      await delay(25);
    }
  }

  #refusal(): string {
    if (this.#ending) return 'the keeper is ending';
    const now_ms = this.#options.now_ms();
    if (leaseIsLive(now_ms, this.#lease)) return '';
    if (this.#lease.deadline_ms === 0) return 'this host has no lease yet: nothing protected may be started';
    return `this host's lease ran out ${Math.round(now_ms - this.#lease.deadline_ms)} ms ago: nothing protected may be started`;
  }

  /** Everything that is due by the clock; then sleeps until the next thing is. Synchronous up to the signals sent. */
  #look(): void {
    const now_ms = this.#options.now_ms();
    const actions = fenceAction(now_ms, this.#lease, this.#table.fenceView());
    for (const name of actions.kill) this.#table.killNow(name);
    const frozen = actions.freeze.filter((name) => this.#table.freezeNow(name));
    for (const name of frozen) this.#unproven.set(name, now_ms + this.#lease.guard_slack_ms / 4);
    const killed = [
      ...actions.kill,
      ...actions.freeze.filter((name) => !frozen.includes(name)),
      ...this.#killUnproven(now_ms),
    ];
    const thawed = actions.thaw.filter((name) => this.#table.thawNow(name));
    if (frozen.length + killed.length > 0) {
      this.#options.log('lease ran out', { frozen, killed, deadline_ms: this.#lease.deadline_ms, now_ms });
      this.#agent.send({ type: 'fenced', frozen, killed });
    }
    if (thawed.length > 0) {
      this.#options.log('thawed under a live lease', { thawed });
      this.#agent.send({ type: 'thawed', names: thawed });
    }
    this.#master.check();
    if (this.#planned_ms !== null && now_ms > this.#planned_ms + stalled_ms) {
      this.#options.log('the keeper stood still', { late_ms: now_ms - this.#planned_ms });
      this.#agent.forgive();
    }
    this.#agent.check();
    this.#arm(now_ms, actions.next_ms);
  }

  #killUnproven(now_ms: number): readonly string[] {
    const killed: string[] = [];
    for (const [name, until_ms] of this.#unproven) {
      if (this.#table.isProvenFrozen(name)) this.#unproven.delete(name);
      else if (now_ms >= until_ms) {
        this.#unproven.delete(name);
        this.#table.killNow(name);
        killed.push(name);
      }
    }
    return killed;
  }

  #arm(now_ms: number, fence_ms: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const master_ms = this.#master.nextMs();
    const due = [fence_ms, master_ms, this.#agent.silentAtMs(), ...this.#unproven.values()].filter(
      (ms) => ms !== null,
    );
    if (due.length === 0) {
      this.#timer = null;
      this.#planned_ms = null;
      return;
    }
    const longest_ms = fence_ms !== null || master_ms !== null ? guarded_look_ms : idle_look_ms;
    const wait_ms = Math.max(1, Math.min(longest_ms, Math.min(...due) - now_ms));
    this.#planned_ms = now_ms + wait_ms;
    this.#timer = setTimeout(() => this.#look(), wait_ms);
  }

  #onLine(line: Record<string, unknown>): void {
    const parsed = parseKeeperInput(line);
    if (!parsed.ok) {
      this.#options.log('bad line from the agent, ignored', { error: parsed.error });
      if (parsed.id !== null) this.#reply(parsed.id, Promise.reject(new Error(parsed.error)));
      return;
    }
    this.#serve(parsed.input);
    // Only these change what is due; the fence was looked at before the line already.
    if (['lease', 'master', 'spawn', 'paused'].includes(parsed.input.type)) this.#look();
  }

  #serve(input: KeeperInput): void {
    switch (input.type) {
      case 'hello':
        this.#hello(input.v);
        return;
      case 'lease': {
        const next = nextLease(this.#options.now_ms(), this.#lease, input);
        if (next === this.#lease && input.deadline_ms !== this.#lease.deadline_ms) {
          this.#options.log('lease line ignored', {
            deadline_ms: input.deadline_ms,
            held_ms: this.#lease.deadline_ms,
          });
        }
        this.#lease = next;
        return;
      }
      case 'master':
        this.#master.set(input.deadline_ms, input.params);
        return;
      case 'spawn':
        this.#reply(input.id, this.#spawn(input.spec));
        return;
      case 'kill':
        this.#reply(
          input.id,
          this.#table.kill(input.name, input.timeout_ms).then(() => null),
        );
        return;
      case 'list':
        this.#reply(input.id, Promise.resolve(this.#table.list()));
        return;
      case 'sync':
        this.#reply(
          input.id,
          this.#master.settled().then(() => null),
        );
        return;
      case 'paused':
        this.#table.setPaused(input.name, input.proven);
        return;
      case 'beat':
        return;
    }
  }

  #hello(version: number): void {
    if (version !== keeper_protocol_version) {
      this.#options.log('agent speaks another version', { agent: version, keeper: keeper_protocol_version });
    }
    this.#agent.send({
      type: 'welcome',
      v: keeper_protocol_version,
      boot: this.#file.boot,
      boot_id: this.#file.boot_id,
      processes: this.#table.list(),
      watchdog: 'none',
    });
    this.#connected = true;
    for (const exit of this.#exits) this.#agent.send({ type: 'exit', ...exit });
    this.#exits = [];
  }

  async #spawn(spec: ProcessSpec): Promise<{ readonly pid: number }> {
    if (this.#ending) throw new Error('the keeper is ending');
    return this.#table.spawn(spec);
  }

  #reply(id: number, outcome: Promise<unknown>): void {
    outcome.then(
      (value) => this.#agent.send({ type: 'reply', id, ok: true, value, error: '' }),
      (error: Error) => this.#agent.send({ type: 'reply', id, ok: false, value: null, error: error.message }),
    );
  }

  #onExit(exit: ProcessExit): void {
    this.#unproven.delete(exit.name);
    if (this.#connected) {
      this.#agent.send({ type: 'exit', ...exit });
      return;
    }
    this.#exits.push(exit);
    if (this.#exits.length > max_kept_exits) this.#exits.shift();
  }

  #persistMaster(master: MasterIpParams | null): void {
    const file = { ...this.#file, master };
    writeKeeperFile(this.#options.file_path, file);
    this.#file = file;
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
