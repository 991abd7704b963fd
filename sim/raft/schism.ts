/**
 * Changes of the members in the moment in which they are most at risk: those who are to come and those who are to go do
 * not hear one another, and each side goes on as far as its rules let it. Two majorities without a common member would
 * commit different entries at one index.
 */
import type { MemberChange, MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { Member } from './member.ts';
import type { LinkName } from './network.ts';
import type { World } from './world.ts';

const timeout_ms = 20_000;

/** The leader and new members on one side, all other voters on the other: by one change, or by several in a row. */
export async function schism(w: World, draws: Knobs): Promise<void> {
  const leader = w.leader;
  if (leader?.status?.established !== true || w.damaged.length > 0) return;
  const { voters, voters_outgoing, learners } = leader.status.configuration;
  const old = voters.filter((id) => id !== leader.id);
  const fresh = learners.filter((id) => w.members.get(id)?.up === true).slice(0, 4);
  if (voters_outgoing.length > 0 || old.length < 2 || fresh.length < 2) return;
  w.fault('members: schism', `${leader.id},${fresh.join(',')} and ${old.join(',')}`, leader);
  const added = fresh.map((id): MemberChange => ({ type: 'add-voter', id }));
  const removed = old.map((id): MemberChange => ({ type: 'remove', id }));
  const one_by_one = draws.chance(0.35);
  const steps = one_by_one ? added.map((change) => [change]) : [[...added, ...removed]];
  const heal = part(w, [leader.id, ...fresh], old);
  if (draws.chance(0.7)) w.network.forsake(leader.id, 2 * w.election_ms);
  await Promise.all(steps.map((changes) => change(w, leader, changes, draws.range(2, 6) * w.election_ms)));
  await w.sleep(draws.range(0, 2) * w.election_ms);
  heal();
}

/**
 * Two leaders change the same base, one voter each: the counterexample to changes before an entry of the own term is
 * committed (Ongaro, "bug in single-server membership changes", raft-dev, 2015).
 */
export async function rivals(w: World, draws: Knobs): Promise<void> {
  const old = w.leader;
  if (old?.status?.established !== true || w.damaged.length > 0) return;
  const { term, configuration } = old.status;
  const { voters, voters_outgoing, learners } = configuration;
  const fresh = learners.find((id) => w.members.get(id)?.up === true) ?? 0;
  const others = voters.filter((id) => id !== old.id);
  if (voters_outgoing.length > 0 || voters.length !== 4 || fresh === 0) return;
  w.fault('members: rivals', `${old.id},${fresh} and ${others.join(',')}`, old);
  const heal = part(w, [old.id, fresh], others);
  w.network.forsake(old.id, 3 * w.election_ms);
  const first = change(w, old, [{ type: 'add-voter', id: fresh }], 5 * w.election_ms);
  const successor = () =>
    others.map((id) => w.member(id)).find(({ status }) => status?.role === 'leader' && status.term > term);
  const until_ms = w.clock.now_ms + 4 * w.election_ms;
  while (successor() === undefined && w.clock.now_ms < until_ms && !w.over) await w.sleep(1);
  const heir = successor();
  if (heir === undefined || w.over) {
    heal();
    return;
  }
  w.marks.hit('rival change of the members by a new leader');
  // One of the others hears neither leader for a while: it is the one that both sides may win.
  const third = draws.pick(others.filter((id) => id !== heir.id));
  const alone = part(
    w,
    [third],
    others.filter((id) => id !== third),
  );
  const second = change(w, heir, [{ type: 'remove', id: old.id }], 5 * w.election_ms);
  await w.sleep(draws.range(0.2, 1) * w.election_ms);
  const between = w.over
    ? () => undefined
    : part(
        w,
        [old.id, fresh, third],
        others.filter((id) => id !== third),
      );
  heal();
  await w.sleep(draws.range(2, 5) * w.election_ms);
  alone();
  between();
  await Promise.all([first, second]);
}

async function change(
  w: World,
  leader: Member,
  changes: readonly MemberChange[],
  patience_ms: number,
): Promise<void> {
  w.changing++;
  const answer = await leader.ask(
    ({ replica }) => replica.changeMembers(changes),
    Math.min(patience_ms, timeout_ms),
  );
  w.changing--;
  w.note(leader, `change: ${answer.type === 'refused' ? answer.error.message : answer.type}`);
}

function part(w: World, a: readonly MemberId[], b: readonly MemberId[]): () => void {
  return w.network.block(
    a.flatMap((x) =>
      b.flatMap((y): LinkName[] => [
        [x, y],
        [y, x],
      ]),
    ),
  );
}
