/**
 * What must hold whatever goes wrong, judged from outside the agents: O1 no instance runs twice, O3 no acknowledged
 * write is lost, O4 one leader a term and one holder of the master address, O5 the same index hashes the same on every
 * replica, O10 bounds. They look at what the hosts really do, never at what an agent says of itself alone.
 */
import type { Member } from '../../src/node/member.ts';
import type { SimHost } from './host/sim-host.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A leader that stands still lets go within its deadline, a keeper's look, and a stop script that hangs. */
const most_address_overlap_ms = 4_000;
/** Logs are compacted; nothing else on the log's disk grows. Reserve, segments, snapshots under way. */
const most_log_bytes = 160 * 1024 * 1024;
/** How many indices back a replica may still be, in the comparison of hashes. */
const hashes_kept = 200_000;

export class Oracles {
  readonly #time: VirtualTime;
  readonly #fail: (what: string) => void;
  /** Hosts on which an instance runs, by instance. */
  readonly #running = new Map<string, Set<string>>();
  readonly #address = new Map<string, number>();
  readonly #stood_still = new Map<string, number>();
  readonly #leaders = new Map<number, string>();
  readonly #hashes = new Map<number, string>();
  /** Jobs that a client was told of: request by job. */
  readonly acknowledged = new Map<number, string>();
  /** Indices that a replica has applied, in all. */
  hashes_compared = 0;

  constructor(time: VirtualTime, fail: (what: string) => void) {
    this.#time = time;
    this.#fail = fail;
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

  hostsRunning(instance: string): ReadonlySet<string> {
    return this.#running.get(instance) ?? new Set();
  }

  // ---- O4

  address(host: string, held: boolean): void {
    if (held) {
      this.#address.set(host, this.#time.now_ms);
      if (this.#address.size > 1) this.#time.after(most_address_overlap_ms, () => this.#checkOverlap());
      return;
    }
    this.#address.delete(host);
  }

  keeperStoodStill(host: string): void {
    this.#stood_still.set(host, this.#time.now_ms);
  }

  /** Called while a host stands still, too: `frozen` says so. */
  #checkOverlap(): void {
    const now_ms = this.#time.now_ms;
    const holders = [...this.#address].filter(
      ([host, since_ms]) =>
        now_ms - since_ms >= most_address_overlap_ms &&
        now_ms - (this.#stood_still.get(host) ?? Number.NEGATIVE_INFINITY) > most_address_overlap_ms &&
        !this.frozen(host),
    );
    if (holders.length > 1)
      this.#fail(
        `O4: the master address is on ${holders.map(([host]) => host).join(' and ')} for ${most_address_overlap_ms} ms`,
      );
  }

  /** Whether a host stands still as a whole. Set by the cluster. */
  frozen: (host: string) => boolean = () => false;

  get holders(): readonly string[] {
    return [...this.#address.keys()];
  }

  // ---- O3, O4, O5: at each thing that a replica has applied

  applied(host: SimHost, member: Member): void {
    const { index, hash } = member.stateHash();
    const known = this.#hashes.get(index);
    this.hashes_compared += 1;
    if (known === undefined) {
      this.#hashes.set(index, hash);
      this.#hashes.delete(index - hashes_kept);
    } else if (known !== hash) {
      this.#fail(`O5: index ${index} hashes to ${hash} on ${host.name}, to ${known} elsewhere`);
    }
    const { role, term } = member.replica.status();
    if (role !== 'leader') return;
    const leader = this.#leaders.get(term);
    if (leader === undefined) this.#leaders.set(term, host.name);
    else if (leader !== host.name) this.#fail(`O4: ${host.name} leads in term ${term}, as ${leader} did`);
  }

  /** A client was told that its job is accepted. */
  jobAcknowledged(job: number, request_id: string): void {
    const before = this.acknowledged.get(job);
    if (before !== undefined && before !== request_id)
      this.#fail(`O3: job ${job} was promised to ${before} and to ${request_id}`);
    this.acknowledged.set(job, request_id);
  }

  // ---- O10

  checkBounds(hosts: readonly SimHost[]): void {
    for (const host of hosts)
      if (host.log_disk.used_bytes > most_log_bytes)
        this.#fail(`O10: the log of ${host.name} takes ${host.log_disk.used_bytes} bytes`);
  }
}
