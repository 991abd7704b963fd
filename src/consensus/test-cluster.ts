/**
 * For tests: several cores in one process, with a network that loses, repeats and reorders, disks that sync late and
 * forget what was not synced, and the four properties of Raft checked after every step (thesis, figure 3.2).
 * A run is a function of its seed. Cores are driven as a replica drives them, and snapshots are moved in one piece.
 */
import assert from 'node:assert/strict';
import { configurationOf, decodeConfiguration, empty_configuration } from './configuration.ts';
import { createCore } from './core.ts';
import type { Core, CoreOptions } from './core-api.ts';
import type {
  Configuration,
  CoreStatus,
  Entry,
  HardState,
  MemberId,
  MemberProgress,
  Message,
  SnapshotMeta,
} from './types.ts';

/** A small generator (splitmix32): uniform in [0, 1), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

export function testOptions(id: MemberId, more: Partial<CoreOptions> = {}): CoreOptions {
  return {
    id,
    election_ticks: 10,
    heartbeat_ticks: 2,
    max_append_bytes: 64,
    max_inflight: 4,
    max_inflight_bytes: 256,
    max_uncommitted_bytes: 1 << 20,
    random: () => 0.5,
    ...more,
  };
}

export interface Faults {
  /** Probabilities, per message. */
  readonly drop: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** A sync takes 0 to this many steps. */
  readonly sync_steps: number;
}

export const no_faults: Faults = { drop: 0, duplicate: 0, reorder: 0, sync_steps: 0 };

/** One member: its core, its disk, and its state machine (a list of what was applied). */
export interface Member {
  core: Core;
  up: boolean;
  /** Its storage was damaged; '' while it is sound. */
  fault: string;
  hard_state: HardState;
  snapshot: SnapshotMeta;
  disk: Entry[];
  /** The state machine's image; volatile beyond `snapshot`. */
  applied: Entry[];
  configuration: Configuration;
  syncing: {
    seq: number;
    left: number;
    hard_state: HardState | null;
    entries: readonly Entry[];
    after: readonly Message[];
  }[];
  reads: { context: number; index: number }[];
  reads_failed: number[];
}

export class TestCluster {
  readonly members = new Map<MemberId, Member>();
  readonly random: () => number;
  readonly options: Partial<CoreOptions>;
  faults: Faults;
  queue: Message[] = [];
  /** Members whose disk does nothing until {@link TestCluster.sync} or {@link TestCluster.syncOne} is called. */
  readonly stalled = new Set<MemberId>();
  /** Messages for which this is true never arrive. */
  cut: (m: Message) => boolean = () => false;
  /** Every message handed out, for tests that look at them. */
  onSend: (m: Message) => void = () => undefined;
  readonly #leaders = new Map<number, MemberId>();
  readonly #committed: Entry[] = [];

  constructor(
    voters: readonly MemberId[],
    more: {
      learners?: readonly MemberId[];
      seed?: number;
      faults?: Faults;
      options?: Partial<CoreOptions>;
    } = {},
  ) {
    this.random = seededRandom(more.seed ?? 1);
    this.faults = more.faults ?? no_faults;
    this.options = more.options ?? {};
    for (const id of [...voters, ...(more.learners ?? [])]) {
      this.add(id, configurationOf(voters, more.learners));
    }
  }

