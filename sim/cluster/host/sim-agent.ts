/**
 * One life of an agent on a simulated host: as main.ts and agent.ts, without the local socket. Everything that it
 * reaches of its host goes through its process, so that its end is the end of all of it.
 */
import { default_timing } from '../../../src/consensus/api.ts';
import type { AgentOptions } from '../../../src/node/agent-options.ts';
import { memberMethods } from '../../../src/node/api-methods.ts';
import type { ApiHandler } from '../../../src/node/api-server.ts';
import { endGuests } from '../../../src/node/end-guests.ts';
import { fatalStatus } from '../../../src/node/fatal-error.ts';
import { found } from '../../../src/node/founding.ts';
import type { Host } from '../../../src/node/host.ts';
import { joinCluster, parseJoining } from '../../../src/node/joining.ts';
import type { KeeperClient } from '../../../src/node/keeper-client.ts';
import type { HostDrivers } from '../../../src/node/make-drivers.ts';
import { type Member, startMember } from '../../../src/node/member.ts';
import { type MemberFile, readMemberFile, removeMemberFile } from '../../../src/node/member-file.ts';
import type { ClusterGeneration } from '../../../src/node/mesh-types.ts';
import type { Env, LogLevel } from '../../../src/node/real-env.ts';
import {
  onSuperseded,
  type RecoverApiDeps,
  recoverMethods,
  supersededText,
} from '../../../src/node/recover-api.ts';
import { completePending } from '../../../src/node/recover-store.ts';
import type { Knobs } from '../../kit/knobs.ts';
import { begin_wall_s, type World } from '../world.ts';
import type { SimProcess } from './sim-process.ts';
import { type WaitingProposals, watchReplica } from './watched-replica.ts';

/** And what agent.ts does with directories. */
export interface AgentHost extends Host {
  setImageAside(): Promise<void>;
}

export interface AgentDeps {
  readonly world: World;
  readonly name: string;
  readonly ip: string;
  readonly knobs: Knobs;
  readonly proc: SimProcess;
  /** Of the agent; no other host's, nor of another time. */
  readonly life: string;
  wall_offset_ms(): number;
  connect(): Promise<KeeperClient>;
  host(env: Env): AgentHost;
  drivers(keeper: KeeperClient): HostDrivers;
  /** A member began, or applied something. */
  onApplied(member: Member): void;
  /** The process ends by itself. */
  exit(code: number): void;
}

const quiet: ReadonlySet<LogLevel> = new Set(['debug']);
const no_client = { signal: new AbortController().signal, event: () => undefined, upgrade: () => undefined };

