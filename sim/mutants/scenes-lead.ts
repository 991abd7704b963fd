/** Who must keep the lead, who must give it up, and what a leader may rely on. */
import assert from 'node:assert/strict';
import { Cluster, election_ms } from '../../src/consensus/test-replicas.ts';
import { election_ticks, group, patience, type Scenes, stillLeads } from './scene.ts';

export const lead_scenes: Scenes = {
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

  // Two candidates ask in the same term, and between the two the voter loses power.
  'a voter comes back': (seed) => {
    const cluster = group(seed, 5);
    const term = cluster.status(1).term + 1;
    const granted: number[] = [];
    cluster.onSend = (m) => {
      if (m.type === 'vote-reply' && m.from === 5 && m.term === term && m.granted && !m.pre)
        granted.push(m.to);
    };
    for (const from of [2, 3]) {
      cluster.crash(5);
      cluster.restart(5);
      const { last_index } = cluster.status(from);
      const log = { last_index, last_term: cluster.status(1).term };
      cluster.core(5).step({ type: 'vote', from, to: 5, term, ...log, pre: false, transfer: false });
      cluster.pump(5);
    }
    assert.deepEqual(granted, [2], `whom it voted for in term ${term}`);
  },

  'a deaf member asks': (seed) => {
    const cluster = group(seed, 5);
    cluster.crash(1);
    cluster.cut = (m) => m.to === 5;
    cluster.ticksUntil(() => cluster.leader() > 1, 'one of the others leads', 12 * election_ticks);
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
};
