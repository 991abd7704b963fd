/**
 * What people do with the cluster while things go wrong: jobs of every kind from clients on any host. A client that
 * does not know whether its job was taken asks again, elsewhere, under the same request id: it must get the same job.
 */
import type { Knobs } from '../kit/knobs.ts';
import type { SimCluster } from './cluster.ts';
import { sim_os } from './host/sim-drivers.ts';

type Op = { readonly OP_ID: string; readonly [name: string]: unknown };

export interface WorkKnobs {
  /** Mean time between two jobs, in ms. */
  readonly every_ms: number;
  readonly instances: number;
  /** Whether nodes come and go. */
  readonly membership: boolean;
  /** Whether tags take instances out of repair's care and back while they run. */
  readonly protection_changes: boolean;
}

export function drawWork(knobs: Knobs, nodes: number, protection_changes: boolean): WorkKnobs {
  return {
    every_ms: knobs.range(500, 8_000),
    instances: knobs.integer(2, 2 + 2 * Math.min(nodes, 20)),
    membership: knobs.chance(0.3),
    protection_changes,
  };
}

const most_tries = 6;
/** Repair leaves an instance with this tag alone (Ganeti's autorepair). */
export const suspend_tag = 'ganeti:watcher:autorepair:suspend';
const most_hosts_added = 2;

export class Workload {
  readonly #cluster: SimCluster;
  readonly #knobs: Knobs;
  readonly #settings: WorkKnobs;
  readonly #weights: readonly (readonly [number, () => Op | null])[];
  #on = false;
  #requests = 0;
  #hosts_added = 0;
  #under_way = 0;

  constructor(cluster: SimCluster, settings: WorkKnobs) {
    this.#cluster = cluster;
    this.#knobs = cluster.knobs.fork();
    this.#settings = settings;
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
    for (let i = 1; i <= this.#settings.instances; i += 1) this.#submit([this.#create(`i${i}`)]);
    const next = () =>
      this.#cluster.time.after(this.#knobs.exponential(this.#settings.every_ms), () => {
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

  /** No client waits for an answer. */
  get idle(): boolean {
    return this.#under_way === 0;
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
    const request_id = `client-${this.#requests}`;
    this.#cluster.note('client', `${request_id} ${JSON.stringify(ops)}`);
    this.#track(this.#ask(request_id, ops));
  }

  #track(act: Promise<void>): void {
    this.#under_way += 1;
    act
      .catch((error: Error) => this.#cluster.fail(`a client failed: ${error.stack}`))
      .finally(() => {
        this.#under_way -= 1;
      });
  }

  async #ask(request_id: string, ops: readonly Op[]): Promise<void> {
    for (let attempt = 1; attempt <= most_tries; attempt += 1) {
      const host = this.#knobs.pick(this.#cluster.hosts);
      if (attempt > 1) this.#cluster.marks.hit('submit repeated');
      try {
        if (host.agent === null) throw new Error(`${host.name} is down`);
        const { jobs } = (await host.agent.call('submit', { request_id, jobs: [{ ops }] })) as {
          jobs: number[];
        };
        this.#cluster.note('client', `${request_id} is job ${jobs[0]}`);
        this.#cluster.oracles.jobAcknowledged(jobs[0]!, request_id);
        return;
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        this.#cluster.note('client', `${request_id} by ${host.name}: ${message}`);
        if (code === 'invalid') return;
      }
      await this.#cluster.time.sleep(this.#knobs.range(50, 4_000));
    }
  }

  #cancel(): void {
    const jobs =
      this.#cluster
        .leader()
        ?.member.state.list('jobs')
        .filter((job) => job.end_timestamp === null) ?? [];
    if (jobs.length === 0) return;
    const { id } = this.#knobs.pick(jobs);
    const host = this.#knobs.pick(this.#cluster.hosts);
    this.#cluster.note('client', `cancels job ${id}`);
    // It may have ended, or the host be down.
    host.agent
      ?.call('job.cancel', { job: id })
      .catch((error: Error) => this.#cluster.note('client', `cancel of ${id}: ${error.message}`));
  }

  /** A node joins, or one without instances is removed, every now and then. */
  #churn(): void {
    this.#cluster.time.after(this.#knobs.range(20_000, 120_000), () => {
      if (!this.#on) return;
      if (this.#hosts_added < most_hosts_added && this.#knobs.chance(0.5)) {
        this.#hosts_added += 1;
        this.#track(this.#join());
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

  async #join(): Promise<void> {
    const host = this.#cluster.addHost();
    host.powerOn();
    for (let attempt = 1; attempt <= most_tries; attempt += 1) {
      await this.#cluster.time.sleep(this.#knobs.range(1_000, 10_000));
      if (host.membership.count > 0) return;
      try {
        const by = this.#knobs.pick(this.#cluster.hosts);
        if (by.agent === null || host.agent?.up !== true) throw new Error('a host is down');
        const made = (await by.agent.call('token.create', {
          expires_s: 3600,
          master_capable: true,
          vm_capable: true,
        })) as { token: string };
        await host.agent.join(made.token);
        this.#cluster.marks.hit('host joined');
        return;
      } catch (error) {
        this.#cluster.note('client', `join of ${host.name}: ${(error as Error).message}`);
      }
    }
  }

  #create(instance_name: string): Op {
    const disk_template = this.#knobs.pick(['diskless', 'sharedfile', 'sharedfile', 'file']);
    const disks = disk_template === 'diskless' ? [] : [{ size: this.#knobs.integer(1, 64) }];
    return {
      OP_ID: 'OP_INSTANCE_CREATE',
      mode: 'create',
      instance_name,
      disk_template,
      disks,
      nics: [{}],
      beparams: { maxmem: 256, minmem: 256 },
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
