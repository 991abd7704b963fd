/**
 * The faults of a run: one loop for each kind that the seed turned on. Each fault ends by itself after a while, and all
 * are counted when they are delivered.
 */
import type { MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { FaultName } from './marks.ts';
import type { Ending, Member } from './member.ts';
import type { LinkName } from './network.ts';
import { misdirect, rot } from './rot.ts';
import { rivals, schism } from './schism.ts';
import { lastIndex } from './watched-log.ts';
import type { World } from './world.ts';

type Fault = (w: World, draws: Knobs) => Promise<void> | void;

export function startNemesis(w: World, draws: Knobs): void {
  const { every } = w.knobs;
  const kinds: readonly (readonly [number, Fault])[] = [
    [every.partition, partition],
    [every.depose, depose],
    [every.flap, flap],
    [every.swizzle, swizzle],
    [every.clog, clog],
    [every.reset, reset],
    [every.crash, crash],
    [every.crash_leader, crashLeader],
    [every.ambush, ambush],
    [every.crash_all, crashAll],
    [every.freeze, freeze],
    [every.block, block],
    [every.stall, stall],
    [every.disk_error, failDisk],
    [every.disk_full, fillDisk],
    [every.laggard, laggard],
    [every.step_down, stepDown],
    [every.rot, rot],
    [every.misdirect, misdirect],
    [every.schism, schism],
    [every.rivals, rivals],
  ];
  for (const [mean_ms, fault] of kinds) {
    const own = draws.fork();
    if (mean_ms > 0) void repeat(w, own, mean_ms, fault);
  }
  void keepRestarting(w, draws.fork());
}

async function repeat(w: World, draws: Knobs, mean_ms: number, fault: Fault): Promise<void> {
  while (!w.over) {
    await w.sleep(draws.exponential(mean_ms));
    if (!w.over && w.alive.length > 0) await fault(w, draws);
  }
}

/** Whatever is down comes back. */
async function keepRestarting(w: World, draws: Knobs): Promise<void> {
  const due = new Map<Member, number>();
  while (!w.over) {
    await w.sleep(100);
    w.watch.group();
    for (const member of w.members.values()) {
      if (member.up || member.destroyed) {
        due.delete(member);
        continue;
      }
      const at_ms = due.get(member) ?? w.clock.now_ms + draws.exponential(w.knobs.restart_ms, 20_000);
      due.set(member, at_ms);
      if (w.clock.now_ms < at_ms || w.over) continue;
      member.start();
      // Recovery is interrupted too.
      if (!draws.chance(0.15)) continue;
      w.clock.after(draws.exponential(20), () => {
        if (!w.over && member.up) {
          w.fault('crash at a restart', '', member);
          member.end(ending(draws));
        }
      });
    }
  }
}

async function partition(w: World, draws: Knobs): Promise<void> {
  const ids = draws.shuffle(w.network.ids);
  const { name, links } = drawPartition(w, draws, ids);
  w.fault(name, ids.join(','));
  const heal = w.network.block(links);
  w.partitions++;
  await w.sleep(w.knobs.stability_ms + draws.exponential(3000, 15_000));
  w.partitions--;
  heal();
  w.note(null, `${name} is over`);
}

function drawPartition(
  w: World,
  draws: Knobs,
  ids: readonly MemberId[],
): { readonly name: FaultName; readonly links: readonly LinkName[] } {
  const [first = 0] = ids;
  const half = ids.slice(0, Math.ceil(ids.length / 2));
  const between = (a: readonly MemberId[], b: readonly MemberId[]): LinkName[] =>
    a.flatMap((from) =>
      b.filter((to) => to !== from).flatMap((to) => [[from, to] as const, [to, from] as const]),
    );
  const rest = (some: readonly MemberId[]) => ids.filter((id) => !some.includes(id));
  switch (draws.integer(0, 5)) {
    case 0:
      return { name: 'partition: halves', links: between(half, rest(half)) };
    case 1:
      return { name: 'partition: one alone', links: between([first], rest([first])) };
    case 2: {
      const id = w.leader?.id ?? first;
      return { name: 'partition: leader alone', links: between([id], rest([id])) };
    }
    case 3:
      // One member sees both halves, which do not see each other.
      return { name: 'partition: bridge', links: between(half.slice(1), rest(half)) };
    case 4: {
      // Each sees only its neighbours.
      const near = (i: number, j: number) => [0, 1, ids.length - 1].includes(Math.abs(i - j));
      const links = ids.flatMap((from, i) =>
        ids.flatMap((to, j) => (near(i, j) ? [] : [[from, to] as const])),
      );
      return { name: 'partition: ring', links };
    }
    default: {
      const links = between(half, rest(half)).filter(([from]) => half.includes(from) === draws.chance(0.5));
      return { name: 'partition: one way', links };
    }
  }
}

/** The leader is cut off and does not notice; the others do, at once, and may elect another while it still leads. */
async function depose(w: World, draws: Knobs): Promise<void> {
  const id = w.leader?.id;
  if (id === undefined) return;
  const others = w.network.ids.filter((other) => other !== id);
  if (draws.chance(0.6)) return await deposeSlowly(w, draws, id, others);
  w.fault('leader deposed unawares', String(id));
  const out = others.map((to): LinkName => [id, to]);
  const back = others.map((from): LinkName => [from, id]);
  const heal = w.network.block(draws.chance(0.7) ? [...out, ...back] : back);
  const duration_ms = draws.range(0.3, 2) * w.election_ms;
  w.network.forsake(id, duration_ms);
  await w.sleep(duration_ms);
  heal();
}

/** What the leader is told comes late: answers to rounds of its own arrive when another leads and has written. */
async function deposeSlowly(
  w: World,
  draws: Knobs,
  id: MemberId,
  others: readonly MemberId[],
): Promise<void> {
  w.fault('leader deposed, answers late', String(id));
  const duration_ms = draws.range(0.4, 0.9) * w.election_ms;
  const { status: before } = w.member(id);
  // Its last rounds still reach the others, and their answers wait.
  for (const other of others) w.network.clog(other, id, duration_ms);
  await w.sleep(draws.range(0.05, 0.2) * duration_ms);
  if (w.over) return;
  const heal = w.network.block(others.map((other): LinkName => [id, other]));
  w.network.forsake(id, duration_ms);
  await w.sleep(0.75 * duration_ms);
  const { status } = w.member(id);
  if (status?.role === 'leader' && status.term === before?.term && (w.leader?.id ?? id) !== id)
    w.marks.hit('leader answered rounds late, another led');
  await w.sleep(draws.range(0.05, 1) * duration_ms);
  heal();
}

async function flap(w: World, draws: Knobs): Promise<void> {
  const [a, b] = twoOf(w, draws);
  const period_ms = draws.range(200, 4000);
  w.fault('flapping link', `${a}-${b} every ${period_ms.toFixed(0)} ms`);
  for (let turn = draws.integer(3, 20); turn > 0 && !w.over; turn--) {
    const heal = w.network.block(
      draws.chance(0.5)
        ? [[a, b]]
        : [
            [a, b],
            [b, a],
          ],
    );
    await w.sleep(draws.range(0.2, 0.8) * period_ms);
    heal();
    await w.sleep(draws.range(0.2, 0.8) * period_ms);
  }
}

/** As FoundationDB does: a subset is clogged one by one, and freed in another order. */
async function swizzle(w: World, draws: Knobs): Promise<void> {
  const ids = w.network.ids;
  const subset = draws.shuffle(ids).slice(0, draws.integer(1, ids.length));
  w.fault('swizzle-clog', subset.join(','));
  const both = (id: MemberId, act: (from: MemberId, to: MemberId) => void) => {
    for (const other of ids) {
      if (other === id) continue;
      act(id, other);
      act(other, id);
    }
  };
  for (const id of subset) {
    both(id, (from, to) => w.network.clog(from, to, 20_000));
    await w.sleep(draws.exponential(500));
  }
  for (const id of draws.shuffle(subset)) {
    await w.sleep(draws.exponential(500));
    both(id, (from, to) => w.network.unclog(from, to));
  }
}

function clog(w: World, draws: Knobs): void {
  const [a, b] = twoOf(w, draws);
  w.network.clog(a, b, draws.range(0, 5000));
}

function reset(w: World, draws: Knobs): void {
  const [a, b] = twoOf(w, draws);
  w.network.reset(a, b, draws.exponential(300));
}

function crash(w: World, draws: Knobs): void {
  endBy(w, draws, draws.pick(w.alive));
}

function crashLeader(w: World, draws: Knobs): void {
  const { leader } = w;
  if (leader !== null) endBy(w, draws, leader);
}

/** Strikes in a moment that matters, whoever is in it first. */
function ambush(w: World, draws: Knobs): void {
  const until_ms = w.clock.now_ms + 5000;
  const moments: readonly ((member: Member) => boolean)[] = [
    (member) => member.writing && draws.chance(0.05),
    (member) => member.stable.writing !== null,
    // A snapshot is restored, its log is not replaced yet.
    ({ running, stable }) => running !== null && stable.image.meta.index > lastIndex(running.log.given),
    (member) => member.status?.role === 'leader' && member.status.configuration.voters_outgoing.length > 0,
    (member) => w.watch.inTransfer(member.id) && draws.chance(0.1),
    (member) => member.status?.role === 'candidate',
    (member) => member.status?.role === 'leader' && !member.status.established,
    (member) => member.status?.role === 'leader' && member.status.commit < member.status.last_index,
  ];
  const moment = draws.pick(moments);
  const how = ending(draws);
  w.ambushes.push((member) => {
    if (w.over || w.clock.now_ms > until_ms) return true;
    if (!member.up || !moment(member)) return false;
    w.fault('ambush', how, member);
    member.end(how);
    return true;
  });
}

function crashAll(w: World, draws: Knobs): void {
  w.fault('all crash at once', '');
  const how: Ending = draws.chance(0.8) ? 'power' : 'kill';
  for (const member of w.alive) member.end(how);
  w.watch.group();
}

function endBy(w: World, draws: Knobs, member: Member): void {
  if (draws.chance(0.15)) {
    w.fault('clean stop', '', member);
    member.stop();
    return;
  }
  const how = ending(draws);
  w.fault(how === 'power' ? 'power cut' : 'kill', '', member);
  member.end(how);
}

function ending(draws: Knobs): Ending {
  return draws.chance(0.6) ? 'power' : 'kill';
}

async function freeze(w: World, draws: Knobs): Promise<void> {
  const member = victim(w, draws);
  const { env } = member;
  if (env === null) return;
  const duration_ms = draws.range(0.5, 4) * w.election_ms;
  w.fault('freeze', `${duration_ms.toFixed(0)} ms`, member);
  env.freeze();
  await w.sleep(duration_ms);
  if (env.state !== 'frozen') return;
  env.thaw();
  w.note(member, 'thaws');
  w.watch.thaws(member, duration_ms);
}

function block(w: World, draws: Knobs): void {
  const member = victim(w, draws);
  const duration_ms = draws.exponential(400, 6000);
  w.fault('event loop blocked', `${duration_ms.toFixed(0)} ms`, member);
  member.env?.block(duration_ms);
}

function stall(w: World, draws: Knobs): void {
  const member = victim(w, draws);
  const duration_ms = draws.pick([draws.range(0, 3000), draws.range(4000, 10_000)]);
  w.fault('disk stall', `${duration_ms.toFixed(0)} ms`, member);
  member.stalled_until_ms = w.clock.now_ms + duration_ms;
}

async function failDisk(w: World, draws: Knobs): Promise<void> {
  const member = victim(w, draws);
  member.error_rate = draws.range(0.01, 0.5);
  w.note(member, '! its disk begins to fail');
  await w.sleep(draws.exponential(2000));
  member.error_rate = 0;
}

async function fillDisk(w: World, draws: Knobs): Promise<void> {
  const member = victim(w, draws);
  const room_bytes = draws.integer(0, 20_000);
  w.fault('disk full', `${room_bytes} bytes left`, member);
  member.disk.capacity_bytes = member.disk.used_bytes + room_bytes;
  await w.sleep(draws.range(1000, 10_000));
  member.disk.capacity_bytes = Number.POSITIVE_INFINITY;
}

/** A member hears nothing for so long that the log it needs is gone. */
async function laggard(w: World, draws: Knobs): Promise<void> {
  const member = draws.pick(w.alive);
  w.fault('member laggard', '', member);
  const heal = w.network.block(w.network.ids.filter((id) => id !== member.id).map((id) => [id, member.id]));
  const from = w.oracle.committed_index;
  const enough = from + 2 * (w.knobs.compact_every + w.knobs.compact_keep);
  for (
    let waited_ms = 0;
    waited_ms < 20_000 && w.oracle.committed_index < enough && !w.over;
    waited_ms += 200
  )
    await w.sleep(200);
  heal();
}

function stepDown(w: World): void {
  const { leader } = w;
  if (leader === null) return;
  w.fault('lead: step down', '', leader);
  leader.env?.after(0, () => leader.running?.replica.stepDown('asked to'));
}

/** The leader as often as all others together. */
function victim(w: World, draws: Knobs): Member {
  return draws.chance(0.5) ? (w.leader ?? draws.pick(w.alive)) : draws.pick(w.alive);
}

function twoOf(w: World, draws: Knobs): readonly [MemberId, MemberId] {
  const [a = 0, b = 0] = draws.shuffle(w.network.ids);
  return [a, b];
}
