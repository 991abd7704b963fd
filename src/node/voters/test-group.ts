/**
 * A Raft group of real replicas in virtual time, each with a tender while it leads: what the tests of the tender run on.
 */
import assert from 'node:assert/strict';
import type { ReplicaApi, Timing } from '../../consensus/api.ts';
import { configurationOf } from '../../consensus/configuration.ts';
import { bootstrapLog, openLogStore } from '../../consensus/log-store.ts';
import { MemoryDisk } from '../../consensus/memory-disk.ts';
import { MemoryNetwork } from '../../consensus/memory-transport.ts';
import { openReplica } from '../../consensus/replica.ts';
import { setLogAside } from '../../consensus/set-aside.ts';
import type { Configuration, Entry, MemberId, SnapshotMeta, StateMachine } from '../../consensus/types.ts';
import { VirtualClock, VirtualNode } from '../../consensus/virtual-env.ts';
import { createVoterTender, type VoterTender } from './tender.ts';
import type { VoterNode } from './view.ts';

const timing: Timing = { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 8 };
export const lease_ms = 10_000;

export function plainNode(member: MemberId): VoterNode {
  return {
    member,
    name: `n${member}`,
    master_capable: true,
    vm_capable: true,
    master_candidate: true,
    offline: false,
    drained: false,
    domains: [],
    trouble: '',
  };
}

/** Counts commands. */
class CountingMachine implements StateMachine {
  readonly durable: SnapshotMeta = { index: 0, term: 0, configuration: configurationOf([]) };
  #meta = this.durable;

  apply(entries: readonly Entry[]): readonly unknown[] {
    const last = entries.at(-1);
    if (last) this.#meta = { ...this.#meta, index: last.index, term: last.term };
    return entries.map(() => undefined);
  }

  configuration(_index: number, configuration: Configuration): void {
    this.#meta = { ...this.#meta, configuration };
  }

  flush(): Promise<SnapshotMeta> {
    return Promise.resolve(this.durable);
  }

  snapshot(): never {
    throw new Error('no snapshot expected: these logs are short');
  }

  restore(): Promise<void> {
    return Promise.reject(new Error('no snapshot expected: these logs are short'));
  }
}

interface Member {
  readonly id: MemberId;
  readonly env: VirtualNode;
  readonly replica: ReplicaApi;
  readonly disk: MemoryDisk;
  tender: { readonly term: number; readonly tender: VoterTender } | null;
}

export class TestGroup {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
  readonly members = new Map<MemberId, Member>();
  /** What each leader saw its group become, oldest first. */
  readonly configurations: Configuration[] = [];
  readonly lines: string[] = [];
  nodes: readonly VoterNode[] = [];
  pool = 5;
  /** Old and new number of each node that began anew. */
  readonly renewals: (readonly [MemberId, MemberId])[] = [];
  next_number = 101;
  /** Whether a host that is given a new number starts under it. */
  hosts_return = true;

  constructor(seed = 1) {
    this.clock = new VirtualClock(seed);
    this.network = new MemoryNetwork(this.clock);
  }

  /** The first founds the group, the others wait to be taken in. */
  async add(id: MemberId): Promise<void> {
    const disk = new MemoryDisk();
    await bootstrapLog(disk, this.members.size === 0 ? configurationOf([id]) : configurationOf([]));
    await this.#open(id, disk);
    this.nodes = [...this.nodes, plainNode(id)];
    this.wake();
  }

  async #open(id: MemberId, disk: MemoryDisk): Promise<void> {
    const log = await openLogStore(disk, { segment_bytes: 16_384, reserve_bytes: 0 });
    const env = new VirtualNode(`n${id}`, this.clock);
    const transport = this.network.join(id, env);
    const replica = openReplica({ id, timing }, { log, machine: new CountingMachine(), transport, env });
    const member: Member = { id, env, replica, disk, tender: null };
    this.members.set(id, member);
    replica.on('role', () => this.#tendRole(member));
    replica.on('configuration', (configuration) => {
      if (replica.status().role === 'leader') this.configurations.push(configuration);
    });
  }

