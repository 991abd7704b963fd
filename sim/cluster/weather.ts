/**
 * How things really stand between the simulated hosts, looked at from outside a few times a second: who is well, whom
 * the leader reaches, where a majority is together. Oracles of liveness judge by it. It must never ask an agent how it
 * feels, only what is being done to it; who leads, who votes and who is sent a snapshot is read off the replicas.
 */
import { meta_key } from '../../src/config/keys.ts';
import type { Member } from '../../src/node/member.ts';
import type { SimCluster } from './cluster.ts';
import type { SimHost } from './host/sim-host.ts';

const look_every_ms = 200;
/** Slower links than that are a fault, not weather (mean of one way). */
const most_mean_delay_ms = 20;

/** Since when something has held without a break, and what it is tied to: another tie begins anew. */
interface Spell {
  readonly tie: string;
  readonly from_ms: number;
}

type Spells = Map<string, Spell>;

export class Weather {
  readonly #cluster: SimCluster;
  readonly #members = new Map<SimHost, Member>();
  readonly #served: Spells = new Map();
  readonly #quorate: Spells = new Map();
  readonly #passed_over: Spells = new Map();

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  start(): void {
    this.#look();
    this.#cluster.rare.look();
    this.#cluster.time.after(look_every_ms, () => this.start());
  }

  /** For how long the host has had the same leader in reach, and that leader a majority. */
  servedMs(host: string): number {
    return this.#ageMs(this.#served, host);
  }

  /** For how long the host has been in one unchanged company of well hosts that all reach one another and hold a majority. */
  quorateMs(host: string): number {
    return this.#ageMs(this.#quorate, host);
  }

  /**
   * For how long the host has been in such a company while somebody outside of it leads, with a majority of its own: nobody else
   * is elected, and this host hears no entries.
   */
  passedOverMs(host: string): number {
    return this.#ageMs(this.#passed_over, host);
  }

  #ageMs(spells: Spells, host: string): number {
    const spell = spells.get(host);
    return spell === undefined ? 0 : this.#cluster.time.now_ms - spell.from_ms;
  }

  #look(): void {
    const { hosts, links } = this.#cluster;
    const slow = links.mean_ms > most_mean_delay_ms;
    // Hosts that the cluster was recovered without are in reach, and get nothing.
    const newest = Math.max(...hosts.map((host) => host.member?.file.generation ?? 0));
    const of = hosts.filter((host) => host.member?.file.generation === newest);
    const leader = this.#cluster.leader();
    const loading = this.#loading(leader);
    const well =
      slow || awaited(of)
        ? []
        : of.filter((host) => this.#isWell(host) && !loading.has(host.member!.file.member));
    for (const host of hosts) {
      if (host.member === null) this.#members.delete(host);
      else this.#members.set(host, host.member);
    }
    const reached =
      leader === null || !well.includes(leader.host)
        ? []
        : well.filter((host) => host === leader.host || this.#touch(host, leader.host));
    const tie = leader === null ? '' : `${leader.host.name} ${leader.member.replica.status().term}`;
    const serves = majority(reached);
    this.#note(this.#served, serves ? reached : [], tie);
    const company = this.#company(well);
    this.#note(this.#quorate, majority(company) ? company : [], company.map((host) => host.name).join());
    const passed_over = serves ? company.filter((host) => !reached.includes(host)) : [];
    this.#note(this.#passed_over, passed_over, tie);
  }

  #note(spells: Spells, hosts: readonly SimHost[], tie: string): void {
    const names = new Set(hosts.map((host) => host.name));
    for (const name of spells.keys()) if (!names.has(name)) spells.delete(name);
    for (const name of names)
      if (spells.get(name)?.tie !== tie) spells.set(name, { tie, from_ms: this.#cluster.time.now_ms });
  }

  /** Nothing is being done to it, its agent is the one of the last look, and the configuration wants it. */
  #isWell(host: SimHost): boolean {
    const { member } = host;
    if (member === null || this.#members.get(host) !== member || host.stands_still) return false;
    if (host.disk_is_slow) return false;
    const node = member.state.get('nodes', member.node_uuid);
    return node !== undefined && !node.offline;
  }

  /** To whom a run with tiny chunks (run-seed.ts) sends a snapshot: that takes as long as the state is large. */
  #loading(leader: ReturnType<SimCluster['leader']>): ReadonlySet<number> {
    if (leader === null || this.#cluster.options.habits.raft_limits === undefined) return new Set();
    const progress = leader.member.replica.progress();
    return new Set(progress.filter(({ state }) => state === 'snapshot').map(({ id }) => id));
  }

  #touch(a: SimHost, b: SimHost): boolean {
    const { links } = this.#cluster;
    return !links.isCut(a.peer_id, b.peer_id) && !links.isCut(b.peer_id, a.peer_id);
  }

  /** Whoever reaches the fewest of the others goes, until all that are left reach one another. */
  #company(well: readonly SimHost[]): readonly SimHost[] {
    const left = [...well];
    const lacks = left.map((host) => {
      let count = 0;
      for (const other of left) if (other !== host && !this.#touch(host, other)) count += 1;
      return count;
    });
    for (;;) {
      const out = lacks.lastIndexOf(Math.max(0, ...lacks));
      if (out < 0 || lacks[out] === 0) return left;
      const [gone] = left.splice(out, 1);
      lacks.splice(out, 1);
      // Only what this one lacked, or was lacked by, counts anew.
      for (const [at, other] of left.entries()) if (!this.#touch(other, gone!)) lacks[at]! -= 1;
    }
  }
}

/** Of the voters of both configurations, by the newest one that is known among them; damaged storage counts for nothing. */
function majority(hosts: readonly SimHost[]): boolean {
  const members = hosts.flatMap((host) => (host.member === null ? [] : [host.member]));
  const statuses = members.map((member) => member.replica.status());
  const newest = statuses.toSorted((a, b) => b.applied - a.applied)[0];
  if (newest === undefined) return false;
  const faulty = new Set(statuses.flatMap((status) => status.faulty.map(({ id }) => id)));
  const there = new Set(members.map((member) => member.file.member).filter((id) => !faulty.has(id)));
  const { voters, voters_outgoing } = newest.configuration;
  return [voters, voters_outgoing]
    .filter((set) => set.length > 0)
    .every((set) => 2 * set.filter((id) => there.has(id)).length > set.length);
}

/** After a recovery leaders may grant nothing for T, as long as there is a node not seen since that nobody said is off. */
function awaited(hosts: readonly SimHost[]): boolean {
  return hosts.some((host) => {
    const recovery = host.member?.state.get('meta', meta_key)?.recovery;
    return recovery?.unseen.some(({ word }) => !word) === true;
  });
}
