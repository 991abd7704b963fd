/**
 * A simulated host's keeper: the real deciders (fence, restart policy, master address) around simulated processes and
 * a pipe that has its own delays. It mirrors src/node/keeper/keeper.ts: the fence is looked at before every line is
 * served, guests and agent die with it, and the next keeper lets go of the master address first.
 */
import type { GuestSpec, KeptProcess, MasterIpParams, ProcessSpec } from '../../../src/drivers/types.ts';
import { DriverError } from '../../../src/drivers/types.ts';
import { agent_start_timeout_ms, agent_timeout_ms } from '../../../src/node/keeper/agent-process.ts';
import {
  type FenceLease,
  fenceAction,
  leaseIsLive,
  nextLease,
  no_lease,
} from '../../../src/node/keeper/fence-action.ts';
import { MasterGuard } from '../../../src/node/keeper/master-guard.ts';
import { initial_restart, nextRestart, type RestartState } from '../../../src/node/keeper/restart-policy.ts';
import type { KeeperClient } from '../../../src/node/keeper-client.ts';
import type { Knobs } from '../../kit/knobs.ts';
import type { World } from '../world.ts';
import type { Kernel, SimGuest } from './kernel.ts';
import type { SimMasterIp } from './master-ip.ts';
import type { SimProcess } from './sim-process.ts';

export interface KeeperFile {
  boot: number;
  master: MasterIpParams | null;
}

export interface KeeperDeps {
  readonly world: World;
  readonly host: string;
  readonly knobs: Knobs;
  readonly proc: SimProcess;
  readonly kernel: Kernel;
  readonly file: KeeperFile;
  readonly master_ip: SimMasterIp;
  startAgent(): void;
  /** SIGKILL. */
  killAgent(): void;
}

type ExitHandler = Parameters<KeeperClient['onExit']>[0];
type Exit = Parameters<ExitHandler>[0];

/** One agent's end of the pipe, as the keeper sees it. */
interface Connection {
  readonly agent: SimProcess;
  readonly handlers: {
    exit: ExitHandler[];
    fenced: ((fenced: { frozen: readonly string[]; killed: readonly string[] }) => void)[];
    thawed: ((names: readonly string[]) => void)[];
    dropped: ((params: MasterIpParams, error: string) => void)[];
  };
  readonly early: Exit[];
}

const guarded_look_ms = 1000;
const idle_look_ms = 5000;
const stalled_ms = 2000;
const beat_ms = 1000;

