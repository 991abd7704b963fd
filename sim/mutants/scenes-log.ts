/** Logs, snapshots, and damage: who must get all entries, and what counts as a copy. */
import assert from 'node:assert/strict';
import { Compactor, compactor_limits } from '../../src/consensus/compactor.ts';
import { bootstrapLog, configurationOf, type Message, openLogStore } from '../../src/consensus/index.ts';
import { SnapshotReceiver } from '../../src/consensus/snapshot-receiver.ts';
import { transfer_limits } from '../../src/consensus/snapshot-transfer.ts';
import { ListMachine } from '../../src/consensus/test-replicas.ts';
import { VirtualClock, VirtualNode } from '../../src/consensus/virtual-env.ts';
import { SimDisk } from '../raft/disk.ts';

import { election_ticks, group, patience, type Scenes, stillLeads } from './scene.ts';

export const log_scenes: Scenes = {
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

  // Figure 3.7 of the thesis, (c): an entry of an earlier term reaches a majority, and a rival's may take its place yet.
  'an entry of an earlier term': (seed) => {
    const cluster = group(seed, 3);
    const { commit, term } = cluster.status(1);
    cluster.cut = (m) => m.from === 1;
    // As large as an append may be: what comes after it travels in the next one.
    const index = cluster.propose(1, 'x'.repeat(65));
    cluster.settle();
    const others = [2, 3];
    cluster.cut = (m) => m.from === 1 || m.to === 1 || m.type === 'append';
    const rivals = () => others.filter((id) => cluster.status(id).role === 'leader');
    cluster.ticksUntil(() => rivals().length > 0, 'a rival leads', 4 * patience);
    const [rival = 0] = rivals();
    const third = 5 - rival;
    assert.ok(cluster.status(rival).last_index === index && cluster.status(third).last_index === commit);
    const later = (m: Message) => m.type === 'append' && m.entries.some((entry) => entry.index > index);
    cluster.cut = (m) => m.from === rival || m.to === rival || later(m);
    const again = () => cluster.status(1).role === 'leader' && cluster.status(1).term > term;
    cluster.ticksUntil(again, 'it leads again', 8 * patience);
    cluster.ticks(3);
    assert.equal(cluster.status(third).last_index, index, 'a majority has it');
    assert.equal(cluster.status(1).commit, commit, 'committed by the number of its copies');
    // Nobody has called it committed, so the rival may replace it.
    cluster.cut = (m) => m.from === 1 || m.to === 1;
    cluster.crash(1);
    cluster.ticksUntil(() => cluster.leader() > 1, 'another leads', 8 * patience);
    cluster.restart(1);
    cluster.cut = () => false;
    cluster.ticks(patience);
    cluster.checkLogs();
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
};
