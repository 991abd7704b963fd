/** Processes that die, in any moment or in one that matters, stand still, or give the lead up. Nothing here starts one. */
import type { Knobs } from '../kit/knobs.ts';
import type { Ending, Member } from './member.ts';
import { isRelay } from './relays.ts';
import { lastIndex } from './watched-log.ts';
import type { World } from './world.ts';

export function crash(w: World, draws: Knobs): void {
  endBy(w, draws, draws.pick(w.alive));
}

export function crashLeader(w: World, draws: Knobs): void {
  const { leader } = w;
  if (leader !== null) endBy(w, draws, leader);
}

/** Strikes in a moment that matters, whoever is in it first. */
export function ambush(w: World, draws: Knobs): void {
  const until_ms = w.clock.now_ms + 5000;
  const moments: readonly ((member: Member) => boolean)[] = [
    (member) => member.writing && draws.chance(0.05),
    (member) => member.storage.stable.writing !== null,
    // A snapshot is restored, its log is not replaced yet.
    ({ running, storage }) =>
      running !== null && storage.stable.image.meta.index > lastIndex(running.log.given),
    (member) => member.status?.role === 'leader' && member.status.configuration.voters_outgoing.length > 0,
    (member) => w.watch.frames.inTransfer(member.id) && draws.chance(0.1),
    (member) => member.status?.role === 'candidate',
    (member) => member.status?.role === 'leader' && !member.status.established,
    (member) => member.status?.role === 'leader' && member.status.commit < member.status.last_index,
    ...(w.knobs.relays === null ? [] : [({ id }: Member) => isRelay(w, id)]),
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

export function crashAll(w: World, draws: Knobs): void {
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

export function ending(draws: Knobs): Ending {
  return draws.chance(0.6) ? 'power' : 'kill';
}

export async function freeze(w: World, draws: Knobs): Promise<void> {
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

export function block(w: World, draws: Knobs): void {
  const member = victim(w, draws);
  const duration_ms = draws.exponential(400, 6000);
  w.fault('event loop blocked', `${duration_ms.toFixed(0)} ms`, member);
  member.env?.block(duration_ms);
}

export function stepDown(w: World): void {
  const { leader } = w;
  if (leader === null) return;
  w.fault('lead: step down', '', leader);
  leader.env?.after(0, () => leader.running?.replica.stepDown('asked to'));
}

/** The leader as often as all others together. */
export function victim(w: World, draws: Knobs): Member {
  return draws.chance(0.5) ? (w.leader ?? draws.pick(w.alive)) : draws.pick(w.alive);
}
