/**
 * What people ask of agents, and how they go on when they are not answered: a client that does not know whether its job
 * was taken asks again, elsewhere, under the same request id. What chance a request needs is its own. An operator who
 * recovers a cluster types what docs/recover.md says, once; one whose new host is in the configuration and in no cluster
 * tries on, each time with a new token.
 */
import type { OpInput } from '../../src/config/model.ts';
import { Knobs } from '../kit/knobs.ts';
import { seedOf } from '../kit/seed.ts';
import { cluster_name, type SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';

const most_tries = 6;

export class Clients {
  readonly #cluster: SimCluster;
  /** How often each request was made so far. */
  readonly #asked = new Map<string, number>();
  #under_way = 0;
  #joins = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** No client waits for an answer. */
  get idle(): boolean {
    return this.#under_way === 0;
  }

  /** @param by asks this host only, and once */
  submit(request: string, ops: readonly OpInput[], by: string | null): void {
    const times = (this.#asked.get(request) ?? 0) + 1;
    this.#asked.set(request, times);
    this.#cluster.note('client', `${request} ${JSON.stringify(ops)}`);
    const knobs = new Knobs(seedOf(this.#cluster.options.seed, `${request} ${times}`));
    this.#track(this.#ask(request, ops, knobs, by));
  }

  cancel(request: string, host: SimHost): void {
    const jobs = this.#cluster.leader()?.member.state.list('jobs') ?? [];
    const job = jobs.find((one) => one.request_id === request)?.id;
    if (job === undefined) return;
    this.#cluster.note('client', `cancels job ${job}`);
    // It may have ended, or the host be down.
    host.agent
      ?.call('job.cancel', { job })
      .catch((error: Error) => this.#cluster.note('client', `cancel of ${job}: ${error.message}`));
  }

  hold(request: string, host: SimHost, why: string | null): void {
    const jobs = host.member?.state.list('jobs') ?? [];
    const job = jobs.find((one) => one.request_id === request)?.id;
    if (job !== undefined) this.tell(host, 'job.hold', { job, why });
  }

  /** The host is powered on and joined. */
  join(host: SimHost | undefined): void {
    this.#joins += 1;
    const knobs = new Knobs(seedOf(this.#cluster.options.seed, `join ${this.#joins}`));
    if (host !== undefined) this.#track(this.#join(host, knobs));
  }

  /** The cluster goes on from this survivor, if its agent finds nothing against it. */
  recover(host: SimHost, off: readonly string[]): void {
    const kept = new Set(host.member?.state.list('jobs').map(({ id }) => id));
    this.#cluster.oracles.recovering(kept);
    this.tell(host, 'cluster.recover', { cluster_name, off });
  }

  /** An order to one host's agent, which may refuse it. */
  tell(host: SimHost, method: string, params: Record<string, unknown>): void {
    const { agent } = host;
    if (agent === null) return;
    this.#cluster.note('operator', `${method} on ${host.name} ${JSON.stringify(params)}`);
    const note = (what: string) => this.#cluster.note('operator', `${method} on ${host.name}: ${what}`);
    this.#track(
      agent.call(method, params).then(
        () => note('done'),
        (error: Error) => note(error.message),
      ),
    );
  }

  #track(act: Promise<void>): void {
    this.#under_way += 1;
    act
      .catch((error: Error) => this.#cluster.fail(`a client failed: ${error.stack}`))
      .finally(() => {
        this.#under_way -= 1;
      });
  }

  async #ask(request_id: string, ops: readonly OpInput[], knobs: Knobs, by: string | null): Promise<void> {
    const cluster = this.#cluster;
    for (let attempt = 1; attempt <= most_tries; attempt += 1) {
      const drawn = knobs.pick(cluster.hosts);
      const host = by === null ? drawn : (cluster.hosts.find((one) => one.name === by) ?? drawn);
      if (attempt > 1) cluster.marks.hit('submit repeated');
      try {
        if (host.agent === null) throw new Error(`${host.name} is down`);
        const generation = host.member?.file.generation ?? 0;
        const { jobs } = (await host.agent.call('submit', { request_id, jobs: [{ ops }] })) as {
          jobs: number[];
        };
        cluster.note('client', `${request_id} is job ${jobs[0]}`);
        cluster.oracles.jobAcknowledged(jobs[0]!, request_id, generation);
        return;
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        cluster.note('client', `${request_id} by ${host.name}: ${message}`);
        if (code === 'invalid' || by !== null) return;
      }
      await cluster.time.sleep(knobs.range(50, 4_000));
    }
  }

  async #join(host: SimHost, knobs: Knobs): Promise<void> {
    const cluster = this.#cluster;
    host.powerOn();
    for (let attempt = 1; attempt <= most_tries || this.#isHalfIn(host); attempt += 1) {
      await cluster.time.sleep(knobs.range(1_000, 10_000));
      if (host.member !== null || host.lost) return;
      // It joined, and its agent is about to begin as a member.
      if (host.membership.count > 0) continue;
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

  /** It is a node, and in no cluster. */
  #isHalfIn(host: SimHost): boolean {
    const nodes = this.#cluster.leader()?.member.state.list('nodes');
    return host.membership.count === 0 && nodes?.some(({ peer_id }) => peer_id === host.peer_id) !== false;
  }
}
