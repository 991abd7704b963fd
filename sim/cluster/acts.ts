/**
 * Everything that is done to a simulated cluster from outside, as plain data: what breaks and mends, and what clients
 * ask for. Whoever decides (chance, a scenario, a recording) decides on acts; here and nowhere else they happen.
 * Guarantees: the same acts at the same times give the same run, whoever decided on them; what chance an act needs is
 * its own, so that leaving out one act moves the draws of no other.
 */
import type { OpInput } from '../../src/config/model.ts';
import { Clients } from './clients.ts';
import { cluster_name, type SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';
import { Registers } from './registers.ts';

/** Hosts by name; `ways` are like `n1>n2 n2>n1`. */
export type Act =
  | {
      /** `lose`: for good, its power comes back no more. `wipe`: the power goes, and all that the agent kept but its key. */
      readonly do: 'power-off' | 'power-on' | 'lose' | 'wipe' | 'kill-agent' | 'kill-keeper' | 'end-guest';
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
  /** What its state image, or its journal of steps, lies on answers this at writes (and reads); null: works again. */
  | {
      readonly do: 'store-fault';
      readonly host: string;
      readonly store: 'image' | 'journal';
      readonly code: 'EIO' | 'ENOSPC' | null;
    }
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
  /** Has the job of a request wait at its next place to wait; null: lets it go on. */
  | { readonly do: 'hold'; readonly request: string; readonly host: string; readonly why: string | null }
  /** Clients read and change registers from now on, each so often on the average. */
  | { readonly do: 'registers'; readonly clients: number; readonly every_ms: number }
  /** `skein cluster recover`, with the nodes that are said to be off; the same afterwards for one; and `--follow`. */
  | { readonly do: 'recover'; readonly host: string; readonly off: readonly string[] }
  | { readonly do: 'word'; readonly host: string; readonly node: string }
  | { readonly do: 'follow'; readonly host: string }
  /** A new host, powered on and joined: the next by number. Or `again` the host of that name, which is in no cluster. */
  | { readonly do: 'join'; readonly again?: string }
  /** {@link Acts.healAll} */
  | { readonly do: 'mend' };

type HostAct = Extract<Act, { readonly host: string }>;

/** When: whole milliseconds of virtual time since the beginning. */
export interface TimedAct {
  readonly at_ms: number;
  readonly act: Act;
  /** In an event of its own: what the act before it set off in the same millisecond has gone on a little. */
  readonly apart?: true;
}

export class Acts {
  readonly #cluster: SimCluster;
  readonly #clients: Clients;
  readonly registers: Registers;
  readonly #from_ms: number;
  #last = { at_ms: -1, event: -1 };
  /** Told of each act as it happens. */
  onAct: (timed: TimedAct) => void = () => undefined;

  /** Begins now, which must be a whole millisecond: so are all times, and sums of them are exact. */
  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
    this.#clients = new Clients(cluster);
    this.registers = new Registers(cluster);
    this.#from_ms = cluster.time.now_ms;
    if (!Number.isInteger(this.#from_ms)) throw new RangeError(`acts begin at ${this.#from_ms} ms`);
  }

  /** Milliseconds since the beginning. */
  get now_ms(): number {
    return this.#cluster.time.now_ms - this.#from_ms;
  }

  /** No client waits for an answer. */
  get idle(): boolean {
    return this.#clients.idle && this.registers.idle;
  }

  /** Calls `fn` in `delay_ms`, rounded up: for whoever decides. */
  after(delay_ms: number, fn: () => void): void {
    this.#cluster.time.after(Math.ceil(delay_ms), fn);
  }

  /** Does all of these when their time comes, in this order; those of now at once. */
  play(list: readonly TimedAct[]): void {
    const events = new Map<string, TimedAct[]>();
    const parts = new Map<number, number>();
    for (const timed of list) {
      const { at_ms, act, apart } = timed;
      if (at_ms <= this.now_ms) {
        this.perform(act);
        continue;
      }
      const part = (parts.get(at_ms) ?? 0) + (apart ? 1 : 0);
      parts.set(at_ms, part);
      const event = `${at_ms} ${part}`;
      events.set(event, [...(events.get(event) ?? []), timed]);
    }
    for (const acts of events.values())
      this.after(acts[0]!.at_ms - this.now_ms, () => {
        for (const { act } of acts) this.perform(act);
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
      host.image.fault = null;
      host.journal.fault = null;
      host.powerOn();
    }
    this.#cluster.note('run', 'healed');
  }

  /** What is asked of hosts that are not there, or down, is nothing. Answers whether anything came of it. */
  perform(act: Act): boolean {
    const { events } = this.#cluster.time;
    const at_ms = this.now_ms;
    const apart = this.#last.at_ms === at_ms && this.#last.event !== events;
    this.#last = { at_ms, event: events };
    this.onAct({ at_ms, act, ...(apart ? { apart } : {}) });
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
        this.#clients.submit(act.request, act.ops, act.by ?? null);
        return true;
      case 'registers':
        this.registers.start(act.clients, act.every_ms);
        return true;
      case 'join':
        this.#clients.join(act.again === undefined ? cluster.addHost() : this.#host(act.again));
        return true;
      case 'mend':
        this.healAll();
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
      case 'lose':
        if (host.lost) return false;
        host.lose();
        return true;
      case 'wipe':
        host.wipe();
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
      case 'store-fault':
        cluster.note(host.name, `${act.store} answers ${act.code ?? 'as usual'}`);
        host[act.store].fault = act.code;
        return true;
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
        this.#clients.cancel(act.request, host);
        return true;
      case 'hold':
        this.#clients.hold(act.request, host, act.why);
        return true;
      case 'recover':
        this.#clients.recover(host, act.off);
        return true;
      case 'word':
        this.#clients.tell(host, 'recover.word', { node: act.node });
        return true;
      case 'follow':
        this.#clients.tell(host, 'cluster.follow', { cluster_name });
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
}

/** Both ways between a host and others. */
export function waysBetween(host: string, others: readonly string[]): string {
  return others.flatMap((other) => [`${host}>${other}`, `${other}>${host}`]).join(' ');
}
