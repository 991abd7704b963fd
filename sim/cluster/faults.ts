/**
 * What goes wrong in a run: each kind of fault at its own rate (fault-knobs.ts). Every fault ends by itself, or by
 * {@link Faults.healAll}; except a disaster (disaster.ts), after which nothing else goes wrong.
 */
import type { Acts } from './acts.ts';
import type { SimCluster } from './cluster.ts';
import { Disaster } from './disaster.ts';
import { DiskFaults } from './disk-faults.ts';
import type { FaultKind, FaultKnobs } from './fault-knobs.ts';
import { FaultScene } from './fault-scene.ts';
import type { SimHost } from './host/sim-host.ts';
import { cutOff, flap, loseLeaderAnd, oneWay, partition, swizzle } from './link-faults.ts';
import { armMidway, armPowerMidway } from './midway-faults.ts';

const hour_ms = 3_600_000;

export class Faults {
  readonly #scene: FaultScene;
  readonly #settings: FaultKnobs;
  readonly #disks: DiskFaults;
  readonly #disaster: Disaster;

  constructor(cluster: SimCluster, acts: Acts, settings: FaultKnobs) {
    this.#scene = new FaultScene(cluster, acts);
    this.#settings = settings;
    this.#disks = new DiskFaults(this.#scene);
    this.#disaster = new Disaster(this.#scene);
  }

  set onLost(tell: (host: SimHost) => void) {
    this.#scene.onLost = tell;
  }

  /** @param duration_ms of the run */
  start(duration_ms: number): void {
    const { acts, knobs } = this.#scene;
    this.#scene.on = true;
    for (const [kind, mean_ms] of this.#settings.every_ms) {
      const next = () =>
        acts.after(knobs.exponential(mean_ms), () => {
          if (!this.#scene.on) return;
          this.#happen(kind);
          next();
        });
      next();
    }
    const { disaster } = this.#settings;
    if (disaster !== null)
      acts.after(disaster * duration_ms, () => {
        if (this.#scene.on) this.#disaster.strike(this.#disks.damaged);
      });
  }

  /** No more of it. */
  healAll(): void {
    this.#scene.on = false;
    this.#scene.acts.healAll();
  }

  #victim(): SimHost {
    const { cluster, knobs } = this.#scene;
    const leader = cluster.leader()?.host;
    // Where nothing runs there is little to go wrong with.
    const busy = cluster.hosts.filter((host) => (host.kernel?.guests.size ?? 0) > 0);
    const other = knobs.pick(busy.length > 0 && knobs.chance(0.5) ? busy : cluster.hosts);
    return knobs.chance(this.#settings.at_leader) && leader !== undefined ? leader : other;
  }

  #happen(kind: FaultKind): void {
    const host = this.#victim();
    const { name } = host;
    const scene = this.#scene;
    const { acts, knobs } = scene;
    const { marks } = scene.cluster;
    const most_ms = this.#settings.most_keeper_freeze_ms;
    switch (kind) {
      case 'power':
        if (!acts.perform({ do: 'power-off', host: name })) return;
        scene.onLost(host);
        marks.hit('fault: power cut');
        scene.later(1_000 + knobs.exponential(15_000, 90_000), { do: 'power-on', host: name });
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
        acts.perform({ do: 'freeze-agent', host: name, ms: scene.duration() });
        marks.hit('fault: agent frozen');
        return;
      case 'keeper-freeze':
        acts.perform({ do: 'freeze-keeper', host: name, ms: Math.min(scene.duration(), most_ms) });
        marks.hit('fault: keeper frozen');
        return;
      case 'host-freeze':
        acts.perform({ do: 'freeze-host', host: name, ms: Math.min(scene.duration(), most_ms) });
        marks.hit('fault: host frozen');
        return;
      case 'cut-off':
        cutOff(scene, host);
        return;
      case 'one-way':
        oneWay(scene, host);
        return;
      case 'partition':
        partition(scene);
        return;
      case 'flap':
        flap(scene, host);
        return;
      case 'slow-disk':
        acts.perform({ do: 'slow-disk', host: name, times: knobs.integer(5, 300) });
        marks.hit('fault: slow disk');
        scene.later(scene.duration(), { do: 'slow-disk', host: name, times: 1 });
        return;
      case 'slow-network':
        acts.perform({
          do: 'delays',
          delays: { least_ms: knobs.integer(1, 50), mean_ms: knobs.integer(5, 300) },
        });
        marks.hit('fault: slow network');
        scene.later(scene.duration(), { do: 'delays', delays: null });
        return;
      case 'guest-death':
        if (acts.perform({ do: 'end-guest', host: name })) marks.hit('fault: guest died');
        return;
      case 'transfer':
        if (acts.perform({ do: 'transfer', host: name })) marks.hit('fault: lead moved');
        return;
      case 'leader-and-host':
        loseLeaderAnd(scene);
        return;
      case 'midway':
        armMidway(scene);
        return;
      case 'power-midway':
        armPowerMidway(scene, host);
        return;
      case 'swizzle':
        swizzle(scene);
        return;
      case 'clock-step':
        acts.perform({ do: 'step-clock', host: name, ms: knobs.integer(-hour_ms, hour_ms) });
        marks.hit('fault: wall clock set');
        return;
      case 'disk-full':
        this.#disks.full(host);
        return;
      case 'disk-errors':
        this.#disks.errors(host);
        return;
      case 'disk-rot':
        this.#disks.rot(host);
        return;
      case 'store-errors':
        this.#disks.storeErrors(host);
        return;
      case 'store-full':
        this.#disks.storeFull(host);
        return;
      default:
        kind satisfies never;
    }
  }
}