  /** Its log is found damaged at its next start, which is now. */
  async damage(id: MemberId): Promise<void> {
    const disk = this.members.get(id)?.disk;
    assert.ok(disk);
    this.kill(id);
    await setLogAside(disk, { file: 'segment', offset: 7, index: 1, reason: 'a bit was flipped' });
    await this.#open(id, disk);
    this.wake();
  }

  /** What `node-renew` does, and the host behind the number: it starts anew under the new one, if it is to come back. */
  async #renew(old: MemberId): Promise<void> {
    const number = this.next_number;
    this.next_number += 1;
    this.renewals.push([old, number]);
    this.nodes = this.nodes.map((node) => (node.member === old ? { ...node, member: number } : node));
    this.wake();
    if (!this.hosts_return) return;
    this.kill(old);
    const disk = new MemoryDisk();
    await bootstrapLog(disk);
    await this.#open(number, disk);
  }

  #tendRole(member: Member): void {
    const { established, term } = member.replica.status();
    if (member.tender && (!established || member.tender.term !== term)) {
      member.tender.tender.stop();
      member.tender = null;
    }
    if (!established || member.tender) return;
    const { env, replica } = member;
    const tender = createVoterTender({
      env: {
        now_ms: () => env.now_ms(),
        after: (delay_ms, fn) => env.after(delay_ms, fn),
        log: (_level, message, fields) =>
          this.lines.push(`${env.now_ms()} ${env.name} ${message} ${JSON.stringify(fields)}`),
      },
      replica,
      self: member.id,
      isUp: () => true,
      nodes: () => this.nodes,
      candidatePoolSize: () => this.pool,
      leaseMs: () => lease_ms,
      renew: (old) => this.#renew(old),
    });
    member.tender = { term, tender };
  }

  change(id: MemberId, changes: Partial<VoterNode>): void {
    this.nodes = this.nodes.map((node) => (node.member === id ? { ...node, ...changes } : node));
    this.wake();
  }

  wake(): void {
    for (const { tender } of this.members.values()) tender?.tender.wake();
  }

  /** As kill -9: for good. */
  kill(id: MemberId): void {
    this.members.get(id)?.env.stop();
    this.network.leave(id);
    this.members.delete(id);
  }

  leader(): Member | undefined {
    return [...this.members.values()].find(({ tender }) => tender !== null);
  }

  /** As the leader's log has them; nobody while they change, or while there is no leader. */
  voters(): readonly MemberId[] {
    const { voters = [], voters_outgoing = [] } = this.leader()?.replica.status().configuration ?? {};
    return voters_outgoing.length > 0 ? [] : voters;
  }

  /** Waits until `id` votes no more, and nothing is under way. */
  async untilWithout(id: MemberId, limit_ms: number): Promise<void> {
    const without = () => this.voters().length > 0 && !this.voters().includes(id);
    await this.until(without, limit_ms, `n${id} votes no more`);
    // The last configuration is applied, too.
    await this.commits();
  }

  async until(condition: () => boolean, limit_ms: number, what: string): Promise<void> {
    const held = await this.clock.until(condition, limit_ms);
    assert.ok(held, `${what}: voters ${this.voters()}\n${this.lines.slice(-20).join('\n')}`);
  }

  /** Lets time pass until `promise` is answered. */
  async wait<T>(promise: Promise<T>, limit_ms = 30_000): Promise<T> {
    let over = false;
    const done = () => {
      over = true;
    };
    promise.then(done, done);
    await this.until(() => over, limit_ms, 'no answer');
    return promise;
  }

  /** The group has a leader, and commits. */
  async commits(): Promise<void> {
    await this.until(() => this.leader() !== undefined, 20_000, 'no leader');
    await this.wait(this.leader()!.replica.propose(new Uint8Array([1])));
  }

  async end(): Promise<void> {
    for (const { env } of this.members.values()) assert.equal(env.fatal_reason, null);
    const closing = [...this.members.values()].map(({ replica, tender }) => {
      tender?.tender.stop();
      return replica.close();
    });
    await Promise.all(closing);
  }
}
