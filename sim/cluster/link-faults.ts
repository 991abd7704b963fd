/** Faults of the network between hosts: who is cut off from whom, and for how long. */
import { waysBetween } from './acts.ts';
import type { FaultScene } from './fault-scene.ts';
import type { SimHost } from './host/sim-host.ts';

type Pair = readonly [from: SimHost, to: SimHost];

const bothWays = (a: SimHost, b: SimHost): readonly Pair[] => [
  [a, b],
  [b, a],
];

function cut(scene: FaultScene, pairs: readonly Pair[]): void {
  const ways = pairs.map(([from, to]) => `${from.name}>${to.name}`).join(' ');
  scene.acts.perform({ do: 'cut', ways });
  scene.later(scene.duration(), { do: 'heal', ways });
}

export function cutOff(scene: FaultScene, host: SimHost): void {
  const others = scene.cluster.hosts.filter((other) => other !== host);
  cut(
    scene,
    others.flatMap((other) => bothWays(host, other)),
  );
  scene.onLost(host);
  scene.cluster.marks.hit('fault: host cut off');
}

/** It hears no more, or is heard no more, by most others. */
export function oneWay(scene: FaultScene, host: SimHost): void {
  const others = scene.cluster.hosts.filter((other) => other !== host && scene.knobs.chance(0.7));
  const out = scene.knobs.chance(0.5);
  cut(
    scene,
    others.map((other): Pair => (out ? [host, other] : [other, host])),
  );
  scene.cluster.marks.hit('fault: one-way cut');
}

export function partition(scene: FaultScene): void {
  const { hosts, marks } = scene.cluster;
  const here = hosts.filter(() => scene.knobs.chance(0.5));
  const there = hosts.filter((other) => !here.includes(other));
  cut(
    scene,
    here.flatMap((a) => there.flatMap((b) => bothWays(a, b))),
  );
  marks.hit('fault: partition');
}

export function flap(scene: FaultScene, host: SimHost): void {
  flapOn(scene, host, scene.knobs.integer(5, 30));
  scene.cluster.marks.hit('fault: flapping link');
}

function flapOn(scene: FaultScene, host: SimHost, times: number): void {
  const { cluster, knobs, acts } = scene;
  const other = knobs.pick(cluster.hosts);
  if (times === 0 || other === host || !scene.on) return;
  const ways = waysBetween(host.name, [other.name]);
  const cut_ms = knobs.integer(100, 3_000);
  acts.perform({ do: 'cut', ways });
  scene.later(cut_ms, { do: 'heal', ways });
  acts.after(cut_ms + knobs.integer(100, 3_000), () => flapOn(scene, host, times - 1));
}

/** FoundationDB's swizzle-clogging: some hosts are clogged one by one, and unclogged in another order. */
export function swizzle(scene: FaultScene): void {
  const { cluster, knobs } = scene;
  const { hosts, marks } = cluster;
  const some = knobs.shuffle(hosts.filter(() => knobs.chance(0.5)));
  const waysOf = (host: SimHost) =>
    waysBetween(
      host.name,
      hosts.filter((other) => other !== host).map((other) => other.name),
    );
  let at_ms = 0;
  for (const host of some) {
    scene.later(at_ms, { do: 'cut', ways: waysOf(host) });
    at_ms += knobs.integer(100, 3_000);
  }
  for (const host of knobs.shuffle(some)) {
    at_ms += knobs.integer(100, 3_000);
    scene.later(at_ms, { do: 'heal', ways: waysOf(host) });
  }
  marks.hit('fault: swizzle');
}

/** The leader, and with it a host that it has just granted a lease to: its successor knows nothing of that. */
export function loseLeaderAnd(scene: FaultScene): void {
  const { cluster, knobs } = scene;
  const { hosts, marks } = cluster;
  const leader = cluster.leader();
  if (leader === null) return;
  const { voters } = leader.member.replica.status().configuration;
  const member = (host: SimHost) => host.member?.file.member ?? 0;
  const left = (host: SimHost) =>
    voters.filter((voter) => voter !== member(host) && voter !== member(leader.host)).length;
  const others = hosts.filter((host) => host !== leader.host && host.power);
  // Where a majority is left; if there is none, whoever it hits.
  const spared = others.filter((host) => left(host) > voters.length / 2);
  if (others.length === 0) return;
  const host = knobs.pick(spared.length > 0 ? spared : others);
  const lost = [leader.host, host];
  const rest = hosts.filter((other) => !lost.includes(other));
  const pairs = rest.flatMap((other) => lost.flatMap((one) => bothWays(other, one)));
  cut(scene, knobs.chance(0.5) ? pairs : [...pairs, ...bothWays(leader.host, host)]);
  scene.onLost(host);
  marks.hit('fault: leader and a host lost');
}
