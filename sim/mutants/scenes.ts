/**
 * Scenes: what no swarm judges, because in general it is no promise. In each, a few members are brought into one
 * situation in which the answer is known: who must keep the lead, who must give it up, who must get all entries. The
 * seed draws the election timers.
 */
import assert from 'node:assert/strict';
import { Compactor, compactor_limits } from '../../src/consensus/compactor.ts';
import {
  bootstrapLog,
  configurationOf,
  type MemberId,
  type Message,
  openLogStore,
} from '../../src/consensus/index.ts';
import { SnapshotReceiver } from '../../src/consensus/snapshot-receiver.ts';
import { transfer_limits } from '../../src/consensus/snapshot-transfer.ts';
import { seededRandom, TestCluster } from '../../src/consensus/test-cluster.ts';
import { Cluster, election_ms, ListMachine } from '../../src/consensus/test-replicas.ts';
import { VirtualClock, VirtualNode } from '../../src/consensus/virtual-env.ts';
import { SimDisk } from '../raft/disk.ts';

type Scene = (seed: number) => void | Promise<void>;

/** Of the cores below. */
const election_ticks = 10;
const patience = 8 * election_ticks;

function group(seed: number, count: number): TestCluster {
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  const cluster = new TestCluster(ids, { seed, options: { random: seededRandom(seed) } });
  cluster.elect(1);
  cluster.ticks(3);
  return cluster;
}

function stillLeads(cluster: TestCluster, id: MemberId, term: number): void {
  const status = cluster.status(id);
  assert.deepEqual(
    { role: status.role, term: status.term },
    { role: 'leader', term },
    'a lead that nothing was wrong with',
  );
}

const isOld = (id: MemberId): boolean => id === 2 || id === 3;
const isNew = (id: MemberId): boolean => id === 4 || id === 5;

/** 1 leads 2 and 3, and begins to put 4 and 5 in their place while `cut` holds. */
function joining(seed: number, cut: (m: Message) => boolean): { cluster: TestCluster; before: number } {
  const cluster = group(seed, 3);
  const before = cluster.status(1).commit;
  cluster.add(4);
  cluster.add(5);
  cluster.cut = cut;
  cluster.core(1).proposeChange([
    { type: 'add-voter', id: 4 },
    { type: 'add-voter', id: 5 },
    { type: 'remove', id: 2 },
    { type: 'remove', id: 3 },
  ]);
  cluster.settle();
  assert.deepEqual(cluster.status(1).configuration.voters_outgoing, [1, 2, 3]);
  return { cluster, before };
}

