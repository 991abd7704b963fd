/**
 * What goes wrong, and how often: each kind of fault is on or off in a run, at a rate of its own, so that faults do not
 * hide one another (swarm testing). Every fault ends by itself, or by {@link Faults.healAll}.
 */
import type { Job } from '../../src/config/model.ts';
import { Knobs } from '../kit/knobs.ts';
import { type Act, type Acts, waysBetween } from './acts.ts';
import type { SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';

type Kind = (typeof kinds)[number];

const kinds = [
  'power',
  'agent-crash',
  'keeper-crash',
  'agent-freeze',
  'keeper-freeze',
  'host-freeze',
  'cut-off',
  'one-way',
  'partition',
  'flap',
  'slow-disk',
  'slow-network',
  'guest-death',
  'transfer',
  'leader-and-host',
  'swizzle',
  'clock-step',
  'disk-full',
  'disk-errors',
  'disk-rot',
  'midway',
] as const;

const hour_ms = 3_600_000;
const most_room_bytes = 64 * 1024;
/** An agent that calls its disk broken five times in a row, 10 s each, stays down for people to see to: so once a run. */
const most_errors_ms = 30_000;

export interface FaultKnobs {
  /** Mean time between two faults of a kind in the whole cluster, in ms; kinds that are off are not here. */
  readonly every_ms: ReadonlyMap<Kind, number>;
  /** How often the leader's host is the victim. */
  readonly at_leader: number;
  /** Longest that a keeper is stopped. Without a watchdog the rules trust it to come back within 2 W. */
  readonly most_keeper_freeze_ms: number;
}

/** @param kill_ms W of the leases in force */
export function drawFaults(knobs: Knobs, kill_ms: number): FaultKnobs {
  const every_ms = new Map<Kind, number>();
  for (const kind of kinds) {
    const mean_ms = knobs.maybe(0.5, () => knobs.range(8_000, 100_000), 0);
    if (mean_ms > 0) every_ms.set(kind, mean_ms);
  }
  return { every_ms, at_leader: knobs.range(0, 0.7), most_keeper_freeze_ms: 1.9 * kill_ms };
}

export class Faults {
  readonly #cluster: SimCluster;
  readonly #acts: Acts;
  readonly #knobs: Knobs;
  readonly #settings: FaultKnobs;
  #on = false;
  #damaged: SimHost | null = null;
  #errors_done = false;
  /** Told when a host goes out of reach: people act on it. */
  onLost: (host: SimHost) => void = () => undefined;

  constructor(cluster: SimCluster, acts: Acts, settings: FaultKnobs) {
    this.#cluster = cluster;
    this.#acts = acts;
    this.#knobs = new Knobs(cluster.options.seed ^ 0xfa17);
    this.#settings = settings;
  }

  start(): void {
    this.#on = true;
    for (const [kind, mean_ms] of this.#settings.every_ms) {
      const next = () =>
        this.#acts.after(this.#knobs.exponential(mean_ms), () => {
          if (!this.#on) return;
          this.#happen(kind);
          next();
        });
      next();
    }
  }

  /** No more of it. */
  healAll(): void {
    this.#on = false;
    this.#acts.healAll();
  }

  /** Does `act` later, unless all was healed before. */
  #later(delay_ms: number, act: Act): void {
    this.#acts.after(delay_ms, () => {
      if (this.#on) this.#acts.perform(act);
    });
  }

  #victim(): SimHost {
    const leader = this.#cluster.leader()?.host;
    // Where nothing runs there is little to go wrong with.
    const busy = this.#cluster.hosts.filter((host) => (host.kernel?.guests.size ?? 0) > 0);
    const other = this.#knobs.pick(busy.length > 0 && this.#knobs.chance(0.5) ? busy : this.#cluster.hosts);
    return this.#knobs.chance(this.#settings.at_leader) && leader !== undefined ? leader : other;
  }

  /** Mostly short, sometimes longer than a lease. */
  #duration(): number {
    return this.#knobs.chance(0.5) ? this.#knobs.integer(300, 4_000) : this.#knobs.integer(4_000, 60_000);
  }

  #happen(kind: Kind): void {
    const host = this.#victim();
    const { name } = host;
    const { marks } = this.#cluster;
    const acts = this.#acts;
    const most_ms = this.#settings.most_keeper_freeze_ms;
    switch (kind) {
      case 'power':
        if (!acts.perform({ do: 'power-off', host: name })) return;
        this.onLost(host);
        marks.hit('fault: power cut');
        this.#later(1_000 + this.#knobs.exponential(15_000, 90_000), { do: 'power-on', host: name });
        return;
      case 'agent-crash':
        acts.perform({ do: 'kill-agent', host: name });
        marks.hit('fault: agent crash');
        return;
      case 'keeper-crash':
        acts.perform({ do: 'kill-keeper', host: name });
        marks.hit('fault: keeper crash');
        return;
      case 'agent-freeze':
        acts.perform({ do: 'freeze-agent', host: name, ms: this.#duration() });
        marks.hit('fault: agent frozen');
        return;
      case 'keeper-freeze':
        acts.perform({ do: 'freeze-keeper', host: name, ms: Math.min(this.#duration(), most_ms) });
        marks.hit('fault: keeper frozen');
        return;
      case 'host-freeze':
        acts.perform({ do: 'freeze-host', host: name, ms: Math.min(this.#duration(), most_ms) });
        marks.hit('fault: host frozen');
        return;
      case 'cut-off': {
        const others = this.#cluster.hosts.filter((other) => other !== host);
        this.#cut(others.flatMap((other) => [[host, other] as const, [other, host] as const]));
        this.onLost(host);
        marks.hit('fault: host cut off');
        return;
      }
      case 'one-way': {
        const others = this.#cluster.hosts.filter((other) => other !== host && this.#knobs.chance(0.7));
        const out = this.#knobs.chance(0.5);
        this.#cut(others.map((other) => (out ? [host, other] : [other, host])));
        marks.hit('fault: one-way cut');
        return;
      }
      case 'partition': {
        const here = this.#cluster.hosts.filter(() => this.#knobs.chance(0.5));
        const there = this.#cluster.hosts.filter((other) => !here.includes(other));
        this.#cut(here.flatMap((a) => there.flatMap((b) => [[a, b] as const, [b, a] as const])));
        marks.hit('fault: partition');
        return;
      }
      case 'flap':
        this.#flap(host, this.#knobs.integer(5, 30));
        marks.hit('fault: flapping link');
        return;
      case 'slow-disk':
        acts.perform({ do: 'slow-disk', host: name, times: this.#knobs.integer(5, 300) });
        marks.hit('fault: slow disk');
        this.#later(this.#duration(), { do: 'slow-disk', host: name, times: 1 });
        return;
      case 'slow-network':
        acts.perform({
          do: 'delays',
          delays: { least_ms: this.#knobs.integer(1, 50), mean_ms: this.#knobs.integer(5, 300) },
        });
        marks.hit('fault: slow network');
        this.#later(this.#duration(), { do: 'delays', delays: null });
        return;
      case 'guest-death':
        if (acts.perform({ do: 'end-guest', host: name })) marks.hit('fault: guest died');
        return;
      case 'transfer':
        if (acts.perform({ do: 'transfer', host: name })) marks.hit('fault: lead moved');
        return;
      case 'leader-and-host':
        this.#loseLeaderAnd();
        return;
      case 'midway':
        this.#armMidway();
        return;
      case 'swizzle':
        this.#swizzle();
        marks.hit('fault: swizzle');
        return;
      case 'clock-step':
        acts.perform({ do: 'step-clock', host: name, ms: this.#knobs.integer(-hour_ms, hour_ms) });
        marks.hit('fault: wall clock set');
        return;
      case 'disk-full':
        acts.perform({
          do: 'disk-room',
          host: name,
          bytes: this.#knobs.maybe(0.5, () => this.#knobs.integer(1, most_room_bytes), 0),
        });
        this.#later(this.#duration(), { do: 'disk-room', host: name, bytes: null });
        marks.hit('fault: disk full');
        return;
      case 'disk-errors':
        if (this.#errors_done || !this.#mayDamage(host)) return;
        this.#errors_done = true;
        acts.perform({ do: 'disk-errors', host: name, on: true });
        this.#later(this.#knobs.integer(100, most_errors_ms), { do: 'disk-errors', host: name, on: false });
        marks.hit('fault: disk errors');
        return;
      case 'disk-rot':
        if (!this.#mayDamage(host)) return;
        if (!acts.perform({ do: 'disk-rot', host: name, at: this.#knobs.random() })) return;
        // It is found when the log is opened next.
        if (this.#knobs.chance(0.7))
          this.#later(this.#knobs.integer(0, 20_000), { do: 'kill-agent', host: name });
        marks.hit('fault: bit turned over');
        return;
      default:
        kind satisfies never;
    }
  }

  /**
   * Waits for a moment that chance seldom meets, and takes the leader then: some entries into a failover, or while the
   * group is between two configurations.
   */
  #armMidway(): void {
    const { marks, oracles, time } = this.#cluster;
    const joint = this.#knobs.chance(0.3);
    let skips = joint ? 0 : this.#knobs.integer(0, 12);
    const power = this.#knobs.chance(0.3);
    const down_ms = this.#duration();
    const delay_ms = this.#knobs.integer(0, joint ? 1 : 20);
    oracles.leaderApplied = (host, member) => {
      const met = joint
        ? member.replica.status().configuration.voters_outgoing.length > 0
        : member.state.list('jobs').some(isRunningFailover);
      if (!met || skips-- > 0) return;
      oracles.leaderApplied = () => undefined;
      // Acts happen on whole milliseconds.
      const now_ms = this.#acts.now_ms;
      time.after(Math.ceil(now_ms) - now_ms + delay_ms, () => {
        if (!this.#on) return;
        this.#acts.perform({ do: power ? 'power-off' : 'kill-agent', host: host.name });
        if (power) this.#later(down_ms, { do: 'power-on', host: host.name });
        marks.hit('fault: leader taken midway');
      });
    };
  }

  /** The leader, and with it a host that it has just granted a lease to: its successor knows nothing of that. */
  #loseLeaderAnd(): void {
    const { hosts, marks } = this.#cluster;
    const leader = this.#cluster.leader();
    if (leader === null) return;
    const { voters } = leader.member.replica.status().configuration;
    const member = (host: SimHost) => host.member?.file.member ?? 0;
    const left = (host: SimHost) =>
      voters.filter((voter) => voter !== member(host) && voter !== member(leader.host)).length;
    const others = hosts.filter((host) => host !== leader.host && host.power);
    // Where a majority is left; if there is none, whoever it hits.
    const spared = others.filter((host) => left(host) > voters.length / 2);
    if (others.length === 0) return;
    const host = this.#knobs.pick(spared.length > 0 ? spared : others);
    const lost = [leader.host, host];
    const rest = hosts.filter((other) => !lost.includes(other));
    const pairs = rest.flatMap((other) =>
      lost.flatMap((one) => [[one, other] as const, [other, one] as const]),
    );
    this.#cut(this.#knobs.chance(0.5) ? pairs : [...pairs, [leader.host, host], [host, leader.host]]);
    this.onLost(host);
    marks.hit('fault: leader and a host lost');
  }

  /**
   * Fault atlas: no more than one host in a run has its storage damaged. Every committed entry then has a sound copy, and
   * the voters that are left are a majority.
   */
  #mayDamage(host: SimHost): boolean {
    this.#damaged ??= host;
    return this.#damaged === host;
  }

  /** FoundationDB's swizzle-clogging: some hosts are clogged one by one, and unclogged in another order. */
  #swizzle(): void {
    const { hosts } = this.#cluster;
    const some = this.#knobs.shuffle(hosts.filter(() => this.#knobs.chance(0.5)));
    const waysOf = (host: SimHost) =>
      waysBetween(
        host.name,
        hosts.filter((other) => other !== host).map((other) => other.name),
      );
    let at_ms = 0;
    for (const host of some) {
      this.#later(at_ms, { do: 'cut', ways: waysOf(host) });
      at_ms += this.#knobs.integer(100, 3_000);
    }
    for (const host of this.#knobs.shuffle(some)) {
      at_ms += this.#knobs.integer(100, 3_000);
      this.#later(at_ms, { do: 'heal', ways: waysOf(host) });
    }
  }

  #cut(pairs: readonly (readonly [SimHost, SimHost])[]): void {
    const ways = pairs.map(([from, to]) => `${from.name}>${to.name}`).join(' ');
    this.#acts.perform({ do: 'cut', ways });
    this.#later(this.#duration(), { do: 'heal', ways });
  }

  #flap(host: SimHost, times: number): void {
    const other = this.#knobs.pick(this.#cluster.hosts);
    if (times === 0 || other === host || !this.#on) return;
    const ways = waysBetween(host.name, [other.name]);
    const cut_ms = this.#knobs.integer(100, 3_000);
    this.#acts.perform({ do: 'cut', ways });
    this.#later(cut_ms, { do: 'heal', ways });
    this.#acts.after(cut_ms + this.#knobs.integer(100, 3_000), () => this.#flap(host, times - 1));
  }
}

function isRunningFailover(job: Job): boolean {
  return job.status === 'running' && job.ops.some(({ input }) => input.OP_ID === 'OP_INSTANCE_FAILOVER');
}
