/**
 * What must hold whatever goes wrong, judged from outside the agents: O1 no instance runs twice, O3 no acknowledged
 * write is lost, O4 one leader a term, who knows all that was applied before, and one holder of the master address, O5
 * the same index hashes the same on every replica, O10 bounds. They look at what the hosts really do, never at what an
 * agent says of itself alone.
 */
import { limits } from '../../src/config/limits.ts';
import { proposal_limits } from '../../src/consensus/waiting-proposals.ts';
import type { Member } from '../../src/node/member.ts';
import { mesh_limits } from '../../src/node/mesh/limits.ts';
import type { StepKey } from '../../src/ops/types.ts';
import type { SimHost } from './host/sim-host.ts';
import type { Harm } from './oracles-harm.ts';
import { LeaseOracles } from './oracles-leases.ts';
import { PlacementOracle } from './oracles-placement.ts';
import type { VirtualTime } from './virtual-time.ts';
import { type Leading, total_memory_mib } from './world.ts';

/** A leader that can act lets go within its deadline, a keeper's look, and a stop script that hangs. */
const most_address_overlap_ms = 2_500;
/** One whose agent is gone can commit nothing; but its keeper may have to start anew first. */
const most_dead_overlap_ms = 5_000;
/** Logs are compacted; nothing else on the log's disk grows. Reserve, segments, snapshots under way. */
const most_log_bytes = 160 * 1024 * 1024;
/** What the configuration may keep of things that come and go. */
const most_rows = [
  ['jobs', limits.pending_jobs + limits.finished_jobs],
  ['requests', limits.requests],
  ['tokens', limits.tokens],
] as const;
/** Of one host, to all others: a few for each job and instance, and renewals. */
const most_calls = 500;
/** Proposals of one leader: a few for each job, node and instance. Its own bound is eight times as many. */
const most_proposals = 500;
/** How many indices back a replica may still be, in the comparison of hashes. */
const hashes_kept = 200_000;

export class Oracles {
  readonly #time: VirtualTime;
  readonly #fail: (what: string) => void;
  /** Hosts on which an instance runs, by instance. */
  readonly #running = new Map<string, Set<string>>();
  readonly #address = new Map<string, number>();
  readonly #stood_still = new Map<string, number>();
  /** Which life of a host's agent took the address. */
  readonly #taken_by = new Map<string, unknown>();
  readonly #leaders = new Map<number, string>();
  /** By index, for each generation: one that was recovered goes on where its survivor's log ended. */
  readonly #hashes = new Map<number, Map<number, string>>();
  /** By generation, then by the term that a replica was in: the highest index it had applied, and which replica. */
  readonly #known = new Map<number, Map<number, { readonly index: number; readonly host: string }>>();
  #generation = 1;
  #survives: ReadonlySet<number> = new Set();
  /** Jobs that a client was told of: request by job. */
  readonly acknowledged = new Map<number, string>();
  /** The other way round: all requests are of one job. */
  readonly #job_of = new Map<string, number>();
  /** Indices that a replica has applied, in all. */
  hashes_compared = 0;
  readonly leases: LeaseOracles;
  readonly placement: PlacementOracle;

  constructor(time: VirtualTime, fail: (what: string) => void) {
    this.#time = time;
    this.#fail = fail;
    this.leases = new LeaseOracles(fail);
    this.placement = new PlacementOracle(total_memory_mib, fail);
  }

  // ---- O1

  runs(host: string, instance: string, runs: boolean): void {
    const hosts = this.#running.get(instance) ?? new Set<string>();
    this.#running.set(instance, hosts);
    if (!runs) {
      hosts.delete(host);
      return;
    }
    const [other] = hosts;
    hosts.add(host);
    if (other !== undefined && other !== host)
      this.#fail(`O1: instance ${instance} runs on ${host} while it runs on ${other}`);
  }

  // ---- O7

  /** Set by the cluster. */
  harmed: (host: string, instance: string, harm: Harm) => void = () => undefined;

  // ---- marks

  /** Set by the cluster. */
  leading: (host: string, what: Leading) => void = () => undefined;
  thawed: (instance: string, epoch: number) => void = () => undefined;
  /** Set by whoever waits for a moment to strike. */
  leaderApplied: (host: SimHost, member: Member) => void = () => undefined;

  hostsRunning(instance: string): ReadonlySet<string> {
    return this.#running.get(instance) ?? new Set();
  }

  // ---- O4

  address(host: string, held: boolean): void {
    if (held) {
      this.#address.set(host, this.#time.now_ms);
      this.#taken_by.set(host, this.actingOn(host));
      if (this.#address.size > 1)
        for (const most_ms of [most_address_overlap_ms, most_dead_overlap_ms])
          this.#time.after(most_ms, () => this.#checkOverlap(most_ms));
      return;
    }
    this.#address.delete(host);
  }

  keeperStoodStill(host: string): void {
    this.#stood_still.set(host, this.#time.now_ms);
  }

  /** Called while a host stands still, too: `frozen` says so. */
  #checkOverlap(most_ms: number): void {
    const sameLife = (host: string) => this.actingOn(host) === this.#taken_by.get(host);
    const now_ms = this.#time.now_ms;
    const holders = [...this.#address].filter(
      ([host, since_ms]) =>
        now_ms - since_ms >= most_ms &&
        now_ms - (this.#stood_still.get(host) ?? Number.NEGATIVE_INFINITY) > most_ms &&
        !this.frozen(host) &&
        (most_ms >= most_dead_overlap_ms || sameLife(host)),
    );
    // Those that still act were told of before.
    const told = most_ms >= most_dead_overlap_ms && holders.every(([host]) => sameLife(host));
    if (holders.length > 1 && !told)
      this.#fail(
        `O4: the master address is on ${holders.map(([host]) => host).join(' and ')} for ${most_ms} ms`,
      );
  }

