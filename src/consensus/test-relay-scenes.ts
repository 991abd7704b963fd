/**
 * For relay.test.ts: five voters and many learners in virtual time, over a network that closes and cuts. Each scene runs in
 * a thread of its own: the test runner follows every promise, which makes a million of them twenty times as slow.
 */
import assert from 'node:assert/strict';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { seededRandom } from './test-cluster.ts';
import { bytes, Cluster, timing } from './test-replicas.ts';
import type { MemberId } from './types.ts';
import { decodeFrame } from './wire.ts';

const voters = [1, 2, 3, 4, 5];
const heartbeat_ms = timing.tick_ms * timing.heartbeat_ticks;
/** Detection of a silent relay, the move, and what was missed. */
const bounded_ms = 20 * heartbeat_ms;

const upTo = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

interface Cost {
  messages: number;
  bytes: number;
}

/** A group of five voters and `learners` learners, from 6 on. */
async function groupOf(learners: number, seed = 1, limits: ConstructorParameters<typeof Cluster>[1] = {}) {
  const cluster = await Cluster.of(voters.length, seed, limits);
  const ids = upTo(voters.length + 1, learners);
  for (const id of ids) await cluster.found(id, { ...empty });
  await cluster.wait(
    cluster.replica(1).changeMembers(ids.map((id) => ({ type: 'add-learner', id }) as const)),
  );
  return { cluster, ids };
}
const empty = { voters: [], voters_outgoing: [], learners: [], learners_next: [], auto_leave: false };

/** Looks every tick only: to ask sixty members after every event would cost more than they do. */
async function until(cluster: Cluster, holds: () => boolean, limit_ms: number, what: string): Promise<void> {
  const end_ms = cluster.clock.now_ms() + limit_ms;
  while (!holds()) {
    assert.ok(cluster.clock.now_ms() < end_ms, cluster.trace(what));
    await cluster.clock.run(timing.tick_ms);
  }
}

const progressOf = (cluster: Cluster) => cluster.leaders()[0]?.replica.progress() ?? [];
const parentOf = (cluster: Cluster, id: MemberId) => progressOf(cluster).find((of) => of.id === id)?.via ?? 0;
const relaysOf = (cluster: Cluster) => [
  ...new Set(progressOf(cluster).flatMap(({ via }) => (via === undefined ? [] : [via]))),
];

/** Until relays feed all learners but those that the leader feeds itself. */
async function planted(cluster: Cluster, live: number): Promise<void> {
  const relayed = () => progressOf(cluster).filter(({ via }) => via !== undefined).length;
  await until(cluster, () => relayed() >= live - 16, bounded_ms, `relays feed ${live - 16} learners`);
}

/** Proposes every `pace_ms` of virtual time until it is told to stop; answers are not awaited. */
function load(
  cluster: Cluster,
  pace_ms = 50,
): { stop: () => void; count: () => number; commits: () => readonly [number, number][] } {
  const commits: [number, number][] = [];
  let on = true;
  let count = 0;
  const next = (): void => {
    if (!on) return;
    const leader = cluster.leaders()[0];
    if (leader !== undefined) {
      leader.replica.propose(bytes(`v${count}`)).then(
        () => count++,
        () => undefined,
      );
      commits.push([cluster.clock.now_ms(), leader.replica.status().commit]);
    }
    cluster.clock.after(pace_ms, next);
  };
  next();
  return {
    stop: () => {
      on = false;
    },
    count: () => count,
    commits: () => commits,
  };
}

/** Those of `ids` that have not applied what was committed a second (virtual) ago. */
function late(cluster: Cluster, ids: readonly MemberId[], commits: readonly (readonly [number, number])[]) {
  const then = commits.findLast(([at]) => at <= cluster.clock.now_ms() - 1000)?.[1] ?? 0;
  return ids.filter((id) => {
    const member = cluster.members.get(id);
    return member !== undefined && member.replica.status().applied < then;
  });
}

/** Counts what the leader sends and receives. */
function meter(cluster: Cluster, leader: MemberId): { take: () => Cost } {
  let cost: Cost = { messages: 0, bytes: 0 };
  cluster.network.filter = (from, to, frame) => {
    if (from === leader || to === leader) {
      cost.messages++;
      cost.bytes += frame.length;
    }
    return true;
  };
  return {
    take: () => {
      const taken = cost;
      cost = { messages: 0, bytes: 0 };
      return taken;
    },
  };
}

