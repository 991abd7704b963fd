/**
 * What people do with the cluster while things go wrong: jobs of every kind from clients on any host. A client that
 * does not know whether its job was taken asks again, elsewhere, under the same request id: it must get the same job.
 */
import { Knobs } from '../kit/knobs.ts';
import type { Acts } from './acts.ts';
import type { SimCluster } from './cluster.ts';
import { sim_os } from './host/sim-drivers.ts';
import type { SimHost } from './host/sim-host.ts';

type Op = { readonly OP_ID: string; readonly [name: string]: unknown };

export interface WorkKnobs {
  /** Mean time between two jobs, in ms. */
  readonly every_ms: number;
  readonly instances: number;
  /** Whether nodes come and go. */
  readonly membership: boolean;
  /** Whether tags take instances out of repair's care and back while they run. */
  readonly protection_changes: boolean;
  /** Chance that a request is made twice at once, through two hosts. */
  readonly asks_twice: number;
  /** Whether nodes are marked offline, or made unable to run guests, and back. */
  readonly capability: boolean;
  /** What instances take, in MiB: one of these. */
  readonly memory_mib: readonly number[];
  /** How often somebody acts when a host is lost, before repair does. */
  readonly rescues: number;
  /** Hosts have out-of-band programs. */
  readonly out_of_band: boolean;
  /** Clients of the registers, and the mean time between two operations of one, in ms. */
  readonly register_clients: number;
  readonly register_every_ms: number;
}

/** Some so large that a host takes one of them. */
const large_mib = [256, 8_192, 24_576, 40_960];
const later_salt = 0x20b5;
const register_salt = 0x4e61;
const out_of_band_salt = 0x00b0;

export function drawWork(knobs: Knobs, nodes: number, protection_changes: boolean, seed: number): WorkKnobs {
  // Drawn apart, so that a seed keeps what it drew before these were thought of.
  const later = new Knobs(seed ^ later_salt);
  const registers = new Knobs(seed ^ register_salt);
  return {
    capability: later.chance(0.3),
    memory_mib: later.chance(0.3) ? large_mib : [256],
    every_ms: knobs.range(500, 8_000),
    instances: knobs.integer(2, 2 + 2 * Math.min(nodes, 20)),
    membership: knobs.chance(0.3),
    protection_changes,
    asks_twice: knobs.range(0, 0.2),
    rescues: knobs.range(0, 0.8),
    register_clients: registers.integer(2, 4),
    out_of_band: new Knobs(seed ^ out_of_band_salt).chance(0.35),
    register_every_ms: Math.ceil(registers.range(300, 2_500)),
  };
}

/** Repair leaves an instance with this tag alone (Ganeti's autorepair). */
export const suspend_tag = 'ganeti:watcher:autorepair:suspend';
const most_hosts_added = 2;
const most_rescued = 3;

export class Workload {
  readonly #cluster: SimCluster;
  readonly #acts: Acts;
  readonly #knobs: Knobs;
  readonly #settings: WorkKnobs;
  readonly #first: readonly Op[] | null;
  readonly #weights: readonly (readonly [number, () => Op | null])[];
  #on = false;
  #requests = 0;
  #hosts_added = 0;

