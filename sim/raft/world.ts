/** Everything of one run: time, network, members, what is recorded and who judges. */
import { type Configuration, configurationOf, type MemberId } from '../../src/consensus/index.ts';
import { Knobs } from '../kit/knobs.ts';
import { Marks } from '../kit/marks.ts';
import type { Trace } from '../kit/trace.ts';
import { altered, isRefused } from './alter.ts';
import { SimClock } from './clock.ts';
import { History } from './history.ts';
import { type FaultName, fault_names, type MarkName, mark_names } from './marks.ts';
import { Member } from './member.ts';
import { type NetworkFault, type NetworkKnobs, SimNetwork } from './network.ts';
import { Oracle } from './oracle.ts';
import { calmed, drawSwarm, type SwarmKnobs } from './swarm-knobs.ts';
import { Watch } from './watch.ts';

const network_faults: Readonly<Record<NetworkFault, FaultName>> = {
  lost: 'frames lost',
  duplicated: 'frames duplicated',
  reordered: 'frames reordered',
  swallowed: 'frames swallowed',
  clogged: 'frames clogged',
  reset: 'connections reset',
  altered: 'frames altered',
};

export class World {
  readonly clock = new SimClock();
  readonly knobs: SwarmKnobs;
  /** Of everything that has no draws of its own. */
  readonly draws: Knobs;
  readonly trace: Trace;
  readonly marks = new Marks<MarkName>(mark_names);
  readonly faults = new Marks<FaultName>(fault_names);
  readonly oracle = new Oracle();
  readonly history = new History(() => 1000 * this.clock.now_ms);
  readonly network: SimNetwork;
  readonly watch: Watch;
  readonly members = new Map<MemberId, Member>();
  /** Faults are over: nothing may be slow or lost any more. */
  calm = false;
  /** Partitions in force. */
  partitions = 0;
  /** Changes of the members that were asked for and not answered yet. */
  changing = 0;
  /** Whoever was in a committed configuration. */
  readonly ever_members = new Set<MemberId>();
  /** Asked after every event of a member; those that say true are done. */
  ambushes: ((member: Member) => boolean)[] = [];
  /** Ends clients, operator and faults. */
  over = false;
  readonly #noticed = new Set<string>();

  constructor(seed: number, trace: Trace, calm: boolean) {
    const draws = new Knobs(seed);
    const swarm = drawSwarm(draws.fork());
    this.knobs = calm ? calmed(swarm) : swarm;
    this.draws = draws.fork();
    this.trace = trace;
    this.watch = new Watch(this);
    this.network = new SimNetwork(this.clock, draws.fork(), quiet, {
      sent: (process, to, bytes) => this.watch.frames.sent(process, to, bytes),
      fault: (kind) => this.faults.hit(network_faults[kind]),
      altered: (bytes) => this.#alter(bytes),
    });
  }

  /** A new member, under a number that was never used; its process starts. */
  add(configuration: Configuration = configurationOf([])): Member {
    const id = this.members.size + 1;
    const member = new Member(this, id, configuration);
    this.members.set(id, member);
    member.start();
    return member;
  }

  member(id: MemberId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new RangeError(`there is no member ${id}`);
    return member;
  }

  get alive(): readonly Member[] {
    return [...this.members.values()].filter((member) => member.up);
  }

  /** Members that still exist, up or down. */
  get existing(): readonly Member[] {
    return [...this.members.values()].filter((member) => !member.destroyed);
  }

  /** Whoever leads in the highest term, as far as it knows itself. */
  get leader(): Member | null {
    let found: Member | null = null;
    for (const member of this.members.values()) {
      const { status } = member;
      if (status?.role === 'leader' && status.term > (found?.status?.term ?? 0)) found = member;
    }
    return found;
  }

  /** The shortest silence after which a follower asks for votes, on a clock that is right. */
  get election_ms(): number {
    const { election_ticks, tick_ms } = this.knobs.timing;
    return election_ticks * tick_ms;
  }

  note(member: Member | null, what: string): void {
    this.trace.add(this.clock.now_ms, member === null ? '--' : `m${member.id}`, what);
  }

  fault(name: FaultName, detail: string, member: Member | null = null): void {
    this.faults.hit(name);
    this.note(member, `! ${name} ${detail}`);
  }

  /** Marks `name` once for `id`. */
  once(id: number, name: MarkName): void {
    const key = `${id} ${name}`;
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    this.marks.hit(name);
  }

  /** A leader was elected while an older one may still be relied on, by what its own status says. */
  relied(leader: Member, older: Member, age_ms: number): void {
    this.marks.hit('new leader while the old may still be relied on');
    this.note(
      leader,
      `leads while m${older.id} may be relied on: its quorum round is ${age_ms.toFixed(0)} ms old`,
    );
  }

  sleep(delay_ms: number): Promise<void> {
    return this.clock.sleep(delay_ms);
  }

  /** Members of which a bit rotted or a write went astray, found out or not. */
  get damaged(): readonly Member[] {
    return this.existing.filter((member) => member.storage.damage !== null);
  }

  #alter(bytes: Uint8Array): Uint8Array {
    const { bytes: copy, what } = altered(bytes, this.draws);
    if (what === 'chunk') this.faults.hit('snapshot chunks altered');
    else if (!isRefused(copy)) this.oracle.fail('an altered frame is taken for a good one');
    return copy;
  }

  #after(member: Member): void {
    this.watch.member(member);
    if (this.ambushes.length > 0) this.ambushes = this.ambushes.filter((ambush) => !ambush(member));
  }

  /** @throws Error with the first breach */
  async run(end_ms: number, done: () => boolean = () => false): Promise<boolean> {
    const held = await this.clock.run(end_ms, done, (who) => {
      const member = this.members.get(who.id);
      if (member?.env === who) this.#after(member);
      if (this.oracle.breach !== null) throw new Error(this.oracle.breach);
    });
    if (this.oracle.breach !== null) throw new Error(this.oracle.breach);
    return held;
  }
}

/** A network in which nothing goes wrong: while the group is founded, and once all faults are over. */
export const quiet: NetworkKnobs = { delay_ms: 1, jitter_ms: 0, loss: 0, duplicate: 0, reorder: 0, alter: 0 };