async function cost(say: (line: string) => void): Promise<void> {
  const measured = new Map<string, { idle: Cost; busy: Cost }>();
  for (const [name, limits] of [
    ['with relays', {}],
    ['without', { relays: { over: Number.POSITIVE_INFINITY, fan_out: 16 } }],
  ] as const) {
    const { cluster, ids } = await groupOf(60, 1, limits);
    if (name === 'with relays') {
      await planted(cluster, 60);
      assert.equal(progressOf(cluster).filter(({ via }) => via !== undefined).length, 44);
      assert.ok(relaysOf(cluster).every((id) => ids.includes(id)));
    }
    const { take } = meter(cluster, 1);
    take();
    await cluster.clock.run(2500);
    const idle = take();
    const { stop, count } = load(cluster, 10);
    await cluster.clock.run(2500);
    const busy = take();
    stop();
    await cluster.clock.run(1000);
    assert.ok(count() > 225, `${count()} commands`);
    const commit = cluster.replica(1).status().commit;
    for (const id of ids) assert.equal(cluster.replica(id).status().applied, commit, `learner ${id}`);
    for (const { id, match } of progressOf(cluster)) assert.equal(match, commit, `reported of ${id}`);
    const per_s = ({ messages, bytes: sum }: Cost) =>
      `${messages / 2.5} messages, ${Math.round(sum / 2.5)} bytes a second`;
    say(`${name}: idle ${per_s(idle)}; 100 commands a second: ${per_s(busy)}`);
    measured.set(name, { idle, busy });
    await cluster.end();
  }
  const [relayed, direct] = [measured.get('with relays')!, measured.get('without')!];
  assert.ok(relayed.idle.messages * 2 < direct.idle.messages);
  assert.ok(relayed.busy.messages * 2 < direct.busy.messages);
  assert.ok(relayed.busy.bytes * 2 < direct.busy.bytes);
}

async function deaths(_say: unknown, seed: number): Promise<void> {
  const { cluster, ids } = await groupOf(60, seed);
  await planted(cluster, 60);
  const random = seededRandom(seed);
  const { stop, commits } = load(cluster);
  await cluster.clock.run(1000);
  for (let round = 0; round < 12; round++) {
    const relays = relaysOf(cluster).filter((id) => cluster.members.has(id));
    const victim = relays[Math.floor(random() * relays.length)]!;
    // A process that dies is noticed by its connections, a host that falls silent is not.
    if (random() < 0.5) cluster.kill(victim);
    else {
      cluster.network.isolate(victim);
      cluster.member(victim).node.stop();
      cluster.members.delete(victim);
    }
    const live = ids.filter((id) => cluster.members.has(id));
    await cluster.clock.run(random() * 1000);
    await until(
      cluster,
      () => late(cluster, live, commits()).length === 0,
      bounded_ms,
      `${late(cluster, live, commits())} are behind, ${bounded_ms} ms after the death of ${victim}`,
    );
  }
  stop();
  await cluster.end();
}

async function leaders(): Promise<void> {
  const { cluster, ids } = await groupOf(40);
  await planted(cluster, 40);
  const { stop, commits } = load(cluster);
  await cluster.wait(cluster.replica(1).transferLeadership(3));
  await cluster.settled(3);
  await planted(cluster, 40);
  await until(cluster, () => late(cluster, ids, commits()).length === 0, bounded_ms, 'all keep up');
  cluster.kill(3);
  await cluster.settled();
  await planted(cluster, 40);
  await until(cluster, () => late(cluster, ids, commits()).length === 0, bounded_ms, 'all keep up');
  stop();
  await cluster.end();
}

async function cutFromLeader(): Promise<void> {
  const { cluster } = await groupOf(60);
  await planted(cluster, 60);
  const { stop, commits } = load(cluster);
  const relay = relaysOf(cluster)[0]!;
  const below = progressOf(cluster).flatMap(({ id, via }) => (via === relay ? [id] : []));
  assert.ok(below.length > 0);
  cluster.network.cut(1, relay);
  cluster.network.cut(relay, 1);
  // Sooner than by their own silence.
  const moved = () => below.every((id) => parentOf(cluster, id) !== relay);
  await until(cluster, moved, 5 * heartbeat_ms, 'those below get other parents');
  await cluster.clock.run(1000);
  await until(cluster, () => late(cluster, below, commits()).length === 0, bounded_ms, 'those below keep up');
  cluster.network.heal();
  await until(
    cluster,
    () => late(cluster, [relay], commits()).length === 0,
    bounded_ms,
    'the relay catches up',
  );
  stop();
  await cluster.end();
}

