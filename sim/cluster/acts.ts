/**
 * Everything that is done to a simulated cluster from outside, as plain data: what breaks and mends, and what clients
 * ask for. Whoever decides (chance, a scenario, a recording) decides on acts; here and nowhere else they happen.
 * Guarantees: the same acts at the same times give the same run, whoever decided on them; what chance an act needs is
 * its own, so that leaving out one act moves the draws of no other.
 */
import type { OpInput } from '../../src/config/model.ts';
import { Knobs } from '../kit/knobs.ts';
import type { SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';

/** Hosts by name; `ways` are like `n1>n2 n2>n1`. */
export type Act =
  | {
      readonly do: 'power-off' | 'power-on' | 'kill-agent' | 'kill-keeper' | 'end-guest';
      readonly host: string;
    }
  | {
      readonly do: 'freeze-agent' | 'freeze-keeper' | 'freeze-host';
      readonly host: string;
      readonly ms: number;
    }
  | { readonly do: 'cut' | 'heal'; readonly ways: string }
  /** Times as long as usual: 1 is usual. */
  | { readonly do: 'slow-disk'; readonly host: string; readonly times: number }
  /** null: as at the beginning. */
  | { readonly do: 'delays'; readonly delays: { readonly least_ms: number; readonly mean_ms: number } | null }
  /** The device under the log fails at everything, or no more. */
  | { readonly do: 'disk-errors'; readonly host: string; readonly on: boolean }
  /** The log's disk has so many bytes left, 0: not even what its reserve would free; null: plenty. */
  | { readonly do: 'disk-room'; readonly host: string; readonly bytes: number | null }
  /** A bit of the log turns over: where, from 0 to 1. */
  | { readonly do: 'disk-rot'; readonly host: string; readonly at: number }
  /** The wall clock is set forward or back. */
  | { readonly do: 'step-clock'; readonly host: string; readonly ms: number }
  /** Asks a host's agent to hand on the lead. */
  | { readonly do: 'transfer'; readonly host: string; readonly to?: string }
  /** By a client that asks again, elsewhere, until it is told which job its request is. */
  | {
      readonly do: 'submit';
      readonly request: string;
      readonly ops: readonly OpInput[];
      /** Asks this host only, and once. */
      readonly by?: string;
    }
  | { readonly do: 'cancel'; readonly request: string; readonly host: string }
  /** A new host, powered on and joined: the next by number. */
  | { readonly do: 'join' };

type HostAct = Extract<Act, { readonly host: string }>;

/** When: whole milliseconds of virtual time since the beginning. */
export interface TimedAct {
  readonly at_ms: number;
  readonly act: Act;
}

const most_tries = 6;

/** FNV-1a over 32 bits: a seed of its own for each name. */
function seedOf(seed: number, name: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

export class Acts {
  readonly #cluster: SimCluster;
  readonly #from_ms: number;
  /** How often each request was made so far. */
  readonly #asked = new Map<string, number>();
  #under_way = 0;
  #joins = 0;
  /** Told of each act as it happens. */
  onAct: (timed: TimedAct) => void = () => undefined;

  /** Begins now, which must be a whole millisecond: so are all times, and sums of them are exact. */
  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    this.#from_ms = cluster.time.now_ms;
    if (!Number.isInteger(this.#from_ms)) throw new RangeError(`acts begin at ${this.#from_ms} ms`);
  }

  /** Milliseconds since the beginning. */
  get now_ms(): number {
    return this.#cluster.time.now_ms - this.#from_ms;
  }

  /** No client waits for an answer. */
  get idle(): boolean {
    return this.#under_way === 0;
  }

  /** Calls `fn` in `delay_ms`, rounded up: for whoever decides. */
  after(delay_ms: number, fn: () => void): void {
    this.#cluster.time.after(Math.ceil(delay_ms), fn);
  }

  /** Does all of these when their time comes, in this order; those of now at once. */
  play(list: readonly TimedAct[]): void {
    const by_time = new Map<number, Act[]>();
    for (const { at_ms, act } of list) {
      if (at_ms <= this.now_ms) this.perform(act);
      else by_time.set(at_ms, [...(by_time.get(at_ms) ?? []), act]);
    }
    for (const [at_ms, acts] of by_time)
      this.after(at_ms - this.now_ms, () => {
        for (const act of acts) this.perform(act);
      });
  }

  /** Links whole and quick, disks quick, everything powered. What stands still goes on by itself. */
  healAll(): void {
    const { hosts, links, options } = this.#cluster;
    links.healAll();
    links.setDelays(options.delays);
    for (const host of hosts) {
      host.disk_slowness = 1;
      host.log_disk.broken = false;
      host.log_disk.room_bytes = null;
      host.powerOn();
    }
    this.#cluster.note('run', 'healed');
  }

  /** What is asked of hosts that are not there, or down, is nothing. Answers whether anything came of it. */
  perform(act: Act): boolean {
    this.onAct({ at_ms: this.now_ms, act });
    if ('host' in act) {
      const host = this.#host(act.host);
      return host !== undefined && this.#toHost(host, act);
    }
    const cluster = this.#cluster;
    switch (act.do) {
      case 'cut':
      case 'heal':
        this.#ways(act.do, act.ways);
        return true;
      case 'delays':
        cluster.note('network', act.delays === null ? 'as usual' : `slow ${JSON.stringify(act.delays)}`);
        cluster.links.setDelays(act.delays ?? cluster.options.delays);
        return true;
      case 'submit':
        this.#submit(act.request, act.ops, act.by ?? null);
        return true;
      case 'join':
        this.#joins += 1;
        this.#track(this.#join(new Knobs(seedOf(cluster.options.seed, `join ${this.#joins}`))));
        return true;
    }
  }

  #toHost(host: SimHost, act: HostAct): boolean {
    const cluster = this.#cluster;
    switch (act.do) {
      case 'power-off':
        if (!host.power) return false;
        host.powerOff();
        return true;
      case 'power-on':
        host.powerOn();
        return true;
      case 'kill-agent':
        host.crashAgent();
        return true;
      case 'kill-keeper':
        host.crashKeeper();
        return true;
      case 'end-guest':
        return host.endGuest();
      case 'freeze-agent':
        host.freezeAgent(act.ms);
        return true;
      case 'freeze-keeper':
        host.freezeKeeper(act.ms);
        return true;
      case 'freeze-host':
        host.freezeHost(act.ms);
        return true;
      case 'slow-disk':
        cluster.note(host.name, act.times === 1 ? 'disk as usual' : `disk ${act.times} times slower`);
        host.disk_slowness = act.times;
        return true;
      case 'disk-errors':
        cluster.note(host.name, act.on ? 'disk fails' : 'disk fails no more');
        host.log_disk.broken = act.on;
        return true;
      case 'disk-room':
        cluster.note(host.name, `disk has ${act.bytes ?? 'plenty of'} bytes left`);
        host.log_disk.room_bytes = act.bytes ? host.log_disk.used_bytes + act.bytes : act.bytes;
        return true;
      case 'disk-rot': {
        const file = host.log_disk.rot(act.at);
        cluster.note(host.name, `a bit of ${file ?? 'nothing'} turned over`);
        return file !== null;
      }
      case 'step-clock':
        cluster.note(host.name, `wall clock set by ${act.ms} ms`);
        host.wall_offset_ms += act.ms;
        return true;
      case 'transfer':
        cluster.rare.handsOver();
        // Whether it succeeds is nobody's concern here.
        host.agent
          ?.call('raft.transfer', act.to === undefined ? {} : { to: act.to })
          .catch((error: Error) => cluster.note(host.name, error.message));
        return host.agent !== null;
      case 'cancel':
        this.#cancel(act.request, host);
        return true;
    }
  }

  #host(name: string): SimHost | undefined {
    return this.#cluster.hosts.find((host) => host.name === name);
  }

  #ways(what: 'cut' | 'heal', ways: string): void {
    const { links } = this.#cluster;
    this.#cluster.note(what === 'cut' ? 'cut' : 'whole', ways);
    for (const way of ways.split(' ')) {
      const [from, to] = way.split('>').map((name) => this.#host(name));
      if (from === undefined || to === undefined) continue;
      if (what === 'cut') links.cut(from.peer_id, to.peer_id);
      else links.heal(from.peer_id, to.peer_id);
    }
  }

  #track(act: Promise<void>): void {
    this.#under_way += 1;
    act
      .catch((error: Error) => this.#cluster.fail(`a client failed: ${error.stack}`))
      .finally(() => {
        this.#under_way -= 1;
      });
  }

  #submit(request: string, ops: readonly OpInput[], by: string | null): void {
    const times = (this.#asked.get(request) ?? 0) + 1;
    this.#asked.set(request, times);
    this.#cluster.note('client', `${request} ${JSON.stringify(ops)}`);
    const knobs = new Knobs(seedOf(this.#cluster.options.seed, `${request} ${times}`));
    this.#track(this.#ask(request, ops, knobs, by));
  }

  async #ask(request_id: string, ops: readonly OpInput[], knobs: Knobs, by: string | null): Promise<void> {
    const cluster = this.#cluster;
    for (let attempt = 1; attempt <= most_tries; attempt += 1) {
      const drawn = knobs.pick(cluster.hosts);
      const host = by === null ? drawn : (this.#host(by) ?? drawn);
      if (attempt > 1) cluster.marks.hit('submit repeated');
      try {
        if (host.agent === null) throw new Error(`${host.name} is down`);
        const { jobs } = (await host.agent.call('submit', { request_id, jobs: [{ ops }] })) as {
          jobs: number[];
        };
        cluster.note('client', `${request_id} is job ${jobs[0]}`);
        cluster.oracles.jobAcknowledged(jobs[0]!, request_id);
        return;
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        cluster.note('client', `${request_id} by ${host.name}: ${message}`);
        if (code === 'invalid' || by !== null) return;
      }
      await cluster.time.sleep(knobs.range(50, 4_000));
    }
  }

  #cancel(request: string, host: SimHost): void {
    const jobs = this.#cluster.leader()?.member.state.list('jobs') ?? [];
    const job = jobs.find((one) => one.request_id === request)?.id;
    if (job === undefined) return;
    this.#cluster.note('client', `cancels job ${job}`);
    // It may have ended, or the host be down.
    host.agent
      ?.call('job.cancel', { job })
      .catch((error: Error) => this.#cluster.note('client', `cancel of ${job}: ${error.message}`));
  }

  async #join(knobs: Knobs): Promise<void> {
    const cluster = this.#cluster;
    const host = cluster.addHost();
    host.powerOn();
    for (let attempt = 1; attempt <= most_tries; attempt += 1) {
      await cluster.time.sleep(knobs.range(1_000, 10_000));
      if (host.membership.count > 0) return;
      try {
        const by = knobs.pick(cluster.hosts);
        if (by.agent === null || host.agent?.up !== true) throw new Error('a host is down');
        const asked = { expires_s: 3600, master_capable: true, vm_capable: true };
        const made = (await by.agent.call('token.create', asked)) as { token: string };
        await host.agent.join(made.token);
        cluster.marks.hit('host joined');
        return;
      } catch (error) {
        cluster.note('client', `join of ${host.name}: ${(error as Error).message}`);
      }
    }
  }
}

/** Both ways between a host and others. */
export function waysBetween(host: string, others: readonly string[]): string {
  return others.flatMap((other) => [`${host}>${other}`, `${other}>${host}`]).join(' ');
}
