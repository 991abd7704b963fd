/**
 * Damage of logs at rest: bits that rot, writes that go astray. Of so few members that each majority keeps a whole copy
 * of everything (the fault atlas of TigerBeetle's simulator): otherwise no oracle could demand anything.
 */
import type { MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { Member } from './member.ts';
import type { World } from './world.ts';

/** A place of a log at rest changes, of so few members that each majority has a whole copy; its next start tells. */
export async function rot(w: World, draws: Knobs): Promise<void> {
  const member = draws.pick(w.existing);
  if (draws.chance(0.4)) return await rotBehindTheLeader(w, draws);
  if (!mayBeDamaged(w, member) || !member.storage.rot(draws, member.running !== null)) return;
  w.fault('bit rot', member.storage.damage ?? '', member);
  await restartSoon(w, draws, member);
}

/**
 * The worst moment for it: what the leader and this member acknowledged has not reached the others yet, and then the
 * leader is cut off. Whoever counts a damaged member now elects somebody who lacks it.
 */
async function rotBehindTheLeader(w: World, draws: Knobs): Promise<void> {
  const leader = w.leader;
  const others = w.oracle.configuration.voters.filter((id) => id !== leader?.id);
  const member = w.members.get(draws.shuffle(others)[0] ?? 0);
  if (leader === null || member?.up !== true || !mayBeDamaged(w, member)) return;
  const most = Math.ceil(others.length / 2);
  const late = draws.shuffle(others.filter((id) => id !== member.id)).slice(0, most);
  const heal = w.network.block(
    late.flatMap((to) => [leader.id, member.id].map((from) => [from, to] as const)),
  );
  await w.sleep(draws.range(0.3, 0.9) * w.election_ms);
  if (!w.over && mayBeDamaged(w, member) && member.storage.rot(draws, member.running !== null)) {
    w.fault('bit rot', member.storage.damage ?? '', member);
    member.end('kill');
    member.start();
    const cut = w.network.block(others.flatMap((id) => ends(leader.id, id)));
    heal();
    w.network.forsake(leader.id, 3 * w.election_ms);
    await w.sleep(draws.range(1, 4) * w.election_ms);
    cut();
  }
  heal();
}

function ends(a: MemberId, b: MemberId) {
  return [
    [a, b],
    [b, a],
  ] as const;
}

/** A write goes to another place than it should, and says that it went well. */
export async function misdirect(w: World, draws: Knobs): Promise<void> {
  const member = draws.pick(w.alive);
  const done = () => w.fault('misdirected write', member.storage.damage ?? '', member);
  member.storage.misdirect(draws, () => member.running !== null && !w.over && mayBeDamaged(w, member), done);
  await w.sleep(1000);
  member.storage.disk.astray = null;
  if (member.storage.damage !== null) await restartSoon(w, draws, member);
}

async function restartSoon(w: World, draws: Knobs, member: Member): Promise<void> {
  await w.sleep(draws.exponential(1000, 5000));
  if (!w.over && member.storage.damage !== null && !member.storage.faulty) member.end('kill');
}

/**
 * Whether one more damaged member leaves a majority of whole ones, now and in whatever configuration may come to count:
 * every committed entry is then in a log that nobody doubts.
 */
function mayBeDamaged(w: World, member: Member): boolean {
  const { settled, configuration } = w.oracle;
  if (!settled || w.changing > 0 || member.storage.damage !== null) return false;
  const { voters } = configuration;
  if (!voters.includes(member.id)) return false;
  const damaged = w.damaged.filter(({ id }) => voters.includes(id)).length;
  return damaged + 1 <= Math.floor((voters.length - 1) / 2);
}
