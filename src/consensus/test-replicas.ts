/**
 * For tests: replicas in one process and virtual time, over disks and a network in memory that fail when told to.
 * A run is a function of its seed.
 */
import assert from 'node:assert/strict';
import type { ReplicaApi, Timing } from './api.ts';
import { configurationOf } from './configuration.ts';
import { bootstrapLog, openLogStore } from './log-store.ts';
import { MemoryDisk } from './memory-disk.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { openReplica } from './replica.ts';
import type { ReplicaLimits } from './replica-options.ts';
import { diskSpool } from './snapshot-spool.ts';
import type { Configuration, Entry, MemberId, SnapshotMeta, StateMachine } from './types.ts';
import { VirtualClock, VirtualNode } from './virtual-env.ts';

export const timing: Timing = { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 5 };
export const election_ms = timing.tick_ms * timing.election_ticks;
export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const bytes = (value: string) => new TextEncoder().encode(value);

export interface Image {
  readonly meta: SnapshotMeta;
  readonly values: readonly string[];
}

/** Remembers every command in order. Its image survives like a file that is renamed into place. */
export class ListMachine implements StateMachine {
  readonly durable: SnapshotMeta;
  readonly stable: { image: Image };
  values: string[];
  meta: SnapshotMeta;
  restores = 0;

  constructor(stable: { image: Image }) {
    this.stable = stable;
    this.durable = stable.image.meta;
    this.meta = stable.image.meta;
    this.values = [...stable.image.values];
  }

  apply(entries: readonly Entry[]): readonly unknown[] {
    return entries.map((entry) => {
      assert.equal(entry.index, this.meta.index + 1);
      this.meta = { ...this.meta, index: entry.index, term: entry.term };
      if (entry.kind !== 'command') return undefined;
      this.values.push(text(entry.data));
      return `${text(entry.data)}@${entry.index}`;
    });
  }

  configuration(_index: number, configuration: Configuration): void {
    this.meta = { ...this.meta, configuration };
  }

  async flush(): Promise<SnapshotMeta> {
    this.stable.image = { meta: this.meta, values: [...this.values] };
    return this.meta;
  }

  snapshot(chunk_bytes: number): { meta: SnapshotMeta; chunks: AsyncIterable<Uint8Array> } {
    const all = bytes(JSON.stringify(this.values));
    async function* chunks() {
      for (let at = 0; at < all.length; at += chunk_bytes) yield all.slice(at, at + chunk_bytes);
    }
    return { meta: this.meta, chunks: { [Symbol.asyncIterator]: chunks } };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const values: string[] = JSON.parse(text(new Uint8Array(Buffer.concat(parts))));
    this.stable.image = { meta, values };
    this.values = [...values];
    this.meta = meta;
    this.restores += 1;
  }
}

export interface Member {
  readonly id: MemberId;
  readonly node: VirtualNode;
  readonly disk: MemoryDisk;
  readonly machine: ListMachine;
  readonly replica: ReplicaApi;
}

export class Cluster {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly members = new Map<MemberId, Member>();
  readonly limits: Partial<ReplicaLimits>;
  readonly all: VirtualNode[] = [];
  /** For the logs that are opened from now on. */
  store = { segment_bytes: 16_384, reserve_bytes: 0 };

  constructor(seed = 1, limits: Partial<ReplicaLimits> = {}) {
    this.clock = new VirtualClock(seed);
    this.network = new MemoryNetwork(this.clock);
    this.limits = limits;
  }

  /** A group of `count` voters, made as the first one alone and then the others added. */
  static async of(count: number, seed = 1, limits: Partial<ReplicaLimits> = {}): Promise<Cluster> {
    const cluster = new Cluster(seed, limits);
    await cluster.found(1);
    for (let id = 2; id <= count; id++) await cluster.found(id, configurationOf([]));
    await cluster.settled(1);
    const changes = Array.from({ length: count - 1 }, (_, i) => ({ type: 'add-voter', id: i + 2 }) as const);
    if (count > 1) await cluster.wait(cluster.replica(1).changeMembers(changes));
    return cluster;
  }

  async found(id: MemberId, configuration = configurationOf([id])): Promise<Member> {
    const disk = new MemoryDisk();
    await bootstrapLog(disk, configuration);
    const empty = { meta: { index: 0, term: 0, configuration: configurationOf([]) }, values: [] };
    return this.open(id, disk, { image: empty });
  }

  async open(id: MemberId, disk: MemoryDisk, stable: { image: Image }): Promise<Member> {
    const node = new VirtualNode(`m${id}`, this.clock);
    this.all.push(node);
    const { segment_bytes, reserve_bytes } = this.store;
    const log = await openLogStore(disk, { segment_bytes, reserve_bytes });
    const machine = new ListMachine(stable);
    const transport = this.network.join(id, node);
    const options = { id, timing, limits: this.limits };
    const replica = openReplica(options, {
      log,
      machine,
      transport,
      env: node,
      spool: diskSpool(disk, 1024),
    });
    const member = { id, node, disk, machine, replica };
    this.members.set(id, member);
    return member;
  }

  replica(id: MemberId): ReplicaApi {
    return this.member(id).replica;
  }

  member(id: MemberId): Member {
    const member = this.members.get(id);
    assert.ok(member, `member ${id}`);
    return member;
  }

  /** kill -9; what was not synced is gone. */
  kill(id: MemberId): Member {
    const member = this.member(id);
    member.node.stop();
    member.disk.powerOff();
    this.network.leave(id);
    this.members.delete(id);
    return member;
  }

  restart(dead: Member): Promise<Member> {
    return this.open(
      dead.id,
      dead.disk.afterCrash(() => 0),
      dead.machine.stable,
    );
  }

  leaders(): readonly Member[] {
    return [...this.members.values()].filter((m) => m.replica.status().established);
  }

  /** Waits for a leader (that one, if named) that may act. */
  async settled(id: MemberId = 0, limit_ms = 20_000): Promise<Member> {
    const found = () => this.leaders().find((m) => id === 0 || m.id === id);
    assert.ok(await this.clock.until(() => found() !== undefined, limit_ms), this.trace('no leader'));
    return found()!;
  }

  /** Lets time pass until `promise` is answered. */
  async wait<T>(promise: Promise<T>, limit_ms = 60_000): Promise<T> {
    let over = false;
    const done = () => {
      over = true;
    };
    promise.then(done, done);
    assert.ok(await this.clock.until(() => over, limit_ms), this.trace('no answer'));
    return promise;
  }

  async propose(id: MemberId, value: string): Promise<unknown> {
    return (await this.wait(this.replica(id).propose(bytes(value)))).result;
  }

  async until(condition: () => boolean, limit_ms: number, what: string): Promise<void> {
    assert.ok(await this.clock.until(condition, limit_ms), this.trace(what));
  }

  async same(values: readonly string[]): Promise<void> {
    const holds = () => [...this.members.values()].every((m) => m.machine.values.join() === values.join());
    await this.until(holds, 20_000, `not everybody has ${values.join().slice(0, 200)}`);
  }

  trace(what: string): string {
    return `${what}\n${this.all
      .flatMap((node) => node.lines)
      .sort()
      .slice(-60)
      .join('\n')}`;
  }

  async end(): Promise<void> {
    for (const node of this.all) assert.equal(node.fatal_reason, null, this.trace(node.name));
    for (const { replica } of this.members.values()) await this.wait(replica.close());
  }
}
