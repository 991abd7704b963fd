/**
 * What goes wrong, and how often: each kind of fault is on or off in a run, at a rate of its own, so that faults do not
 * hide one another (swarm testing). Every fault ends by itself, or by {@link Faults.healAll}.
 */
import type { Knobs } from '../kit/knobs.ts';
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
] as const;

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
  readonly #knobs: Knobs;
  readonly #settings: FaultKnobs;
  #on = false;

  constructor(cluster: SimCluster, settings: FaultKnobs) {
    this.#cluster = cluster;
    this.#knobs = cluster.knobs.fork();
    this.#settings = settings;
  }

  start(): void {
    this.#on = true;
    for (const [kind, mean_ms] of this.#settings.every_ms) {
      const next = () =>
        this.#cluster.time.after(this.#knobs.exponential(mean_ms), () => {
          if (!this.#on) return;
          this.#happen(kind);
          next();
        });
      next();
    }
  }

  /** No more of it: links whole and quick, disks quick, everything powered. What stands still goes on by itself. */
  healAll(): void {
    const { hosts, links, options } = this.#cluster;
    this.#on = false;
    links.healAll();
    links.setDelays(options.delays);
    for (const host of hosts) {
      host.disk_slowness = 1;
      host.powerOn();
    }
  }

  /** Calls `fn` later, unless all was healed before. */
  #later(delay_ms: number, fn: () => void): void {
    this.#cluster.time.after(delay_ms, () => {
      if (this.#on) fn();
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
    return this.#knobs.chance(0.5) ? this.#knobs.range(300, 4_000) : this.#knobs.range(4_000, 60_000);
  }

  #happen(kind: Kind): void {
    const host = this.#victim();
    const { marks } = this.#cluster;
    const most_ms = this.#settings.most_keeper_freeze_ms;
    switch (kind) {
      case 'power':
        if (!host.power) return;
        host.powerOff();
        marks.hit('fault: power cut');
        this.#later(1_000 + this.#knobs.exponential(15_000, 90_000), () => host.powerOn());
        return;
      case 'agent-crash':
        host.crashAgent();
        marks.hit('fault: agent crash');
        return;
      case 'keeper-crash':
        host.crashKeeper();
        marks.hit('fault: keeper crash');
        return;
      case 'agent-freeze':
        host.freezeAgent(this.#duration());
        marks.hit('fault: agent frozen');
        return;
      case 'keeper-freeze':
        host.freezeKeeper(Math.min(this.#duration(), most_ms));
        marks.hit('fault: keeper frozen');
        return;
      case 'host-freeze':
        host.freezeHost(Math.min(this.#duration(), most_ms));
        marks.hit('fault: host frozen');
        return;
      case 'cut-off': {
        const others = this.#cluster.hosts.filter((other) => other !== host);
        this.#cut(others.flatMap((other) => [[host, other] as const, [other, host] as const]));
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
        host.disk_slowness = this.#knobs.range(5, 300);
        marks.hit('fault: slow disk');
        this.#later(this.#duration(), () => {
          host.disk_slowness = 1;
        });
        return;
      case 'slow-network':
        this.#cluster.links.setDelays({
          least_ms: this.#knobs.range(1, 50),
          mean_ms: this.#knobs.range(5, 300),
        });
        marks.hit('fault: slow network');
        this.#later(this.#duration(), () => this.#cluster.links.setDelays(this.#cluster.options.delays));
        return;
      case 'guest-death':
        if (host.endGuest()) marks.hit('fault: guest died');
        return;
      case 'transfer':
        marks.hit('fault: lead moved');
        // Whether it succeeds is nobody's concern here.
        host.agent
          ?.call('raft.transfer', {})
          .catch((error: Error) => this.#cluster.note(host.name, error.message));
        return;
      default:
        kind satisfies never;
    }
  }

  #cut(pairs: readonly (readonly [SimHost, SimHost])[]): void {
    const { links } = this.#cluster;
    this.#cluster.note('cut', pairs.map(([from, to]) => `${from.name}>${to.name}`).join(' '));
    for (const [from, to] of pairs) links.cut(from.peer_id, to.peer_id);
    this.#later(this.#duration(), () => {
      this.#cluster.note('whole', pairs.map(([from, to]) => `${from.name}>${to.name}`).join(' '));
      for (const [from, to] of pairs) links.heal(from.peer_id, to.peer_id);
    });
  }

  #flap(host: SimHost, times: number): void {
    const other = this.#knobs.pick(this.#cluster.hosts);
    if (times === 0 || other === host) return;
    const { links } = this.#cluster;
    links.cut(host.peer_id, other.peer_id);
    links.cut(other.peer_id, host.peer_id);
    this.#later(this.#knobs.range(100, 3_000), () => {
      links.heal(host.peer_id, other.peer_id);
      links.heal(other.peer_id, host.peer_id);
      this.#later(this.#knobs.range(100, 3_000), () => this.#flap(host, times - 1));
    });
  }
}