export class SimAgent {
  readonly #deps: AgentDeps;
  readonly #env: Env;
  readonly #host: AgentHost;
  #keeper: KeeperClient | null = null;
  #drivers: HostDrivers | null = null;
  #methods: ReadonlyMap<string, ApiHandler> = new Map();
  #member: Member | null = null;
  /** The membership of a host that stands down. */
  #stood: MemberFile | null = null;
  readonly #recovery: RecoverApiDeps;
  readonly #superseded: (theirs: ClusterGeneration) => void;
  #waiting: () => WaitingProposals = () => ({ count: 0, bytes: 0 });
  #up = false;
  #ids = 0;
  /** Clients of this life, told when it ends. */
  readonly #clients = new Set<(error: Error) => void>();

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    this.#env = this.#makeEnv();
    this.#host = deps.host(this.#env);
    this.#recovery = this.#recoverDeps();
    this.#superseded = onSuperseded(this.#recovery);
  }

  get member(): Member | null {
    return this.#member;
  }

  /** Proposals to its replica that are not answered yet. */
  get waiting_proposals(): WaitingProposals {
    return this.#waiting();
  }

  /** It takes part in nothing: its cluster was recovered without it. */
  get stands_down(): boolean {
    return this.#stood !== null;
  }

  /** It has read its membership, and serves. */
  get up(): boolean {
    return this.#up;
  }

  async start(): Promise<void> {
    const deps = this.#deps;
    try {
      this.#keeper = await deps.connect();
      this.#drivers = deps.drivers(this.#keeper);
      this.#methods = recoverMethods(this.#recovery);
      const read = await readMemberFile(this.#host.membership);
      const file = read && (await completePending(this.#host, read));
      if (read?.pending_follow) deps.world.marks.hit('host followed');
      if (file?.superseded) {
        this.#stood = file;
        deps.world.marks.hit('host stands down');
        this.#env.log('error', supersededText(file));
      } else if (file) await this.#begin(file);
      this.#up = true;
    } catch (error) {
      if (deps.proc.ended) return;
      this.#env.fatal('the agent cannot start', error);
    }
  }

  /** As a client of the local API: rejects when this life ends first. */
  call(method: string, params: Record<string, unknown>): Promise<unknown> {
    return this.#asClient(async () => {
      const handler = this.#methods.get(method);
      if (handler === undefined) throw new Error(`${this.#deps.name} is in no cluster`);
      return handler(params, no_client);
    });
  }

  found(params: unknown): Promise<void> {
    return this.#asClient(async () => {
      await this.#beginNew(await found({ ...this.#parts(), host: this.#host }, params));
    });
  }

  join(token: string): Promise<void> {
    return this.#asClient(async () => {
      const deps = { ...this.#parts(), host: this.#host, life: this.#deps.life };
      await this.#beginNew(await joinCluster(deps, parseJoining(deps, { token })));
    });
  }

  /** Its process has ended. */
  ended(): void {
    for (const tell of [...this.#clients]) tell(new Error(`the agent of ${this.#deps.name} ended`));
    this.#clients.clear();
  }

  #parts() {
    return { options: this.#options(), env: this.#env, boot: this.#keeper!.boot };
  }

  #asClient<T>(act: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#clients.add(reject);
      act()
        .then(resolve, reject)
        .finally(() => this.#clients.delete(reject));
    });
  }

  /** As agent.ts: a membership that cannot begin is none, and this life is over. */
  async #beginNew(file: MemberFile): Promise<void> {
    try {
      await this.#begin(file);
    } catch (error) {
      await removeMemberFile(this.#host.membership);
      this.#env.after(100, () => this.#deps.exit(1));
      throw error;
    }
  }

  async #begin(file: MemberFile): Promise<void> {
    const deps = this.#deps;
    const member = await startMember({
      options: this.#options(),
      env: this.#env,
      host: this.#host,
      keeper: this.#keeper!,
      drivers: this.#drivers!,
      file,
      version: '0.0.0-sim',
      crash: null,
      setImageAside: () => this.#host.setImageAside(),
      left: (reason) => void this.#leave(reason),
      superseded: this.#superseded,
      restart: () => this.#deps.exit(0),
    });
    this.#member = member;
    this.#waiting = watchReplica(member.replica);
    this.#methods = new Map([...recoverMethods(this.#recovery), ...memberMethods(member)]);
    member.onApplied(() => deps.onApplied(member));
    deps.onApplied(member);
  }

  /** As agent.ts: guests first, membership after. */
  async #leave(reason: string): Promise<void> {
    this.#methods = new Map();
    this.#env.log('warn', 'leaving the cluster', { reason });
    this.#deps.world.marks.hit('host left');
    await this.#member?.retire(reason);
    const hypervisors = this.#drivers!.hypervisors;
    await endGuests({ env: this.#env, hypervisors }, Number.POSITIVE_INFINITY);
    await removeMemberFile(this.#host.membership);
    this.#env.after(50, () => this.#deps.exit(0));
  }

  /** As agent.ts, without the copy that it keeps. */
  #recoverDeps(): RecoverApiDeps {
    return {
      env: this.#env,
      host: this.#host,
      member: () => this.#member,
      stood: () => this.#stood,
      stop: async () => {
        const stopped = this.#member;
        this.#member = null;
        this.#methods = new Map();
        await stopped?.close(false);
      },
      keepCopy: async (name) => name,
      exit: (code) => this.#deps.exit(code),
    };
  }

  #options(): AgentOptions {
    const { raft_limits } = this.#deps.world.habits;
    return {
      name: this.#deps.name,
      data_dir: '/var/lib/skein',
      run_dir: '/run/skein',
      log_dir: '/var/log/skein',
      listen: [`/ip4/${this.#deps.ip}/tcp/1820`],
      timing: default_timing,
      test_hooks: true,
      master_ip_script: '',
      reboot_program: '/reboot',
      os_paths: [],
      fake_dir: '',
      ...(raft_limits === undefined ? {} : { raft_limits }),
    };
  }

  #makeEnv(): Env {
    const { proc, world, name, knobs } = this.#deps;
    return {
      now_ms: () => proc.now_ms(),
      wall_s: () => begin_wall_s + (world.time.now_ms + this.#deps.wall_offset_ms()) / 1000,
      after: (delay_ms, fn) => proc.after(delay_ms, fn),
      random: knobs.random,
      uuid: () => {
        this.#ids += 1;
        const hex = (digits: number) =>
          Math.floor(knobs.random() * 16 ** digits)
            .toString(16)
            .padStart(digits, '0');
        return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`;
      },
      secret: (length) => Uint8Array.from({ length }, () => Math.floor(knobs.random() * 256)),
      log: (level, message, fields) => {
        if (proc.ended || quiet.has(level)) return;
        const { stack: _, ...shown } = fields ?? {};
        world.trace.add(world.time.now_ms, name, `${level} ${message} ${JSON.stringify(shown)}`);
        this.#remark(message, shown);
      },
      fatal: (reason, cause) => {
        if (proc.ended) return;
        if (isOfDisk(cause)) {
          world.marks.hit('agent ended for its disk');
          world.trace.add(world.time.now_ms, name, `fatal: ${reason}`);
        } else world.fail(`${name}: fatal: ${reason}${cause instanceof Error ? `\n${cause.stack}` : ''}`);
        this.#deps.exit(fatalStatus(cause));
      },
    };
  }

  #remark(message: string, fields: Record<string, unknown>): void {
    const { name, world } = this.#deps;
    const { marks, watcher } = world;
    if (message === 'role' && fields['role'] === 'leader' && fields['established'] === false)
      watcher.leading(name, 'elected');
    else if (message === 'leader') {
      marks.hit('new leader');
      watcher.leading(name, 'leads');
    } else if (message === 'the lead is handed over') watcher.leading(name, 'hands-over');
    else if (message === 'the cluster is recovered here: a new generation begins')
      marks.hit('cluster recovered');
    else if (message === 'a snapshot was installed') marks.hit('snapshot installed');
    else if (message.startsWith('the log is damaged')) marks.hit('storage found damaged');
    else if (message === 'repair') marks.hit('repair');
    else if (message === 'ending a guest' && String(fields['why']).includes('does not give it'))
      marks.hit('guest superseded');
  }
}

/** A disk that fails or is full is behind it: a fault of ours. Whatever else an agent calls fatal is a bug. */
function isOfDisk(cause: unknown): boolean {
  for (let at = cause; at instanceof Error; at = at.cause)
    if ('code' in at && (at.code === 'EIO' || at.code === 'ENOSPC')) return true;
  return false;
}