  /** A member with an empty log. */
  add(id: MemberId, configuration: Configuration = empty_configuration): Member {
    const snapshot: SnapshotMeta = { index: 0, term: 0, configuration };
    const blank = {
      hard_state: { term: 0, vote: 0, commit: 0 },
      snapshot,
      disk: [],
      applied: [],
      configuration,
    };
    const volatile = { up: true, fault: '', syncing: [], reads: [], reads_failed: [] };
    const member: Member = { ...blank, ...volatile, core: this.#open(id, blank) };
    this.members.set(id, member);
    return member;
  }

  member(id: MemberId): Member {
    const member = this.members.get(id);
    assert.ok(member, `no member ${id}`);
    return member;
  }

  core(id: MemberId): Core {
    return this.member(id).core;
  }

  progress(id: MemberId): readonly MemberProgress[] {
    return this.core(id).progress();
  }

  status(id: MemberId): CoreStatus {
    return this.core(id).status();
  }

  /** The leader of the highest term among those that are up; 0 if none. */
  leader(): MemberId {
    const leading = [...this.members]
      .filter(([, member]) => member.up && member.core.status().role === 'leader')
      .sort(([, a], [, b]) => b.core.status().term - a.core.status().term);
    return leading[0]?.[0] ?? 0;
  }

  /** Loses everything that is not on disk. Part of what was being written may be there. */
  crash(id: MemberId): void {
    const member = this.member(id);
    member.up = false;
    for (const write of member.syncing) {
      if (this.random() < 0.5) break;
      this.#write(member, write);
    }
    member.syncing = [];
    const lost = this.queue.filter((m) => m.from === id && this.random() < 0.5);
    this.queue = this.queue.filter((m) => !lost.includes(m));
  }

  restart(id: MemberId): void {
    const member = this.member(id);
    member.up = true;
    member.reads = [];
    member.reads_failed = [];
    member.applied = member.applied.filter((entry) => entry.index <= member.snapshot.index);
    member.configuration = member.snapshot.configuration;
    member.core = this.#open(id, member);
  }

  /** While it is down: its log is damaged and begun anew, term and vote are lost; its image too, unless `keeps_image`. */
  damage(id: MemberId, keeps_image: boolean): void {
    const member = this.member(id);
    assert.equal(member.up, false);
    if (!keeps_image) {
      member.snapshot = { index: 0, term: 0, configuration: empty_configuration };
      member.applied = [];
    }
    member.fault = `damaged at ${member.disk.at(-1)?.index ?? 0}`;
    member.disk = [];
    const { index: commit, term } = member.snapshot;
    member.hard_state = { term, vote: 0, commit };
  }

  /** Everything applied becomes an image; the log keeps `keep` entries behind it. */
  compact(id: MemberId, keep: number): void {
    const member = this.member(id);
    const last = member.applied.at(-1);
    if (last === undefined || last.index <= member.snapshot.index) return;
    const meta = { index: last.index, term: last.term, configuration: member.configuration };
    member.snapshot = meta;
    member.core.compacted(meta, keep);
    member.disk = member.disk.filter((entry) => entry.index > meta.index - keep);
  }

  /** Takes what the member's core wants done and does it; syncs are only begun. */
  pump(id: MemberId): void {
    const member = this.member(id);
    if (!member.up) return;
    for (let ready = member.core.ready(); ready !== null; ready = member.core.ready()) {
      this.#send(ready.messages);
      const left = Math.floor(this.random() * (this.faults.sync_steps + 1));
      const { seq, hard_state, entries, messages_after_sync } = ready;
      member.syncing.push({ seq, left, hard_state, entries, after: messages_after_sync });
      this.#apply(id, member, ready.committed);
      member.reads.push(...ready.reads);
      member.reads_failed.push(...ready.reads_failed);
      if (this.faults.sync_steps === 0 && !this.stalled.has(id)) this.sync(id);
    }
    this.#checkLeader(id, member);
  }

  /** Ends the oldest write that is under way, and no other. */
  syncOne(id: MemberId): void {
    const member = this.member(id);
    const write = member.syncing.shift();
    assert.ok(write, `member ${id} writes nothing`);
    this.#write(member, write);
    member.core.synced(write.seq);
    this.#send(write.after);
  }

  /** Ends the syncs that are due (all, when `force`). */
  sync(id: MemberId, force = true): void {
    const member = this.member(id);
    while (member.syncing[0] !== undefined && (force || member.syncing[0].left-- <= 0)) this.syncOne(id);
  }

  tick(id: MemberId): void {
    if (this.member(id).up) this.core(id).tick();
  }

  /** Delivers one message, the oldest or any. False when there is none. */
  deliver(): boolean {
    const at = this.random() < this.faults.reorder ? Math.floor(this.random() * this.queue.length) : 0;
    const [m] = this.queue.splice(at, 1);
    if (m === undefined) return false;
    if (this.random() < this.faults.duplicate) this.queue.push(m);
    const member = this.members.get(m.to);
    if (this.random() < this.faults.drop || member?.up !== true || this.cut(m)) {
      this.#lost(m);
      return true;
    }
    if (m.type === 'snapshot') this.#snapshot(m.from, m.to);
    else member.core.step(m);
    return true;
  }

  /** Loses the oldest messages, all but `keep`. */
  lose(keep: number): void {
    while (this.queue.length > keep) this.#lost(this.queue.shift()!);
  }

  /** Until nothing moves without a tick. */
  settle(limit = 10_000): void {
    for (let step = 0; step < limit; step++) {
      for (const [id] of this.members) {
        this.pump(id);
        if (!this.stalled.has(id)) this.sync(id, false);
      }
      const busy = [...this.members].some(([id, { syncing }]) => syncing.length > 0 && !this.stalled.has(id));
      if (!this.deliver() && !busy) return;
    }
    assert.fail(`${limit} steps and no rest; ${this.queue.length} messages queued`);
  }

  /** A tick of everybody, then rest; until `done`. */
  ticksUntil(done: () => boolean, what: string, limit = 400): void {
    this.settle();
    for (let tick = 0; !done(); tick++) {
      assert.ok(tick < limit, `not within ${limit} ticks: ${what}`);
      for (const [id] of this.members) this.tick(id);
      this.settle();
    }
  }

  ticks(count: number): void {
    for (let tick = 0; tick < count; tick++) {
      for (const [id] of this.members) this.tick(id);
      this.settle();
    }
  }

  /** Makes `id` lead. */
  elect(id: MemberId): void {
    this.settle();
    while (this.status(id).role !== 'leader') {
      const leader = this.leader();
      if (leader !== 0) this.core(leader).transfer(id);
      else for (let tick = 0; tick < 20 && this.status(id).role === 'follower'; tick++) this.tick(id);
      this.settle();
      if (this.status(id).role !== 'leader') this.ticks(1);
    }
  }

  /** Proposes at the leader; the index, or 0 when refused. */
  propose(id: MemberId, text: string): number {
    const result = this.core(id).propose([new TextEncoder().encode(text)]);
    return result.ok ? result.first_index : 0;
  }

  /** What `id` applied, commands only. */
  commands(id: MemberId): string[] {
    return this.member(id)
      .applied.filter((entry) => entry.kind === 'command')
      .map((entry) => new TextDecoder().decode(entry.data));
  }

  #open(id: MemberId, from: Pick<Member, 'hard_state' | 'snapshot' | 'disk'> & { fault?: string }): Core {
    return createCore(testOptions(id, { random: this.random, ...this.options }), {
      hard_state: from.hard_state,
      snapshot: from.snapshot,
      entries: from.disk.slice(),
      applied: from.snapshot.index,
      ...(from.fault ? { fault: from.fault } : {}),
    });
  }