  /** The member that runs there, whatever stands for it: another one cannot commit what the one before led to. Set by the cluster. */
  actingOn: (host: string) => unknown = () => null;

  /** Whether a host stands still as a whole. Set by the cluster. */
  frozen: (host: string) => boolean = () => false;

  get holders(): readonly string[] {
    return [...this.#address.keys()];
  }

  // ---- O11

  /** Set by the cluster. */
  asksForStep: (host: string, key: StepKey) => void = () => undefined;

  // ---- O4: what a leader knows

  /** At each thing that a replica has applied: in a term of which it has heard, so it was committed in that or before. */
  knows(host: string, member: Member): void {
    const { generation } = member.file;
    const terms = this.#known.get(generation) ?? new Map<number, { index: number; host: string }>();
    this.#known.set(generation, terms);
    const { term } = member.replica.status();
    const { index } = member.state;
    if (index > (terms.get(term)?.index ?? 0)) terms.set(term, { index, host });
  }

  /** A leader takes up its duties. */
  leads(host: string, member: Member): void {
    const { term } = member.replica.status();
    const { index } = member.state;
    for (const [earlier, known] of this.#known.get(member.file.generation) ?? [])
      if (earlier < term && known.index > index)
        this.#fail(
          `O4: ${host} takes up the lead of term ${term} with ${index} entries applied, ${known.host} had applied ${known.index} in term ${earlier}`,
        );
  }

  // ---- O3, O4, O5: at each thing that a replica has applied

  /** O5: what it has applied is what others had at this index. A hash costs what has changed since the last one. */
  compareHash(host: SimHost, member: Member): void {
    const { index, hash } = member.stateHash();
    const { generation } = member.file;
    const hashes = this.#hashes.get(generation) ?? new Map<number, string>();
    this.#hashes.set(generation, hashes);
    const known = hashes.get(index);
    this.hashes_compared += 1;
    if (known === undefined) {
      hashes.set(index, hash);
      hashes.delete(index - hashes_kept);
    } else if (known !== hash) {
      this.#fail(`O5: index ${index} hashes to ${hash} on ${host.name}, to ${known} elsewhere`);
    }
  }

  applied(host: SimHost, member: Member): void {
    const { generation } = member.file;
    if (generation > this.#generation) this.#recovered(generation);
    const { role, term } = member.replica.status();
    if (role !== 'leader') return;
    this.leaderApplied(host, member);
    this.placement.look(member, member.state);
    const leader = this.#leaders.get(term);
    if (leader === undefined) this.#leaders.set(term, host.name);
    else if (leader !== host.name) this.#fail(`O4: ${host.name} leads in term ${term}, as ${leader} did`);
  }

  /**
   * The cluster is to go on from a survivor: what only the lost hosts knew is no promise any more, once it does.
   * @param kept the jobs that the survivor has applied
   */
  recovering(kept: ReadonlySet<number>): void {
    this.#survives = kept;
  }

  #recovered(generation: number): void {
    this.#generation = generation;
    for (const [job, request_id] of this.acknowledged) {
      if (this.#survives.has(job)) continue;
      this.acknowledged.delete(job);
      this.#job_of.delete(request_id);
    }
  }

  /** Whether the cluster was recovered. */
  get was_recovered(): boolean {
    return this.#generation > 1;
  }

  /** A client was told that its job is accepted, by a member of that generation. */
  jobAcknowledged(job: number, request_id: string, generation = this.#generation): void {
    // By hosts that the cluster was recovered without.
    if (generation < this.#generation) return;
    const before = this.acknowledged.get(job);
    if (before !== undefined && before !== request_id)
      this.#fail(`O3: job ${job} was promised to ${before} and to ${request_id}`);
    const other = this.#job_of.get(request_id) ?? job;
    if (other !== job) this.#fail(`O3: ${request_id} was told of job ${other}, then of job ${job}`);
    this.#job_of.set(request_id, job);
    this.acknowledged.set(job, request_id);
  }

  // ---- O10

  frame(host: string, bytes: number): void {
    if (bytes > mesh_limits.max_frame_bytes) this.#fail(`O10: ${host} sends a frame of ${bytes} bytes`);
  }

  calls(host: string, waiting: number): void {
    if (waiting > most_calls) this.#fail(`O10: ${waiting} calls of ${host} wait for an answer`);
  }

  #checkWaiting({ name, agent, queued_bytes }: SimHost): void {
    const { count = 0, bytes = 0 } = agent?.waiting_proposals ?? {};
    if (count > most_proposals || bytes > proposal_limits.bytes)
      this.#fail(`O10: ${count} proposals of ${bytes} bytes wait on ${name}`);
    for (const { member, raft, rpc } of queued_bytes)
      if (raft > mesh_limits.raft_queue_bytes || rpc > mesh_limits.rpc_hard_queue_bytes)
        this.#fail(`O10: ${raft} bytes of Raft and ${rpc} of calls wait on ${name} for member ${member}`);
  }

  checkBounds(hosts: readonly SimHost[]): void {
    for (const host of hosts) {
      if (host.log_disk.used_bytes > most_log_bytes)
        this.#fail(`O10: the log of ${host.name} takes ${host.log_disk.used_bytes} bytes`);
      this.#checkWaiting(host);
      for (const [table, most] of most_rows) {
        const rows = host.member?.state.list(table).length ?? 0;
        if (rows > most) this.#fail(`O10: ${host.name} keeps ${rows} ${table}: expected ${most} at most`);
      }
    }
  }
}