/** It answers every heartbeat, and its entries are lost on the way. */
async function behind(): Promise<void> {
  const { cluster } = await groupOf(60);
  await planted(cluster, 60);
  const { stop, commits } = load(cluster);
  const relay = relaysOf(cluster)[0]!;
  const below = progressOf(cluster).flatMap(({ id, via }) => (via === relay ? [id] : []));
  cluster.network.filter = (_from, to, frame) => to !== relay || decodeFrame(frame).type !== 'append';
  const moved = () => below.every((id) => parentOf(cluster, id) !== relay);
  await until(cluster, moved, bounded_ms, 'those below get other parents');
  await cluster.clock.run(1000);
  await until(cluster, () => late(cluster, below, commits()).length === 0, bounded_ms, 'those below keep up');
  stop();
  await cluster.end();
}

async function cutFromChild(_say: unknown, way: number): Promise<void> {
  const ends = [
    [[0, 1]],
    [[1, 0]],
    [
      [0, 1],
      [1, 0],
    ],
  ][way]!;
  const { cluster } = await groupOf(60);
  await planted(cluster, 60);
  const { stop, commits } = load(cluster);
  const { id: child, via: relay } = progressOf(cluster).find(({ via }) => via !== undefined)!;
  const pair = [relay!, child] as const;
  for (const [from, to] of ends) cluster.network.cut(pair[from!]!, pair[to!]!);
  await until(cluster, () => parentOf(cluster, child) !== relay, bounded_ms, 'it is taken from its parent');
  await until(cluster, () => parentOf(cluster, child) !== 0, bounded_ms, 'it gets another');
  assert.notEqual(parentOf(cluster, child), relay);
  await until(cluster, () => late(cluster, [child], commits()).length === 0, bounded_ms, 'it keeps up');
  stop();
  await cluster.end();
}

async function promotion(): Promise<void> {
  const { cluster } = await groupOf(60);
  await planted(cluster, 60);
  const chosen = progressOf(cluster)
    .flatMap(({ id, via }) => (via === undefined ? [] : [id]))
    .slice(0, 2);
  const seen = new Set<boolean>();
  cluster.network.filter = (from, to, frame) => {
    const m = decodeFrame(frame);
    // From the change on no relay may send it entries: the leader's own term says when that is.
    if (m.type === 'append' && chosen.includes(to)) {
      const { voters: now } = cluster.replica(1).status().configuration;
      if (now.includes(to)) seen.add(m.relayed === true);
      if (now.includes(to) && from === 1) assert.equal(m.relayed, undefined);
    }
    return true;
  };
  const change = cluster.replica(1).changeMembers(chosen.map((id) => ({ type: 'add-voter', id }) as const));
  for (const id of chosen) assert.equal(parentOf(cluster, id), 0, 'at once');
  await cluster.wait(change);
  assert.ok(seen.has(false));
  const { configuration } = cluster.replica(1).status();
  for (const id of chosen) assert.ok(configuration.voters.includes(id));
  // Five of seven: two of the five old ones go, and it goes on.
  cluster.kill(4);
  cluster.kill(5);
  assert.ok(await cluster.propose(1, 'x'));
  await cluster.end();
}

async function comeback(): Promise<void> {
  const { cluster } = await groupOf(40, 1, {
    compaction: { every_entries: 50, every_bytes: 1e9, keep_entries: 10 },
  });
  await planted(cluster, 40);
  const { id: child } = progressOf(cluster).find(({ via }) => via !== undefined)!;
  const relay = relaysOf(cluster)[0]!;
  const dead = [cluster.kill(child), cluster.kill(relay)];
  const { stop, commits } = load(cluster);
  await cluster.clock.run(5000);
  for (const member of dead) await cluster.restart(member);
  await until(
    cluster,
    () => late(cluster, [child, relay], commits()).length === 0,
    2 * bounded_ms,
    'both are back',
  );
  assert.ok(cluster.member(child).machine.restores > 0);
  stop();
  await planted(cluster, 40);
  await cluster.end();
}

const scenes = { cost, deaths, leaders, cutFromLeader, behind, cutFromChild, promotion, comeback };
export type SceneName = keyof typeof scenes;

if (!isMainThread) {
  const { name, variant }: { name: SceneName; variant: number } = workerData;
  await scenes[name]((line) => parentPort?.postMessage(line), variant);
}
