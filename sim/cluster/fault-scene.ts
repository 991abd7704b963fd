/**
 * What faults of every kind are made with: the cluster, the acts, chances of their own, and whether faults happen still.
 * What is planned for later does not happen once they are over.
 */
import { Knobs } from '../kit/knobs.ts';
import type { Act, Acts } from './acts.ts';
import type { SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';

export class FaultScene {
  readonly cluster: SimCluster;
  readonly acts: Acts;
  readonly knobs: Knobs;
  on = false;
  /** Told when a host goes out of reach: people act on it. */
  onLost: (host: SimHost) => void = () => undefined;

  constructor(cluster: SimCluster, acts: Acts) {
    this.cluster = cluster;
    this.acts = acts;
    this.knobs = new Knobs(cluster.options.seed ^ 0xfa17);
  }

  /** Does `act` later, unless faults are over by then. */
  later(delay_ms: number, act: Act): void {
    this.acts.after(delay_ms, () => {
      if (this.on) this.acts.perform(act);
    });
  }

  /** Mostly short, sometimes longer than a lease. */
  duration(): number {
    return this.knobs.chance(0.5) ? this.knobs.integer(300, 4_000) : this.knobs.integer(4_000, 60_000);
  }
}
