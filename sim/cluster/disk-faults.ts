/**
 * Faults of a host's storage: the disk of its log, the state image, the journal of steps. No more than one host in a run
 * has what it keeps damaged, or cannot write it at all: every committed entry then has a sound copy, and the voters that
 * are left are a majority (docs/consensus.md).
 */
import type { FaultScene } from './fault-scene.ts';
import type { SimHost } from './host/sim-host.ts';

const most_room_bytes = 64 * 1024;
/** An agent that calls its disk broken five times in a row, 10 s each, stays down for people to see to: so once a run. */
const most_errors_ms = 30_000;
const stores = ['image', 'journal'] as const;

export class DiskFaults {
  readonly #scene: FaultScene;
  #damaged: SimHost | null = null;
  #errors_done = false;

  constructor(scene: FaultScene) {
    this.#scene = scene;
  }

  /** The one host; null: none so far. */
  get damaged(): SimHost | null {
    return this.#damaged;
  }

  /** Its log has no room for a while. */
  full({ name }: SimHost): void {
    const { acts, knobs, cluster } = this.#scene;
    const bytes = knobs.maybe(0.5, () => knobs.integer(1, most_room_bytes), 0);
    acts.perform({ do: 'disk-room', host: name, bytes });
    this.#scene.later(this.#scene.duration(), { do: 'disk-room', host: name, bytes: null });
    cluster.marks.hit('fault: disk full');
  }

  /** The device under its log fails at everything for a while. */
  errors(host: SimHost): void {
    const { acts, knobs, cluster } = this.#scene;
    if (this.#errors_done || !this.#mayDamage(host)) return;
    this.#errors_done = true;
    const { name } = host;
    acts.perform({ do: 'disk-errors', host: name, on: true });
    this.#scene.later(knobs.integer(100, most_errors_ms), { do: 'disk-errors', host: name, on: false });
    cluster.marks.hit('fault: disk errors');
  }

  /** A bit of its log turns over; it is found when the log is opened next. */
  rot(host: SimHost): void {
    const { acts, knobs, cluster } = this.#scene;
    if (!this.#mayDamage(host)) return;
    if (!acts.perform({ do: 'disk-rot', host: host.name, at: knobs.random() })) return;
    if (knobs.chance(0.7)) this.#scene.later(knobs.integer(0, 20_000), { do: 'kill-agent', host: host.name });
    cluster.marks.hit('fault: bit turned over');
  }

  /** Image or journal cannot be read or written for a while. */
  storeErrors(host: SimHost): void {
    const { acts, knobs, cluster } = this.#scene;
    const store = knobs.pick(stores);
    const ms = knobs.integer(100, most_errors_ms);
    if (this.#errors_done || !this.#mayDamage(host)) return;
    this.#errors_done = true;
    acts.perform({ do: 'store-fault', host: host.name, store, code: 'EIO' });
    this.#scene.later(ms, { do: 'store-fault', host: host.name, store, code: null });
    cluster.marks.hit('fault: store errors');
  }

  /** Image or journal have no room for a while. */
  storeFull({ name }: SimHost): void {
    const { acts, knobs, cluster } = this.#scene;
    const store = knobs.pick(stores);
    acts.perform({ do: 'store-fault', host: name, store, code: 'ENOSPC' });
    const ms = knobs.integer(100, most_errors_ms);
    this.#scene.later(ms, { do: 'store-fault', host: name, store, code: null });
    cluster.marks.hit('fault: store full');
  }

  #mayDamage(host: SimHost): boolean {
    this.#damaged ??= host;
    return this.#damaged === host;
  }
}
