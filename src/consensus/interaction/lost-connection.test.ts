/**
 * Event-driven failure detection: what happens when connections to the leader close, in ticks and word for word; and the
 * behaviours of the widely used Go implementation about forgetting a leader. Script -> test here.
 *
 * | script | here |
 * |---|---|
 * | forget_leader | a follower that forgot the leader follows it again at its next word; nobody else forgets by being told to |
 * | forget_leader_prevote_checkquorum | one closed connection disturbs nobody …; a majority that forgot elects at once |
 * | forget_leader_read_only_lease_based | reads never rest on a lease here, so forgetting is never refused; what the age of the quorum still says then: the last test |
 *
 * A *site* in the tests of duration is a network in which each message takes a number of ticks.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { default_timing } from '../api.ts';
import { campaignDelay } from '../campaign-delay.ts';
import { configurationOf } from '../configuration.ts';
import { TestCluster } from '../test-cluster.ts';
import type { MemberId, Message } from '../types.ts';
import { between, noHeartbeat, recorded, Site } from './test-scene.ts';

const { election_ticks, heartbeat_ticks } = default_timing;

function led(voters: readonly MemberId[], seed = 1): TestCluster {
  const cluster = new TestCluster(voters, { seed, options: { election_ticks, heartbeat_ticks } });
  cluster.elect(voters[0]!);
  cluster.ticks(heartbeat_ticks);
  return cluster;
}

/** What the replica does when the transport says that the connection to `leader` closed. */
function closed(cluster: TestCluster, id: MemberId, leader: MemberId): void {
  const { configuration } = cluster.status(id);
  cluster.core(id).leaderLost(leader, campaignDelay(configuration, id, leader));
}

test('a closed connection starts a pre-vote at once, and while the others hear the leader that is all', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => between(m, 1, 2);
  const said = recorded(cluster, noHeartbeat);
  closed(cluster, 2, 1);
  assert.equal(cluster.status(2).role, 'pre-candidate', 'inside the call: no tick has passed');
  cluster.settle();
  assert.deepEqual(said, ['2>1 t2 pre-vote? log 1/1', '2>3 t2 pre-vote? log 1/1', '3>2 t1 pre-vote no']);
  // For as long as it stays so: asked again and again, with a back-off, and no term is raised.
  cluster.ticks(20 * election_ticks);
  const asked = said.filter((of) => of.startsWith('2>3')).length;
  assert.ok(asked >= 20 && asked <= 40 + 6, `${asked} pre-votes in 20 election timeouts`);
  assert.deepEqual(
    [1, 2, 3].map((id) => cluster.status(id).term),
    [1, 1, 1],
  );
  assert.deepEqual([cluster.leader(), cluster.status(3).leader], [1, 1]);
  // The link is back.
  cluster.cut = () => false;
  cluster.ticks(heartbeat_ticks);
  assert.deepEqual([cluster.status(2).role, cluster.status(2).leader], ['follower', 1]);
});

test('a follower that forgot the leader follows it again at its next word', () => {
  const cluster = led([1, 2, 3]);
  const said = recorded(cluster, noHeartbeat);
  cluster.core(3).leaderLost(1, 2 * heartbeat_ticks);
  assert.deepEqual([cluster.status(3).leader, cluster.status(3).role], [0, 'follower']);
  cluster.ticks(heartbeat_ticks);
  assert.equal(cluster.status(3).leader, 1);
  cluster.ticks(10 * heartbeat_ticks);
  assert.deepEqual(said, [], 'its campaign was called off');
});

test('nobody else forgets by being told to: the leader itself, a candidate, who follows another', () => {
  const cluster = led([1, 2, 3]);
  cluster.core(1).leaderLost(1, 0);
  assert.deepEqual([cluster.status(1).role, cluster.status(1).leader], ['leader', 1]);
  cluster.core(2).leaderLost(3, 0);
  assert.deepEqual([cluster.status(2).role, cluster.status(2).leader], ['follower', 1]);
  closed(cluster, 2, 1);
  cluster.pump(2);
  const said = recorded(cluster);
  closed(cluster, 2, 1);
  cluster.pump(2);
  assert.deepEqual(said, [], 'it knows no leader that it could lose once more');
});

