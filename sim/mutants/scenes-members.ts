/** Changes of the members: who must not decide alone. */
import assert from 'node:assert/strict';
import type { MemberId, Message } from '../../src/consensus/index.ts';
import { seededRandom, TestCluster } from '../../src/consensus/test-cluster.ts';
import { group, patience, type Scenes } from './scene.ts';

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
  const { voters_outgoing } = cluster.status(1).configuration;
  assert.deepEqual(voters_outgoing, [1, 2, 3], 'the change went through without one of its halves');
  return { cluster, before };
}

export const member_scenes: Scenes = {
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

  'half of an even group': (seed) => {
    const cluster = group(seed, 4);
    const { commit } = cluster.status(1);
    cluster.cut = (m) => m.to > 2 || m.from > 2;
    cluster.propose(1, 'on two of four');
    cluster.settle();
    assert.equal(cluster.status(2).last_index, commit + 1, 'one other has it');
    assert.equal(cluster.status(1).commit, commit, 'committed by half of the members');
  },

  'copies on learners': (seed) => {
    const options = { random: seededRandom(seed) };
    const cluster = new TestCluster([1, 2, 3], { seed, learners: [4, 5], options });
    cluster.elect(1);
    cluster.ticks(3);
    const { commit } = cluster.status(1);
    cluster.cut = (m) => isOld(m.from) || isOld(m.to);
    cluster.propose(1, 'learnt');
    cluster.settle();
    assert.equal(cluster.status(4).last_index, commit + 1, 'the learners have it');
    assert.equal(cluster.status(1).commit, commit, 'committed by those that do not vote');
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

  // A relay's report says what its sender could have got wrong; only the member's own answer is a copy.
  'a report of a relay': (seed) => {
    const options = { random: seededRandom(seed), relays: { over: 1, fan_out: 2 } };
    const cluster = new TestCluster([1, 2, 3], { seed, learners: [4, 5, 6, 7], options });
    cluster.elect(1);
    const relayed = () => cluster.progress(1).find(({ via }) => via !== undefined);
    cluster.ticksUntil(() => relayed() !== undefined, 'a learner hangs below a relay', patience);
    const { id, via = 0 } = relayed()!;
    let round = 0;
    cluster.onSend = (m) => {
      if (m.type === 'heartbeat' && m.from === 1) round = m.round;
    };
    cluster.cut = (m) => m.type === 'append';
    const index = cluster.propose(1, 'not committed');
    cluster.tick(1);
    cluster.tick(1);
    cluster.pump(1);
    const { term, commit } = cluster.status(1);
    assert.ok(round > 0 && commit < index);
    const reports = [{ id, match: index, round }];
    cluster.core(1).step({ type: 'heartbeat-reply', from: via, to: 1, term, round, reports });
    assert.ok(cluster.core(1).proposeChange([{ type: 'add-voter', id }]).ok);
    assert.equal(cluster.progress(1).find((of) => of.id === id)?.match, index, 'the report was taken');
    // One of four has it besides the leader, and the newcomer only as it was reported.
    const copy = { ok: true, index, hint_index: 0, hint_term: 0 } as const;
    cluster.core(1).step({ type: 'append-reply', from: 2, to: 1, term, ...copy });
    cluster.settle();
    assert.equal(cluster.status(1).commit, commit, 'committed by what a relay reported');
  },
};
