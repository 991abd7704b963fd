/**
 * A simulated host: power, boot number, clock, disks, kernel, keeper, agent. What survives which kind of end is decided
 * here and nowhere else: a crash of the agent takes nothing written, a power cut takes what was not synced, and the
 * guests; a crash of the keeper takes agent and guests.
 */
import type { Member } from '../../../src/node/member.ts';
import type { MeshCore } from '../../../src/node/mesh/mesh-core.ts';
import { meshGeneration } from '../../../src/node/mesh-generation.ts';
import { direct_placement_service } from '../../../src/node/placement-service.ts';
import type { Env } from '../../../src/node/real-env.ts';
import type { Knobs } from '../../kit/knobs.ts';
import { total_memory_mib, type World } from '../world.ts';
import { Kernel } from './kernel.ts';
import { SimMasterIp } from './master-ip.ts';
import { type AgentHost, SimAgent } from './sim-agent.ts';
import { SimDisk } from './sim-disk.ts';
import { createSimDrivers } from './sim-drivers.ts';
import { type KeeperFile, SimKeeper } from './sim-keeper.ts';
import { type HostClock, SimProcess } from './sim-process.ts';
import { SimImage, SimRecords } from './stores.ts';
import { watchMesh } from './watched-mesh.ts';

const total_disk_mib = 1_000_000;

interface Life {
  readonly proc: SimProcess;
  readonly keeper: SimKeeper;
}

/** What a host has others do. */
export interface HostTold {
  applied(host: SimHost, member: Member): void;
  /** Its agent had its reboot program run, or somebody's out-of-band program for another host. */
  reboot(name: string): void;
  /** Whether a host has power, as its management board sees it. */
  hasPower(name: string): boolean;
}

export class SimHost {
  readonly name: string;
  readonly peer_id: string;
  readonly ip: string;
  readonly log_disk = new SimDisk();
  readonly image = new SimImage();
  readonly journal = new SimRecords('/var/lib/skein/journal');
  readonly membership = new SimRecords('/var/lib/skein');
  /** Images on its own file system: size in MiB by path. */
  readonly files = new Map<string, number>();
  /** Times as long as usual that its disk takes; a fault. */
  disk_slowness = 1;
  /** By how much its wall clock is wrong; a fault. */
  wall_offset_ms = 0;
  /** Told when something of it is about to be written and synced. */
  onWrite: () => void = () => undefined;
  readonly #world: World;
  readonly #knobs: Knobs;
  readonly #clock: HostClock;
  readonly #keeper_file: KeeperFile = { boot: 0, master: null };
  readonly #told: HostTold;
  #booted_ms = 0;
  #kernel: Kernel | null = null;
  #keeper: Life | null = null;
  #agent: { readonly proc: SimProcess; readonly life: SimAgent } | null = null;
  #agents = 0;
  #boots = 0;
  #frozen = false;
  #on_network = false;
  #mesh: MeshCore | null = null;
  #lost = false;
  #slow_until_ms = 0;

  constructor(world: World, index: number, rate: number, told: HostTold) {
    this.#world = world;
    this.#told = told;
    this.#knobs = world.fork();
    this.name = `n${index}`;
    this.peer_id = `peer-${index}`;
    this.ip = `10.0.${index >> 8}.${index & 255}`;
    this.#clock = { rate, now_ms: () => 1_000 + (world.time.now_ms - this.#booted_ms) * rate };
    world.links.add(this.peer_id);
  }