test('a learner that lost its connection asks for no votes', () => {
  const cluster = new TestCluster([1, 2], { learners: [3] });
  cluster.elect(1);
  cluster.ticks(2);
  const said = recorded(cluster, noHeartbeat);
  closed(cluster, 3, 1);
  cluster.settle();
  assert.deepEqual([cluster.status(3).leader, said], [0, []]);
  cluster.ticks(2);
  assert.equal(cluster.status(3).leader, 1);
});

test('a majority that forgot elects at once, word for word, and the old leader goes when it hears of it', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => m.to === 1;
  const said = recorded(cluster, (m) => m.from !== 1);
  for (const id of [2, 3]) closed(cluster, id, 1);
  cluster.settle();
  assert.deepEqual(said.slice(0, 6), [
    '2>1 t2 pre-vote? log 1/1',
    '2>3 t2 pre-vote? log 1/1',
    '3>2 t2 pre-vote yes',
    '2>1 t2 vote? log 1/1',
    '2>3 t2 vote? log 1/1',
    '3>2 t2 vote yes',
  ]);
  assert.equal(cluster.status(2).role, 'leader', 'without a tick');
  assert.equal(cluster.status(1).role, 'leader', 'it has heard of nothing');
  cluster.cut = () => false;
  cluster.ticks(heartbeat_ticks);
  assert.deepEqual([cluster.status(1).role, cluster.status(1).leader], ['follower', 2]);
});

test('the first by number goes first, each of the others a pre-vote and a vote later', () => {
  const five = configurationOf([1, 2, 3, 4, 5]);
  const delays = (leader: MemberId): number[] =>
    five.voters.filter((id) => id !== leader).map((id) => campaignDelay(five, id, leader));
  assert.deepEqual(
    [delays(1), delays(3), delays(5)],
    [
      [0, 2, 4, 6],
      [0, 2, 4, 6],
      [0, 2, 4, 6],
    ],
  );
  const joint = { ...configurationOf([1, 2]), voters_outgoing: [2, 3] };
  assert.deepEqual(
    [campaignDelay(joint, 1, 2), campaignDelay(joint, 3, 2)],
    [0, 2],
    'both halves, nobody twice',
  );
});

/** Ticks until somebody leads when `first` dies and all others see it at once, in a site of `hop_ticks`. */
function ticksToLeader(
  voters: readonly MemberId[],
  seed: number,
  hop_ticks: number,
  staggered: boolean,
  cut: (m: Message) => boolean = () => false,
): number {
  const cluster = led(voters, seed);
  cluster.cut = cut;
  const dead = voters[0]!;
  cluster.crash(dead);
  cluster.lose(0);
  for (const id of voters.slice(1)) {
    if (staggered) closed(cluster, id, dead);
    else cluster.core(id).leaderLost(dead, 0);
  }
  const site = new Site(cluster, hop_ticks);
  for (site.arrive(); cluster.leader() === 0; site.arrive()) {
    if (site.now > 100 * election_ticks) return Number.POSITIVE_INFINITY;
    site.tick();
  }
  return site.now;
}

const seeds = 60;
const sizes = [
  [1, 2, 3],
  [1, 2, 3, 4],
  [1, 2, 3, 4, 5],
  [1, 2, 3, 4, 5, 6, 7],
];

/** Of all seeds, in rising order. */
function durations(voters: readonly MemberId[], hop_ticks: number, staggered: boolean): number[] {
  const ticks: number[] = [];
  for (let seed = 1; seed <= seeds; seed++) ticks.push(ticksToLeader(voters, seed, hop_ticks, staggered));
  return ticks.sort((a, b) => a - b);
}

test('all see the leader die at once: one leads after four messages, never a split, while a message takes less than the stagger', () => {
  for (const [hop_ticks, expected] of [
    [0, 0],
    [1, 4],
  ] as const) {
    for (const voters of sizes) {
      assert.deepEqual(
        new Set(durations(voters, hop_ticks, true)),
        new Set([expected]),
        `${voters.length} voters`,
      );
    }
  }
});

