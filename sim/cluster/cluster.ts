/**
 * A cluster of simulated hosts, founded and joined through the agents' own code, and asked through their own API. A
 * client is on some host and speaks to that host's agent; when that agent dies the client knows nothing, as in life.
 */
import { default_ha, scaled_ha } from '../../src/config/defaults.ts';
import { loose_ipolicy } from '../../src/config/ipolicy.ts';
import type { Member } from '../../src/node/member.ts';
import { Knobs } from '../kit/knobs.ts';
import { Marks } from '../kit/marks.ts';
import type { Trace } from '../kit/trace.ts';
import { SimHost } from './host/sim-host.ts';
import { type Delays, Links } from './links.ts';
import { mark_names } from './mark-names.ts';
import { Oracles } from './oracles.ts';
import { HarmOracle } from './oracles-harm.ts';
import { doneAgain } from './oracles-jobs.ts';
import { RareStates } from './rare-states.ts';
import type { Turn } from './virtual-time.ts';
import { VirtualTime } from './virtual-time.ts';
import { Weather } from './weather.ts';
import type { HostHabits, Leading, World } from './world.ts';

export const cluster_name = 'sim';
export const master_ip = '10.9.9.9';
export const file_dir = '/srv/file';
export const shared_dir = '/shared';
/** Larger clusters than this join in batches. */
const most_joined_singly = 12;
const join_batch = 10;
/** O5 compares at every 64th index. */
const hash_every = 64;

export interface ClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly trace: Trace;
  readonly turn: Turn;
  readonly habits: HostHabits;
  readonly delays: Delays;
  /** Hosts' clocks differ from true time by up to this fraction. */
  readonly drift: number;
  /** `scaled` or `default` leases. */
  readonly lease: 'scaled' | 'default';
  readonly candidate_pool_size: number;
}

/** What ends a run, with virtual time. */
export class Breach extends Error {}