  /** @param first makes i1, i2, … at the beginning; drawn when null */
  constructor(cluster: SimCluster, acts: Acts, settings: WorkKnobs, first: readonly Op[] | null = null) {
    this.#cluster = cluster;
    this.#acts = acts;
    this.#knobs = new Knobs(cluster.options.seed ^ 0x3013c);
    this.#settings = first === null ? settings : { ...settings, instances: Math.max(1, first.length) };
    this.#first = first;
    const kinds: readonly (readonly [number, () => Op | null])[] = [
      [6, () => this.#create(this.#instance())],
      [5, () => ({ OP_ID: 'OP_INSTANCE_STARTUP', instance_name: this.#instance() })],
      [
        4,
        () => ({ OP_ID: 'OP_INSTANCE_SHUTDOWN', instance_name: this.#instance(), timeout: this.#seconds() }),
      ],
      [
        5,
        () => ({
          OP_ID: 'OP_INSTANCE_FAILOVER',
          instance_name: this.#instance(),
          shutdown_timeout: this.#seconds(),
        }),
      ],
      [
        3,
        () => ({
          OP_ID: 'OP_INSTANCE_REMOVE',
          instance_name: this.#instance(),
          shutdown_timeout: this.#seconds(),
        }),
      ],
      [
        2,
        () => ({
          OP_ID: 'OP_INSTANCE_SET_PARAMS',
          instance_name: this.#instance(),
          beparams: { vcpus: this.#knobs.integer(1, 4) },
        }),
      ],
      [
        2,
        () => ({
          OP_ID: 'OP_INSTANCE_REBOOT',
          instance_name: this.#instance(),
          reboot_type: this.#knobs.pick(['soft', 'hard', 'full']),
          shutdown_timeout: this.#seconds(),
        }),
      ],
      [3, () => ({ OP_ID: 'OP_TAGS_SET', kind: 'instance', name: this.#instance(), tags: [this.#tag()] })],
      [2, () => ({ OP_ID: 'OP_TAGS_DEL', kind: 'instance', name: this.#instance(), tags: [this.#tag()] })],
      [2, () => ({ OP_ID: 'OP_TAGS_SET', kind: 'node', name: this.#node(), tags: [this.#tag()] })],
      [
        2,
        () => ({
          OP_ID: 'OP_TEST_DELAY',
          duration: this.#knobs.range(0, 10),
          on_nodes: [this.#node()],
          no_locks: false,
        }),
      ],
      [
        2,
        () => ({
          OP_ID: 'OP_NODE_SET_PARAMS',
          node_name: this.#node(),
          ...this.#knobs.pick([
            { drained: true },
            { drained: false },
            { master_candidate: false },
            { master_candidate: true },
            ...(this.#settings.capability
              ? [{ vm_capable: false }, { vm_capable: true }, { offline: true }, { offline: false }]
              : []),
          ]),
        }),
      ],
      [1, () => ({ OP_ID: 'OP_CLUSTER_VERIFY' })],
    ];
    // Each kind is more or less common in this run, or absent.
    this.#weights = kinds.map(([weight, make]) => [
      weight * this.#knobs.maybe(0.8, () => this.#knobs.range(0.3, 2), 0),
      make,
    ]);
  }

  start(): void {
    this.#on = true;
    const { register_clients: clients, register_every_ms: every_ms } = this.#settings;
    this.#acts.perform({ do: 'registers', clients, every_ms });
    // Not by #submit, which draws.
    const ndparams = { oob_program: '/oob' };
    if (this.#settings.out_of_band)
      this.#acts.perform({
        do: 'submit',
        request: 'out-of-band',
        ops: [{ OP_ID: 'OP_CLUSTER_SET_PARAMS', ndparams }],
      });
    const first = Array.from({ length: this.#settings.instances }, (_, nth) => this.#create(`i${nth + 1}`));
    for (const op of this.#first ?? first) this.#submit([op]);
    const next = () =>
      this.#acts.after(this.#knobs.exponential(this.#settings.every_ms), () => {
        if (!this.#on) return;
        this.#one();
        next();
      });
    next();
    if (this.#settings.membership) this.#churn();
  }

  stop(): void {
    this.#on = false;
  }

  /** A person who sees a host gone moves what is on it, at once and without knowing whether it runs there still. */
  hostLost(host: SimHost): void {
    if (!this.#on || !this.#knobs.chance(this.#settings.rescues)) return;
    const state = this.#cluster.leader()?.member.state;
    const uuid = state?.list('nodes').find((node) => node.name === host.name)?.uuid;
    const here = (state?.list('instances') ?? []).filter((one) => one.owner.node === uuid);
    for (const { name } of here.slice(0, most_rescued))
      this.#acts.after(this.#knobs.range(500, 8_000), () => {
        if (this.#on) this.#submit([{ OP_ID: 'OP_INSTANCE_FAILOVER', instance_name: name }]);
      });
  }

  #one(): void {
    if (this.#knobs.chance(0.08)) {
      this.#cancel();
      return;
    }
    const all = this.#weights.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#knobs.range(0, all);
    for (const [weight, make] of this.#weights) {
      at -= weight;
      if (at >= 0 || weight === 0) continue;
      const op = make();
      if (op !== null) this.#submit([op]);
      return;
    }
  }

  #submit(ops: readonly Op[]): void {
    this.#requests += 1;
    const act = { do: 'submit', request: `client-${this.#requests}`, ops } as const;
    this.#acts.perform(act);
    // A client without patience, or a proxy that repeats what it passes on.
    if (this.#knobs.chance(this.#settings.asks_twice))
      this.#acts.after(this.#knobs.exponential(500), () => void this.#acts.perform(act));
  }

  #cancel(): void {
    const jobs =
      this.#cluster
        .leader()
        ?.member.state.list('jobs')
        .filter((job) => job.end_timestamp === null) ?? [];
    if (jobs.length === 0) return;
    const { request_id } = this.#knobs.pick(jobs);
    const { name } = this.#knobs.pick(this.#cluster.hosts);
    this.#acts.perform({ do: 'cancel', request: request_id, host: name });
  }

  /** A node joins, or one without instances is removed, every now and then. */
  #churn(): void {
    this.#acts.after(this.#knobs.range(20_000, 120_000), () => {
      if (!this.#on) return;
      if (this.#hosts_added < most_hosts_added && this.#knobs.chance(0.5)) {
        this.#hosts_added += 1;
        this.#acts.perform({ do: 'join' });
      } else {
        const state = this.#cluster.leader()?.member.state;
        const free =
          state
            ?.list('nodes')
            .filter((node) => !state.list('instances').some((one) => one.owner.node === node.uuid)) ?? [];
        if (free.length > 0 && (state?.list('nodes').length ?? 0) > 3)
          this.#submit([{ OP_ID: 'OP_NODE_REMOVE', node_name: this.#knobs.pick(free).name }]);
      }
      this.#churn();
    });
  }

  #create(instance_name: string): Op {
    const disk_template = this.#knobs.pick(['diskless', 'sharedfile', 'sharedfile', 'file']);
    const sizes = this.#settings.memory_mib;
    const memory_mib = sizes.length === 1 ? sizes[0] : this.#knobs.pick(sizes);
    const disks = disk_template === 'diskless' ? [] : [{ size: this.#knobs.integer(1, 64) }];
    return {
      OP_ID: 'OP_INSTANCE_CREATE',
      mode: 'create',
      instance_name,
      disk_template,
      disks,
      nics: [{}],
      beparams: { maxmem: memory_mib, minmem: memory_mib },
      start: this.#knobs.chance(0.9),
      ...(this.#knobs.chance(0.5) ? { no_install: true } : { os_type: sim_os }),
    };
  }

  #instance(): string {
    return `i${this.#knobs.integer(1, this.#settings.instances)}`;
  }

  #node(): string {
    return this.#knobs.pick(this.#cluster.hosts).name;
  }

  #tag(): string {
    const suspends = this.#settings.protection_changes && this.#knobs.chance(0.25);
    return suspends ? suspend_tag : `t${this.#knobs.integer(1, 5)}`;
  }

  #seconds(): number {
    return this.#knobs.integer(0, 20);
  }
}