test('slower than the stagger the vote may be split, but not for ever: bounds in election timeouts', () => {
  for (const [hop_ticks, usual, at_most] of [
    [2, 1, 1],
    [4, 1.5, 2],
  ] as const) {
    for (const voters of sizes) {
      const ticks = durations(voters, hop_ticks, true);
      const what = `${voters.length} voters, ${hop_ticks} ticks a message: ${ticks.join(' ')}`;
      assert.ok(ticks[Math.floor(0.9 * seeds)]! <= usual * election_ticks, what);
      assert.ok(ticks.at(-1)! <= at_most * election_ticks, what);
    }
  }
});

test('slower than the stagger most votes of three are not split: the higher number stands back for the lower', () => {
  for (const hop_ticks of [2, 3]) {
    const ticks = durations([1, 2, 3], hop_ticks, true);
    // A pre-vote and a vote, each asked and answered.
    const at_once = ticks.filter((of) => of === 4 * hop_ticks).length;
    assert.ok(at_once >= seeds / 2, `${hop_ticks} ticks a message: ${ticks.join(' ')}`);
  }
});

test('standing back for one that cannot win costs little: it reaches nobody else, and asks again and again', () => {
  for (const hop_ticks of [0, 1, 2, 4]) {
    for (let seed = 1; seed <= seeds; seed++) {
      const unreached = ({ from, to }: Message): boolean => [from, to].includes(2) && ![from, to].includes(3);
      const ticks = ticksToLeader([1, 2, 3, 4, 5], seed, hop_ticks, true, unreached);
      assert.ok(ticks <= 2 * election_ticks, `${hop_ticks} ticks a message, seed ${seed}: ${ticks} ticks`);
    }
  }
});

test('even if nothing but chance told them apart, one leads within two election timeouts', () => {
  for (const hop_ticks of [0, 1]) {
    for (const voters of sizes) {
      const ticks = durations(voters, hop_ticks, false);
      assert.ok(ticks.at(-1)! <= 2 * election_ticks, `${voters.length} voters: ${ticks.join(' ')}`);
    }
  }
});

test('those that cannot win do not keep the one that can from winning: the first by number is behind', () => {
  const cluster = led([1, 2, 3, 4, 5]);
  cluster.cut = (m) => m.to === 2 || m.to === 3;
  cluster.propose(1, 'a');
  cluster.settle();
  cluster.crash(1);
  cluster.cut = () => false;
  cluster.lose(0);
  for (const id of [2, 3, 4, 5]) closed(cluster, id, 1);
  cluster.ticksUntil(() => cluster.leader() !== 0, 'a leader', 6);
  assert.equal(cluster.leader(), 4);
  assert.equal(cluster.status(4).term, 2, 'the refused pre-votes raised no term');
});

/**
 * A difference on purpose. Others serve reads by a lease: as long as a quorum is younger than an election timeout nobody
 * else leads. Here followers whose connections close elect within ticks, which is worth more than such a lease: so
 * nothing that is read, granted or committed rests on the age of the quorum.
 */
test('a quorum younger than an election timeout is no lease: another may lead; the old leader can commit and confirm nothing', () => {
  const cluster = led([1, 2, 3]);
  cluster.cut = (m) => m.from === 1 || m.to === 1;
  for (const id of [2, 3]) closed(cluster, id, 1);
  cluster.settle();
  assert.deepEqual([cluster.status(1).role, cluster.status(2).role], ['leader', 'leader']);
  assert.ok(cluster.core(1).quorumAgeTicks() < election_ticks, 'its quorum is young');
  const { commit } = cluster.status(1);
  assert.equal(cluster.core(1).requestRead(1), true);
  cluster.propose(1, 'lost');
  cluster.propose(2, 'kept');
  while (cluster.status(1).role === 'leader') cluster.ticks(1);
  assert.deepEqual([cluster.status(1).commit, cluster.member(1).reads], [commit, []]);
  cluster.cut = () => false;
  cluster.ticksUntil(() => cluster.commands(1).length > 0, 'it hears of its successor');
  assert.deepEqual([cluster.commands(1), cluster.member(1).reads_failed], [['kept'], [1]]);
});