export class SimCluster {
  readonly time: VirtualTime;
  readonly knobs: Knobs;
  readonly marks = new Marks(mark_names);
  readonly oracles: Oracles;
  readonly links: Links;
  readonly weather: Weather;
  readonly rare: RareStates;
  readonly hosts: SimHost[] = [];
  readonly options: ClusterOptions;
  readonly #world: World;
  #breach: Breach | null = null;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.knobs = new Knobs(options.seed);
    this.time = new VirtualTime(options.turn);
    this.oracles = new Oracles(this.time, (what) => this.fail(what));
    this.oracles.actingOn = (name) => this.hosts.find((host) => host.name === name)?.member;
    this.oracles.frozen = (name) => this.hosts.some((host) => host.name === name && host.acts_on_nothing);
    this.links = new Links(this.time, this.knobs.fork(), options.delays);
    const ha = options.lease === 'scaled' ? scaled_ha : default_ha;
    this.weather = new Weather(this);
    this.rare = new RareStates(this);
    this.oracles.leading = (name, what) => this.#leading(name, what);
    this.oracles.asksForStep = (name, key) => {
      const state = this.hosts.find((host) => host.name === name)?.member?.state;
      const wrong = state === undefined ? null : doneAgain(state, key);
      if (wrong !== null) this.fail(`${wrong}, by ${name}`);
    };
    this.oracles.thawed = (instance, epoch) => this.rare.thawed(instance, epoch);
    const harm = new HarmOracle(this.weather, ha, (what) => this.fail(what));
    this.oracles.harmed = (host, instance, how) => harm.harmed(host, instance, how);
    const { time, links, marks } = this;
    this.#world = {
      time,
      trace: options.trace,
      marks,
      links,
      habits: options.habits,
      watcher: this.oracles,
      shared_files: new Map(),
      fork: () => this.knobs.fork(),
      fail: (what) => this.fail(what),
    };
    for (let index = 1; index <= options.nodes; index += 1) this.addHost();
    this.weather.start();
  }

  get shared_files(): ReadonlyMap<string, number> {
    return this.#world.shared_files;
  }

  /** One more, its power off. */
  addHost(): SimHost {
    const { drift } = this.options;
    const rate = 1 + this.knobs.range(-drift, drift);
    const host = new SimHost(this.#world, this.hosts.length + 1, rate, {
      applied: (on, member) => this.#applied(on, member),
      reboot: (name) => this.#reboot(name),
      hasPower: (name) => this.hosts.some((one) => one.name === name && one.power),
    });
    this.hosts.push(host);
    return host;
  }

  /** Goes down a moment later, and comes up again, unless somebody has pulled its plug meanwhile. */
  #reboot(name: string): void {
    const host = this.hosts.find((one) => one.name === name);
    if (host === undefined) return;
    const { time } = this.#world;
    time.after(1_000 + this.knobs.range(0, 5_000), () => {
      if (!host.power) return;
      host.powerOff();
      time.after(10_000 + this.knobs.range(0, 60_000), () => host.powerOn());
    });
  }

  /** All are compared at the same few indices. */
  #applied(on: SimHost, member: Member): void {
    this.oracles.knows(on.name, member);
    if (member.state.index % hash_every === this.options.seed % hash_every)
      this.oracles.compareHash(on, member);
    this.oracles.applied(on, member);
  }

  fail(what: string): void {
    this.note('breach', what);
    this.#breach ??= new Breach(`${what} (at ${Math.round(this.time.now_ms)} ms)`);
  }

  #leading(name: string, what: Leading): void {
    const host = this.hosts.find((one) => one.name === name);
    const member = host?.member;
    if (!host || !member) return;
    if (what === 'hands-over') {
      this.rare.handsOver();
      return;
    }
    this.oracles.leases.elected(member.file.generation, member.replica.status().term);
    if (what === 'elected') {
      this.rare.elected(member);
      return;
    }
    this.oracles.leads(host.name, member);
    this.rare.leads(host, member);
  }

  note(who: string, what: string): void {
    this.options.trace.add(this.time.now_ms, who, what);
  }

  /** Lets time pass until `reached`, at most `limit_ms`. @throws Breach */
  async run(limit_ms: number, reached: () => boolean = () => false): Promise<boolean> {
    const held = await this.time.run(limit_ms, () => this.#breach !== null || reached());
    if (this.#breach !== null) throw this.#breach;
    return held;
  }

  /** @throws Breach naming `what` when it does not come to pass in time. */
  async until(what: string, limit_ms: number, reached: () => boolean): Promise<void> {
    if (!(await this.run(limit_ms, reached)))
      throw new Breach(`waited ${limit_ms / 1000} s for: ${what} (at ${Math.round(this.time.now_ms)} ms)`);
  }

  /** Virtual time passes while `act` is under way. */
  async done<T>(what: string, limit_ms: number, act: Promise<T>): Promise<T> {
    let settled = false;
    const end = () => {
      settled = true;
    };
    act.then(end, end);
    await this.until(what, limit_ms, () => settled);
    return act;
  }

  /** Members that run now. */
  members(): readonly { readonly host: SimHost; readonly member: Member }[] {
    return this.hosts.flatMap((host) => {
      const member = host.member;
      return member === null ? [] : [{ host, member }];
    });
  }

  /** The member that leads, has applied an entry of its own term, does not stand still, and is of the highest term. */
  leader(): { readonly host: SimHost; readonly member: Member } | null {
    let best: { host: SimHost; member: Member } | null = null;
    for (const one of this.members()) {
      // To ask a replica is to have it look at its clock: what stands still must not be asked, it would act.
      if (one.host.agent_frozen) continue;
      const status = one.member.replica.status();
      if (status.role !== 'leader' || !status.established) continue;
      if (best === null || status.term > best.member.replica.status().term) best = one;
    }
    return best;
  }

  async found(): Promise<void> {
    const first = this.hosts[0]!;
    first.powerOn();
    await this.until('the first agent', 60_000, () => first.agent?.up === true);
    const { lease, candidate_pool_size } = this.options;
    const founding = first.agent!.found({
      cluster_name,
      node_name: first.name,
      primary_ip: first.ip,
      master_ip,
      master_netdev: 'eth0',
      master_netmask: 16,
      enabled_hypervisors: ['fake'],
      enabled_disk_templates: ['diskless', 'file', 'sharedfile'],
      file_storage_dir: file_dir,
      shared_file_storage_dir: shared_dir,
      nicparams: {},
      hvparams: {},
      ha: { lease },
      candidate_pool_size,
      ipolicy: loose_ipolicy,
    });
    await this.done('founding', 30_000, founding);
    await this.until(
      'the founded cluster',
      30_000,
      () => this.leader()?.member.state.get('cluster', 'cluster') !== undefined,
    );
  }

  /** A few one after the other, as an operator does; many in batches, as a script does. */
  async joinAll(): Promise<void> {
    const rest = this.hosts.slice(1);
    const at_a_time = rest.length > most_joined_singly ? join_batch : 1;
    for (let at = 0; at < rest.length; at += at_a_time) await this.join(...rest.slice(at, at + at_a_time));
  }

  /** Side by side, each by a token of its own. */
  async join(...hosts: readonly SimHost[]): Promise<void> {
    const names = hosts.map((host) => host.name).join(' ');
    for (const host of hosts) host.powerOn();
    await this.until(`the agent of ${names}`, 60_000, () => hosts.every((host) => host.agent?.up === true));
    const params = { expires_s: 3600, master_capable: true, vm_capable: true };
    const join = async (host: SimHost) => {
      const made = await this.hosts[0]!.agent!.call('token.create', params);
      await host.agent!.join((made as { token: string }).token);
    };
    await this.done(`${names} to join`, 60_000, Promise.all(hosts.map(join)));
    const knowsItself = ({ member }: SimHost) => member?.state.get('nodes', member.node_uuid) !== undefined;
    await this.until(`the configuration on ${names}`, 60_000, () => hosts.every(knowsItself));
    this.marks.hit('host joined', hosts.length);
  }
}