  /** A replica always hears how a snapshot ended. */
  #lost(m: Message): void {
    if (m.type === 'snapshot' && this.member(m.from).up) this.core(m.from).snapshotSent(m.to, false);
  }

  #send(messages: readonly Message[]): void {
    for (const m of messages) {
      this.onSend(m);
      this.queue.push(m);
    }
  }

  #write(member: Member, write: { hard_state: HardState | null; entries: readonly Entry[] }): void {
    if (write.hard_state !== null) member.hard_state = write.hard_state;
    const first = write.entries[0];
    if (first === undefined) return;
    const last = member.disk.at(-1)?.index ?? member.snapshot.index;
    assert.ok(first.index <= last + 1, `write of ${first.index} leaves a hole behind ${last}`);
    member.disk = [...member.disk.filter((entry) => entry.index < first.index), ...write.entries];
  }

  #apply(id: MemberId, member: Member, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const last = member.applied.at(-1)?.index ?? 0;
      assert.equal(entry.index, last + 1, `member ${id} applies ${entry.index} after ${last}`);
      const on_disk = member.disk.find((stored) => stored.index === entry.index);
      assert.equal(on_disk?.term, entry.term, `member ${id} applies ${entry.index} before it is durable`);
      // State-machine safety: nobody ever applies another entry at this index.
      const agreed = this.#committed[entry.index - 1];
      if (agreed === undefined) {
        assert.equal(this.#committed.length, entry.index - 1);
        this.#committed.push(entry);
      } else {
        assert.deepEqual([entry.term, entry.kind], [agreed.term, agreed.kind], `entry ${entry.index}`);
        assert.deepEqual(entry.data, agreed.data);
      }
      member.applied.push(entry);
      if (entry.kind === 'config') member.configuration = decodeConfiguration(entry.data);
    }
    const last = entries.at(-1);
    if (last !== undefined) member.core.applied(last.index);
  }

  /** Election safety, and leader completeness at the moment of election. */
  #checkLeader(id: MemberId, member: Member): void {
    const { role, term, last_index, commit } = member.core.status();
    if (role !== 'leader') return;
    const known = this.#leaders.get(term);
    assert.ok(known === undefined || known === id, `members ${known} and ${id} both lead term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, id);
    assert.ok(last_index >= this.#committed.length, `leader ${id} of term ${term} lacks committed entries`);
    assert.ok(commit <= last_index);
    for (const entry of member.disk) {
      const agreed = this.#committed[entry.index - 1];
      if (agreed !== undefined) assert.equal(entry.term, agreed.term, `leader ${id} lacks ${entry.index}`);
    }
  }

  /** Log matching: where two logs have an entry of one term at one index, all before it is the same. */
  checkLogs(): void {
    const logs = [...this.members.values()].map((member) => member.disk);
    for (const a of logs) {
      for (const b of logs) {
        if (a === b) continue;
        const terms = new Map(b.map((entry) => [entry.index, entry.term]));
        const last = a.findLastIndex((entry) => terms.get(entry.index) === entry.term);
        for (const entry of a.slice(0, last + 1)) {
          const other = terms.get(entry.index);
          if (other !== undefined)
            assert.equal(other, entry.term, `logs part at ${entry.index} and meet later`);
        }
      }
    }
  }

  #snapshot(from: MemberId, to: MemberId): void {
    const source = this.member(from);
    const target = this.member(to);
    const meta = source.snapshot;
    if (source.up && meta.index > target.core.status().commit) {
      // As a replica: what is being written is awaited, then the store and the state machine are replaced.
      this.sync(to);
      target.snapshot = meta;
      target.applied = source.applied.filter((entry) => entry.index <= meta.index);
      target.configuration = meta.configuration;
      const keeps = target.disk.some((entry) => entry.index === meta.index && entry.term === meta.term);
      target.disk = keeps ? target.disk.filter((entry) => entry.index > meta.index) : [];
      const { term, vote } = target.hard_state;
      target.hard_state = { term, vote, commit: meta.index };
      target.core.installed(meta);
    }
    if (source.up) source.core.snapshotSent(to, true);
  }
}