const all: Readonly<Record<string, Scene>> = {
  'nobody answers the leader': (seed) => {
    const cluster = group(seed, 3);
    cluster.cut = (m) => m.to === 1;
    cluster.ticksUntil(() => cluster.status(1).role !== 'leader', 'the leader steps down', patience);
    cluster.ticksUntil(() => cluster.leader() > 1, 'another leads', 2 * patience);
  },

  'a member cannot hear': (seed) => {
    const cluster = group(seed, 3);
    const { term } = cluster.status(1);
    cluster.cut = (m) => m.from === 1 && m.to === 3;
    cluster.ticks(patience);
    stillLeads(cluster, 1, term);
  },

  'a member comes back': (seed) => {
    const cluster = group(seed, 3);
    const { term } = cluster.status(1);
    cluster.cut = (m) => m.from === 3 || m.to === 3;
    cluster.ticks(patience);
    cluster.cut = () => false;
    cluster.ticks(patience);
    stillLeads(cluster, 1, term);
  },

  'a late timeout-now': (seed) => {
    const cluster = group(seed, 3);
    const earlier = cluster.status(1).term;
    cluster.elect(2);
    const { term } = cluster.status(2);
    cluster.core(3).step({ type: 'timeout-now', from: 1, to: 3, term: earlier });
    cluster.settle();
    cluster.ticks(election_ticks);
    stillLeads(cluster, 2, term);
  },

  'a lead handed over': (seed) => {
    const cluster = group(seed, 3);
    cluster.cut = (m) => m.to === 1 && m.from === 3 && m.term > 0 && cluster.status(3).role !== 'follower';
    cluster.core(1).transfer(3);
    cluster.ticksUntil(() => cluster.status(3).role === 'leader', 'the heir leads', patience);
    const old = cluster.status(1);
    if (old.role !== 'leader' || old.term >= cluster.status(3).term) return;
    assert.ok(
      cluster.core(1).quorumAgeTicks() >= election_ticks,
      'the old leader counts its quorum as fresh',
    );
  },

  'a deaf member asks': (seed) => {
    const cluster = group(seed, 5);
    cluster.crash(1);
    cluster.cut = (m) => m.to === 5;
    cluster.ticksUntil(() => cluster.leader() > 1, 'one of the others leads', 12 * election_ticks);
  },

  'many entries': (seed) => {
    const cluster = group(seed, 3);
    const { term } = cluster.status(1);
    for (let i = 0; i < 40; i++) {
      assert.ok(cluster.propose(1, `value ${i}`) > 0);
      if (i % 3 === 0) cluster.settle();
    }
    cluster.ticks(election_ticks);
    stillLeads(cluster, 1, term);
    for (const id of [1, 2, 3]) assert.equal(cluster.commands(id).length, 40, `what member ${id} has`);
  },

  'a damaged voter': (seed) => {
    const cluster = group(seed, 3);
    cluster.cut = (m) => m.to === 3 || m.from === 3;
    cluster.propose(1, 'acknowledged');
    cluster.settle();
    assert.equal(cluster.commands(1).length, 1);
    cluster.crash(2);
    cluster.damage(2, false);
    cluster.restart(2);
    cluster.crash(1);
    cluster.cut = () => false;
    cluster.ticks(patience);
    assert.equal(cluster.leader(), 0, 'nobody may lead');
  },

  'a damaged copy': (seed) => {
    const cluster = group(seed, 3);
    cluster.crash(2);
    cluster.damage(2, false);
    cluster.restart(2);
    cluster.ticks(election_ticks);
    cluster.cut = (m) => m.to === 3 || m.from === 3;
    const leader = cluster.leader();
    const { commit } = cluster.status(leader);
    const read = cluster.core(leader).requestRead(77);
    cluster.propose(leader, 'more');
    cluster.settle();
    cluster.ticks(3);
    assert.equal(cluster.status(leader).commit, commit, 'what the damaged member helped to commit');
    const { reads } = cluster.member(leader);
    assert.ok(
      !read || !reads.some(({ context }) => context === 77),
      'a read was confirmed by the damaged member',
    );
  },

  // A joint configuration needs a majority of either half (thesis, section 4.3).
  'the new half alone': (seed) => {
    const { cluster, before } = joining(seed, (m) => isOld(m.from) !== isOld(m.to));
    assert.equal(cluster.status(1).commit, before, 'committed by the new half alone');
    cluster.crash(1);
    for (let tick = 0; tick < 2 * patience; tick++) {
      cluster.ticks(1);
      for (const id of [4, 5])
        assert.notEqual(cluster.status(id).role, 'leader', 'elected by the new half alone');
    }
  },

  'the old half alone': (seed) => {
    const { cluster, before } = joining(seed, (m) => isNew(m.from) !== isNew(m.to));
    assert.equal(cluster.status(1).commit, before, 'committed by the old half alone');
  },

  'two changes at once': (seed) => {
    const cluster = group(seed, 3);
    const before = cluster.status(1).commit;
    cluster.add(4);
    cluster.add(5);
    cluster.cut = (m) => isOld(m.from) !== isOld(m.to);
    for (const id of [4, 5]) {
      cluster.core(1).proposeChange([{ type: 'add-voter', id }]);
      cluster.settle();
    }
    assert.equal(cluster.status(1).commit, before, 'committed without a majority of those who voted before');
  },

  'a change that never was': (seed) => {
    const cluster = group(seed, 3);
    cluster.add(4);
    cluster.cut = (m) => m.from === 1 || m.to === 1;
    cluster.core(1).proposeChange([{ type: 'add-voter', id: 4 }]);
    cluster.settle();
    cluster.ticksUntil(() => cluster.leader() > 1, 'another leads', 2 * patience);
    cluster.cut = () => false;
    cluster.ticks(patience);
    assert.deepEqual(
      cluster.status(1).configuration.voters,
      [1, 2, 3],
      'the configuration of a change that was replaced',
    );
  },

  'a read after the answers': (seed) => {
    const cluster = group(seed, 3);
    cluster.tick(1);
    cluster.tick(1);
    cluster.pump(1);
    const asked = cluster.queue.filter((m) => m.type === 'heartbeat').length;
    for (let n = cluster.queue.length; n > 0; n--) cluster.deliver();
    cluster.pump(2);
    cluster.pump(3);
    assert.ok(asked === 2 && cluster.queue.length >= 2, 'a round is under way, and answered');
    cluster.cut = (m) => m.from === 1;
    assert.ok(cluster.core(1).requestRead(77));
    cluster.pump(1);
    cluster.settle();
    const answered = cluster.member(1).reads.some(({ context }) => context === 77);
    assert.ok(!answered, 'a read was confirmed by answers that were given before it');
  },

  // The counterexample to changes of one voter each (raft-dev, 2015): two leaders change the same base.
  'a change by a new leader': (seed) => {
    const cluster = group(seed, 4);
    cluster.add(5);
    const old = new Set([1, 5]);
    const apart = (m: Message) => old.has(m.from) !== old.has(m.to);
    cluster.cut = apart;
    cluster.core(1).proposeChange([{ type: 'add-voter', id: 5 }]);
    cluster.settle();
    cluster.cut = (m) => apart(m) || m.type === 'append';
    const successor = () => [2, 3, 4].find((id) => cluster.status(id).role === 'leader') ?? 0;
    cluster.ticksUntil(() => successor() !== 0, 'one of the majority leads', 4 * patience);
    const leader = successor();
    const [follower = 0, third = 0] = [2, 3, 4].filter((id) => id !== leader);
    cluster.core(leader).proposeChange([{ type: 'remove', id: 1 }]);
    cluster.cut = (m) => apart(m) || m.from === third || m.to === third;
    cluster.settle();
    cluster.cut = (m) => [leader, follower].includes(m.from) !== [leader, follower].includes(m.to);
    const { term } = cluster.status(leader);
    const rival = () =>
      [1, 5, third].some((id) => cluster.status(id).role === 'leader' && cluster.status(id).term > term);
    for (let tick = 0; tick < 2 * patience && !rival(); tick++) cluster.ticks(1);
  },

  // What a leader of a later term sends that probes while its window is full. It has other entries where 3 has its tail.
  'an append without entries': (seed) => {
    const cluster = group(seed, 3);
    const { commit, term } = cluster.status(1);
    cluster.cut = (m) => m.from === 3 || m.to === 2;
    cluster.propose(1, 'not committed');
    cluster.propose(1, 'nor this');
    cluster.settle();
    assert.equal(cluster.status(3).last_index, commit + 2);
    const told: number[] = [];
    cluster.onSend = (m) => {
      if (m.type === 'append-reply' && m.from === 3 && m.ok) told.push(m.index);
    };
    const place = { prev_index: commit, prev_term: term, entries: [], commit: commit + 2 };
    cluster.core(3).step({ type: 'append', from: 2, to: 3, term: term + 1, ...place });
    cluster.pump(3);
    assert.deepEqual(told, [commit], 'acknowledged');
    assert.equal(cluster.status(3).commit, commit, 'taken for committed');
  },

  'a tail behind a snapshot': (seed) => {
    const cluster = group(seed, 3);
    for (const text of ['one', 'two', 'three']) cluster.propose(1, text);
    cluster.cut = (m) => m.to === 2 && m.type === 'append' && m.entries.length === 0;
    cluster.settle();
    const { commit, last_index, configuration } = cluster.status(2);
    const meta = { index: commit + 1, term: cluster.status(1).term, configuration };
    assert.ok(meta.index < last_index, 'entries were acknowledged that it does not know to be committed');
    cluster.core(2).installed(meta);
    assert.equal(cluster.status(2).last_index, last_index, 'what was acknowledged behind the snapshot');
  },

  'a snapshot with a bad hash': async () => {
    let installed = 0;
    const clock = new VirtualClock(1);
    const receiver = new SnapshotReceiver({
      id: 2,
      env: new VirtualNode('m2', clock),
      limits: transfer_limits,
      send: () => undefined,
      accepts: () => true,
      commit: () => 0,
      install: async () => {
        installed += 1;
        return true;
      },
    });
    const envelope = { from: 1, to: 2, term: 1, transfer: 5 } as const;
    const meta = { index: 9, term: 1, configuration: configurationOf([1, 2]) };
    receiver.onOffer({ type: 'snapshot-offer', ...envelope, meta });
    const chunk = { type: 'snapshot-chunk', ...envelope } as const;
    await receiver.onChunk({ ...chunk, sequence: 0, data: new Uint8Array([1]), hash: new Uint8Array(0) });
    await receiver.onChunk({ ...chunk, sequence: 1, data: new Uint8Array(0), hash: new Uint8Array(32) });
    assert.equal(installed, 0, 'it was installed');
  },

  'a snapshot and a later change': async () => {
    const disk = new SimDisk().attach(() => null);
    await bootstrapLog(disk, configurationOf([1]));
    const start = { index: 1, term: 1, configuration: configurationOf([1]) };
    const machine = new ListMachine({ image: { meta: start, values: [] } });
    const compactor = new Compactor(
      machine,
      await openLogStore(disk, { reserve_bytes: 0 }),
      compactor_limits,
      start,
    );
    compactor.configurationChanged(5, configurationOf([1, 2]));
    compactor.configurationChanged(9, configurationOf([2, 3]));
    const { configuration } = compactor.withConfiguration({ ...start, index: 7 });
    assert.deepEqual(configuration.voters, [1, 2], 'the configuration as of its index');
  },

  'a leader stood still': async (seed) => {
    const cluster = await Cluster.of(3, seed);
    const old = await cluster.settled();
    old.node.freeze();
    const successor = () => cluster.leaders().find((member) => member.id !== old.id);
    await cluster.until(() => successor() !== undefined, 20 * election_ms, 'a successor');
    const { term } = successor()!.replica.status();
    // The first thing that happens in a process that goes on may be a question, before any frame that waits is read.
    const now = old.replica.status();
    old.node.thaw();
    assert.ok(now.role !== 'leader' || now.term >= term, 'it says that it leads');
    await cluster.end();
  },
};

/** Plays every scene. @throws Error naming the one that went wrong */
export async function playAll(seed: number): Promise<void> {
  for (const [name, scene] of Object.entries(all)) {
    try {
      await scene(seed);
    } catch (error) {
      throw new Error(`scene ${name}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}