export class SimKeeper {
  readonly #deps: KeeperDeps;
  readonly #master: MasterGuard;
  #lease: FenceLease = no_lease;
  #restart: RestartState = initial_restart;
  #connection: Connection | null = null;
  #started_ms = 0;
  #heard_ms: number | null = null;
  #agent_runs = false;
  #planned_ms: number | null = null;
  #cancel: () => void = () => undefined;
  #to_keeper_ms = 0;
  #to_agent_ms = 0;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    const { proc, kernel, file, world } = deps;
    this.#master = new MasterGuard(
      {
        now_ms: () => proc.now_ms(),
        after: (delay_ms, fn) => proc.after(delay_ms, fn),
        driver: async () => deps.master_ip.of(proc),
        persist: (master) => {
          file.master = master;
        },
        onDropped: (params, error) => {
          world.marks.hit('keeper dropped the address');
          this.#tell((to) => {
            for (const handler of to.handlers.dropped) handler(params, error);
          });
        },
        log: (message) => this.#note(message),
      },
      file.master,
    );
    kernel.onExit = (guest, signal) => proc.deliver(() => this.#exited(guest, signal));
  }

  start(): void {
    this.#master.drop();
    this.#spawnAgent();
    this.#look();
  }

  /** Whatever lies in the pipe is lost with the keeper. */
  end(): void {
    this.#master.close();
    this.#cancel();
  }

  /** The agent's process has ended. */
  agentEnded(code: number | null): void {
    const { proc } = this.#deps;
    this.#connection = null;
    this.#agent_runs = false;
    proc.deliver(() => {
      this.#master.drop();
      const lived_ms = proc.now_ms() - this.#started_ms;
      const { state, wait_ms } = nextRestart(this.#restart, code, lived_ms);
      this.#restart = state;
      if (wait_ms === null)
        this.#deps.world.fail(`${this.#deps.host}: the agent stays down after fatal failures`);
      else proc.after(wait_ms, () => this.#spawnAgent());
    });
  }

  /** The pipe's end for a new agent, after its greeting was answered. */
  async connect(agent: SimProcess): Promise<KeeperClient> {
    const { file, kernel } = this.#deps;
    const connection: Connection = {
      agent,
      handlers: { exit: [], fenced: [], thawed: [], dropped: [] },
      early: [],
    };
    this.#connection = connection;
    const request = <T>(serve: () => T | Promise<T>) => this.#request(connection, serve);
    const send = (serve: () => void) => this.#send(connection, serve);
    const welcome = await request(() => ({ boot: file.boot, processes: this.#list() }));
    const beat = () => {
      send(() => undefined);
      agent.after(beat_ms, beat);
    };
    beat();
    const client: KeeperClient = {
      boot: welcome.boot,
      boot_id: `boot-${welcome.boot}`,
      watchdog: 'none',
      processes_at_start: welcome.processes,
      spawn: (spec) => request(() => this.#spawn(spec, guestOf(spec))),
      async kill(name) {
        await request(
          () =>
            new Promise<void>((resolve) => {
              const guest = kernel.guests.get(name);
              if (guest === undefined) return resolve();
              keeperKill(guest);
              const look = () => (guest.gone ? resolve() : void keeper.after(2, look));
              look();
            }),
        );
      },
      list: () => request(() => this.#list()),
      onExit(handler) {
        connection.handlers.exit.push(handler);
        for (const exit of connection.early.splice(0)) handler(exit);
      },
      setLease: (deadline_ms, guard_slack_ms, reset) =>
        send(() => {
          this.#deps.world.watcher.leases.leased(this.#deps.host, deadline_ms);
          this.#lease = nextLease(keeper.now_ms(), this.#lease, { deadline_ms, guard_slack_ms, reset });
        }),
      async setMaster(deadline_ms, params) {
        send(() => master.set(deadline_ms, params));
        await request(() => master.settled());
      },
      extendMaster: (deadline_ms, params) => send(() => master.set(deadline_ms, params)),
      setPaused: (name, proven) =>
        request(() => {
          const guest = kernel.guests.get(name);
          if (guest !== undefined) guest.paused_proven = proven;
        }),
      onFenced: (handler) => void connection.handlers.fenced.push(handler),
      onThawed: (handler) => void connection.handlers.thawed.push(handler),
      onMasterDropped: (handler) => void connection.handlers.dropped.push(handler),
      // An agent dies with its keeper here: there is nobody left to be told.
      onClosed: () => undefined,
      close: () => undefined,
    };
    const keeper = this.#deps.proc;
    const master = this.#master;
    const keeperKill = (guest: SimGuest) => this.#kill(guest);
    return client;
  }

  #spawnAgent(): void {
    const { proc } = this.#deps;
    this.#started_ms = proc.now_ms();
    this.#heard_ms = null;
    this.#agent_runs = true;
    this.#deps.startAgent();
    this.#look();
  }

  #list(): readonly KeptProcess[] {
    return [...this.#deps.kernel.guests.values()].map(({ spec, pid, frozen }) => ({
      name: spec.name,
      tag: spec.tag,
      pid,
      protected: spec.protected,
      frozen,
    }));
  }

  #spawn(spec: ProcessSpec, guest: GuestSpec): { readonly pid: number } {
    const { kernel, proc, world } = this.#deps;
    const present = kernel.guests.get(spec.name);
    if (present !== undefined) {
      if (present.spec.tag === spec.tag && !present.dying) return { pid: present.pid };
      throw new DriverError('failed', `${spec.name} runs or is still ending with tag ${present.spec.tag}`);
    }
    if (spec.protected && !leaseIsLive(proc.now_ms(), this.#lease)) {
      world.marks.hit('keeper refused a start');
      throw new DriverError('failed', 'this host has no live lease: nothing protected may be started');
    }
    return { pid: kernel.spawn(spec, guest).pid };
  }

  #kill(guest: SimGuest): void {
    this.#deps.kernel.kill(guest, this.#deps.knobs.range(0.5, 20));
  }

  #exited(guest: SimGuest, signal: string | null): void {
    const exit: Exit = { name: guest.spec.name, tag: guest.spec.tag, code: null, signal, log_tail: '' };
    this.#tell((to) => {
      if (to.handlers.exit.length === 0) to.early.push(exit);
      for (const handler of to.handlers.exit) handler(exit);
    });
  }

  /** As Keeper.#look: everything that is due by the clock. */
  #look(): void {
    const { proc, kernel, world } = this.#deps;
    const now_ms = proc.now_ms();
    const view = [...kernel.guests.values()].filter((guest) => !guest.dying);
    const actions = fenceAction(
      now_ms,
      this.#lease,
      view.map(({ spec, paused_proven, frozen }) => ({
        name: spec.name,
        protected: spec.protected,
        paused_proven,
        frozen,
      })),
    );
    for (const name of actions.kill) {
      world.marks.hit('keeper killed');
      world.watcher.harmed(kernel.host, name, 'killed');
      this.#kill(kernel.guests.get(name)!);
    }
    for (const name of actions.freeze) {
      world.marks.hit('keeper froze');
      world.watcher.harmed(kernel.host, name, 'frozen');
      kernel.setFrozen(kernel.guests.get(name)!, true);
    }
    for (const name of actions.thaw) {
      world.marks.hit('keeper thawed');
      kernel.setFrozen(kernel.guests.get(name)!, false);
    }
    if (actions.freeze.length + actions.kill.length > 0) {
      this.#note(`lease ran out: froze ${actions.freeze.join(' ')} killed ${actions.kill.join(' ')}`);
      this.#tell((to) => {
        for (const handler of to.handlers.fenced) handler({ frozen: actions.freeze, killed: actions.kill });
      });
    }
    if (actions.thaw.length > 0) {
      this.#tell((to) => {
        for (const handler of to.handlers.thawed) handler(actions.thaw);
      });
    }
    this.#master.check();
    if (this.#planned_ms !== null && now_ms > this.#planned_ms + stalled_ms && this.#heard_ms !== null)
      this.#heard_ms = now_ms;
    const silent_ms = this.#silentAtMs();
    if (silent_ms !== null && now_ms >= silent_ms) {
      world.marks.hit('keeper ended a silent agent');
      this.#note('agent is silent, is ended');
      this.#deps.killAgent();
    }
    this.#arm(now_ms, actions.next_ms);
  }

  #silentAtMs(): number | null {
    if (!this.#agent_runs) return null;
    return this.#heard_ms === null
      ? this.#started_ms + agent_start_timeout_ms
      : this.#heard_ms + agent_timeout_ms;
  }

  #arm(now_ms: number, fence_ms: number | null): void {
    this.#cancel();
    const master_ms = this.#master.nextMs();
    const never_ms = Number.POSITIVE_INFINITY;
    const due_ms = Math.min(fence_ms ?? never_ms, master_ms ?? never_ms, this.#silentAtMs() ?? never_ms);
    if (due_ms === never_ms) {
      this.#planned_ms = null;
      this.#cancel = () => undefined;
      return;
    }
    const longest_ms = fence_ms !== null || master_ms !== null ? guarded_look_ms : idle_look_ms;
    const wait_ms = Math.max(1, Math.min(longest_ms, due_ms - now_ms));
    this.#planned_ms = now_ms + wait_ms;
    this.#cancel = this.#deps.proc.after(wait_ms, () => this.#look());
  }

  #delay(knobs: Knobs, last_ms: number): number {
    const at_ms = this.#deps.world.time.now_ms + 0.05 + knobs.exponential(this.#deps.world.habits.pipe_ms);
    return Math.max(last_ms, at_ms);
  }

  /** A line to the keeper: kept in order, and the fence is looked at before it is served, and after. */
  #send(from: Connection, serve: () => void): void {
    const { world, proc, knobs } = this.#deps;
    this.#to_keeper_ms = this.#delay(knobs, this.#to_keeper_ms);
    world.time.after(this.#to_keeper_ms - world.time.now_ms, () =>
      proc.deliver(() => {
        if (this.#connection !== from) return;
        this.#heard_ms = proc.now_ms();
        this.#look();
        serve();
        this.#look();
      }),
    );
  }

  #request<T>(from: Connection, serve: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#send(from, () => {
        const answer = (act: () => void) => this.#tell(act, from);
        let result: T | Promise<T>;
        try {
          result = serve();
        } catch (error) {
          answer(() => reject(error));
          return;
        }
        if (result instanceof Promise) {
          result.then(
            (value) => answer(() => resolve(value)),
            (error: Error) => answer(() => reject(new DriverError('failed', error.message))),
          );
          return;
        }
        const value = result;
        answer(() => resolve(value));
      });
    });
  }

  #tell(act: (to: Connection) => void, to = this.#connection): void {
    const { world, knobs } = this.#deps;
    if (to === null) return;
    this.#to_agent_ms = this.#delay(knobs, this.#to_agent_ms);
    world.time.after(this.#to_agent_ms - world.time.now_ms, () => to.agent.deliver(() => act(to)));
  }

  #note(message: string): void {
    const { world, host } = this.#deps;
    world.trace.add(world.time.now_ms, host, `keeper: ${message}`);
  }
}

/** The driver puts the guest where a real one puts QEMU's arguments. */
function guestOf(spec: ProcessSpec): GuestSpec {
  return JSON.parse(spec.argv[0] ?? '') as GuestSpec;
}