  get power(): boolean {
    return this.#kernel !== null;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Its disk is slow, or a write from that time is under way still. */
  get disk_is_slow(): boolean {
    return this.disk_slowness !== 1 || this.#world.time.now_ms <= this.#slow_until_ms + 1;
  }

  /** For good: its power stays off. */
  get lost(): boolean {
    return this.#lost;
  }

  /** null while the power is off. */
  get kernel(): Kernel | null {
    return this.#kernel;
  }

  get agent(): SimAgent | null {
    return this.#agent?.life ?? null;
  }

  /** All of it, or its agent, or its keeper. */
  get stands_still(): boolean {
    return this.#frozen || this.agent_frozen || (this.#keeper?.proc.frozen ?? false);
  }

  /** Neither its keeper nor its agent can do anything now, not even let go of the master address. */
  get acts_on_nothing(): boolean {
    return this.#frozen || ((this.#keeper?.proc.frozen ?? false) && (this.#agent?.proc.frozen ?? true));
  }

  get agent_frozen(): boolean {
    return this.#agent?.proc.frozen ?? false;
  }

  get member(): Member | null {
    return this.#agent?.life.member ?? null;
  }

  /** What its agent's mesh has not sent yet, for each peer that is up. */
  get queued_bytes(): ReturnType<MeshCore['queuedBytes']> {
    return this.#mesh?.queuedBytes() ?? [];
  }

  powerOn(): void {
    if (this.#kernel !== null || this.#lost) return;
    this.#boots += 1;
    this.#booted_ms = this.#world.time.now_ms;
    this.#kernel = new Kernel(this.#world, this.name);
    this.#note(`power on, boot ${this.#boots}`);
    this.#startKeeper(this.#kernel);
  }

  /** The plug is pulled. */
  powerOff(): void {
    const kernel = this.#kernel;
    if (kernel === null) return;
    this.#note('power off');
    this.#thawHost();
    this.#kernel = null;
    this.#endAgent(true);
    this.#endKeeper();
    kernel.powerOff();
    this.log_disk.powerCut(() =>
      this.#knobs.chance(0.5) ? Math.round(this.#knobs.random()) : this.#knobs.random(),
    );
  }

  /** Its power goes, and its data directory is empty when it is back, but for its key: not even its boots were counted. */
  wipe(): void {
    this.powerOff();
    for (const store of [this.log_disk, this.image, this.journal, this.membership]) store.wipe();
    this.#boots = 0;
    this.#note('is wiped');
  }

  /** It burns down. */
  lose(): void {
    this.powerOff();
    this.#lost = true;
    this.#note('is lost for good');
  }

  /** SIGKILL for the agent; its keeper starts it again. */
  crashAgent(): void {
    if (this.#agent === null) return;
    this.#note('agent killed');
    this.#agentEnds(null);
  }

  /** SIGKILL for the keeper: guests and agent die with it, and the service manager starts it again. */
  crashKeeper(): void {
    const kernel = this.#kernel;
    const life = this.#keeper;
    if (kernel === null || life === null) return;
    this.#note('keeper killed');
    this.#endKeeper();
    this.#endAgent(false);
    kernel.onExit = () => undefined;
    for (const guest of [...kernel.guests.values()]) kernel.kill(guest, this.#knobs.range(0.1, 5));
    this.#world.time.after(this.#knobs.range(100, 3_000), () => {
      if (this.#kernel === kernel && this.#keeper === null) this.#startKeeper(kernel);
    });
  }

  freezeAgent(duration_ms: number): void {
    const agent = this.#agent;
    if (agent === null || this.#frozen) return;
    this.#note(`agent frozen for ${Math.round(duration_ms)} ms`);
    this.#freezeProcess(agent.proc);
    this.#world.time.after(duration_ms, () => {
      if (!agent.proc.ended) this.#thawProcess(agent.proc);
    });
  }

  /** The keeper alone stands still; its guests run on. */
  freezeKeeper(duration_ms: number): void {
    const life = this.#keeper;
    if (life === null || this.#frozen || life.proc.frozen) return;
    this.#note(`keeper frozen for ${Math.round(duration_ms)} ms`);
    const from_ms = this.#world.time.now_ms;
    life.proc.freeze();
    this.#world.time.after(duration_ms, () => {
      if (life.proc.ended) return;
      life.proc.thaw();
      this.#world.watcher.keeperStoodStill(this.name, from_ms);
    });
  }

  /** A guest ends by itself, as one whose kernel panics. */
  endGuest(): boolean {
    const guests = [...(this.#kernel?.guests.values() ?? [])].filter((guest) => guest.running);
    if (guests.length === 0) return false;
    this.#kernel?.end(this.#knobs.pick(guests), null);
    return true;
  }

  /** Agent, keeper and guests stand still, as under a hypervisor that pauses the host itself. */
  freezeHost(duration_ms: number): void {
    const kernel = this.#kernel;
    if (kernel === null || this.#frozen) return;
    this.#note(`host frozen for ${Math.round(duration_ms)} ms`);
    const from_ms = this.#world.time.now_ms;
    this.#frozen = true;
    kernel.setHostFrozen(true);
    this.#keeper?.proc.freeze();
    if (this.#agent !== null) this.#freezeProcess(this.#agent.proc);
    this.#world.time.after(duration_ms, () => {
      if (this.#kernel !== kernel || !this.#frozen) return;
      this.#thawHost();
      this.#world.watcher.keeperStoodStill(this.name, from_ms);
    });
  }

  #thawHost(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    this.#kernel?.setHostFrozen(false);
    // The keeper, as it goes on, may end this agent and start another, which does not stand still.
    const agent = this.#agent;
    this.#keeper?.proc.thaw();
    if (agent !== null && agent === this.#agent) this.#thawProcess(agent.proc);
  }

  #freezeProcess(proc: SimProcess): void {
    proc.freeze();
    this.#world.links.setFrozen(this.peer_id, true);
  }

  #thawProcess(proc: SimProcess): void {
    proc.thaw();
    if (!proc.frozen) this.#world.links.setFrozen(this.peer_id, false);
  }

  #startKeeper(kernel: Kernel): void {
    const proc = new SimProcess(`${this.name} keeper`, this.#world.time, this.#clock);
    if (this.#frozen) proc.freeze();
    // Rises exactly when the boot id changed.
    this.#keeper_file.boot = this.#boots;
    const keeper = new SimKeeper({
      world: this.#world,
      host: this.name,
      knobs: this.#knobs,
      proc,
      kernel,
      file: this.#keeper_file,
      master_ip: new SimMasterIp(this.#world, kernel, this.#knobs),
      startAgent: () => this.#startAgent(kernel, keeper),
      killAgent: () => this.#agentEnds(null),
    });
    this.#keeper = { proc, keeper };
    keeper.start();
  }

  #endKeeper(): void {
    this.#keeper?.proc.end();
    this.#keeper?.keeper.end();
    this.#keeper = null;
  }

  #startAgent(kernel: Kernel, keeper: SimKeeper): void {
    const proc = new SimProcess(this.name, this.#world.time, this.#clock);
    // What begins on a host that stands still does nothing yet.
    if (this.#frozen) this.#freezeProcess(proc);
    this.#agents += 1;
    if (this.#agents > 1) this.#world.marks.hit('agent in a later life');
    this.#note(`agent starts, life ${this.#agents}`);
    const life: SimAgent = new SimAgent({
      world: this.#world,
      name: this.name,
      ip: this.ip,
      knobs: this.#knobs,
      proc,
      life: `${this.name}-${this.#agents}`,
      wall_offset_ms: () => this.wall_offset_ms,
      connect: () => keeper.connect(proc),
      host: (env) => this.#hostOf(proc, env),
      drivers: (client) =>
        createSimDrivers({
          world: this.#world,
          kernel,
          knobs: this.#knobs,
          proc,
          keeper: client,
          own_files: this.files,
          master_ip: new SimMasterIp(this.#world, kernel, this.#knobs),
          reboot: (name) => this.#told.reboot(name),
          hasPower: (name) => this.#told.hasPower(name),
        }),
      onApplied: (member) => this.#told.applied(this, member),
      exit: (code) => {
        if (this.#agent?.proc === proc) this.#agentEnds(code);
      },
    });
    this.#agent = { proc, life };
    // The program loads.
    proc.after(this.#knobs.range(50, 400), () => void life.start());
  }

  /** The agent's process ends; the keeper, which lives on, is told. */
  #agentEnds(code: number | null): void {
    this.#endAgent(false);
    this.#keeper?.keeper.agentEnded(code);
  }

  #endAgent(silent: boolean): void {
    const agent = this.#agent;
    if (agent === null) return;
    this.#agent = null;
    agent.proc.end();
    agent.life.ended();
    for (const store of [this.membership, this.image, this.journal]) store.cut(() => this.#knobs.chance(0.5));
    this.#world.links.setFrozen(this.peer_id, false);
    if (this.#on_network) this.#world.links.network.kill(this.peer_id, { silent });
    this.#on_network = false;
    this.#mesh = null;
  }

  /** The seam of src/node/host.ts, for one life of the agent. */
  #hostOf(proc: SimProcess, env: Env): AgentHost {
    const knobs = this.#knobs;
    const { sync_ms } = this.#world.habits;
    const sync = () => {
      this.onWrite();
      const takes_ms = (0.05 + knobs.exponential(sync_ms)) * this.disk_slowness;
      if (this.disk_slowness > 1)
        this.#slow_until_ms = Math.max(this.#slow_until_ms, this.#world.time.now_ms + takes_ms);
      return proc.sleep(takes_ms);
    };
    return {
      peer_id: this.peer_id,
      measures: {
        cpus: 16,
        memory: () => {
          let used = 0;
          for (const guest of this.#kernel?.guests.values() ?? []) used += guest.guest.memory_mib;
          return { total: total_memory_mib, free: total_memory_mib - used };
        },
        disk: (directory) => {
          const files = directory.startsWith('/shared') ? this.#world.shared_files : this.files;
          let used = 0;
          for (const size of files.values()) used += size;
          return proc.answer(0.5, () => ({ total: total_disk_mib, free: total_disk_mib - used }));
        },
        filesUnder: async (directory) =>
          [...this.files.keys(), ...this.#world.shared_files.keys()].filter((path) =>
            path.startsWith(`${directory}/`),
          ),
        bridgeExists: async () => true,
      },
      openPlacement: () => direct_placement_service,
      membership: this.membership.open(sync),
      openLogDisk: async () => this.log_disk.open((act) => (act === 'sync' ? sync() : undefined)),
      openImage: async () => this.image.open(sync),
      openJournalRecords: async () => this.journal.open(sync),
      wipe: async () => {
        await sync();
        this.log_disk.wipe();
        this.image.wipe();
        this.journal.wipe();
      },
      setImageAside: async () => {
        await sync();
        this.image.wipe();
      },
      wipeLog: async () => {
        await sync();
        this.log_disk.wipe();
      },
      openMesh: async (self_member, cluster) => {
        const addresses = self_member === 0 ? [] : [`/ip4/${this.ip}/tcp/1820`];
        const mesh = this.#world.links.network.createMesh({
          peer_id: this.peer_id,
          self_member,
          addresses,
          generation: meshGeneration(env),
          ...(cluster && { cluster }),
          env,
        });
        this.#on_network = true;
        this.#mesh = mesh;
        watchMesh(mesh, this.name, () => cluster?.own().generation ?? 0, this.#world.watcher);
        return mesh;
      },
    };
  }

  #note(what: string): void {
    this.#world.trace.add(this.#world.time.now_ms, this.name, what);
  }
}
