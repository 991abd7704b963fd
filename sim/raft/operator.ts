/**
 * The operator: changes who belongs to the group, under faults, and moves the lead about. Numbers are never used twice.
 * A member is taken off for good only when its removal is committed.
 */
import type { MemberChange, MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { FaultName } from './marks.ts';
import type { Member } from './member.ts';
import { relayOf } from './relays.ts';
import type { World } from './world.ts';

const timeout_ms = 20_000;

export async function churnMembers(w: World, draws: Knobs): Promise<void> {
  const mean_ms = w.knobs.every.members;
  if (mean_ms === 0) return;
  while (!w.over) {
    await w.sleep(draws.exponential(mean_ms));
    takeOff(w, draws);
    const leader = w.leader;
    if (w.over || leader?.status == null) continue;
    const plan =
      w.damaged.length > 0
        ? repaired(w, draws, leader)
        : draws.chance(0.05)
          ? nonsense(leader)
          : planned(w, draws, leader);
    if (plan === null) continue;
    w.fault(plan.name, describe(plan.changes), leader);
    const promotes = plan.name === 'members: promote';
    if (promotes && w.partitions > 0) w.marks.hit('learner promoted during a partition');
    const promoted = plan.changes.filter(({ type }) => type === 'add-voter');
    const relayed = promoted.some(({ id }) => relayOf(w, id) !== 0);
    w.changing++;
    const answer = await leader.ask(({ replica }) => replica.changeMembers(plan.changes), timeout_ms);
    w.changing--;
    w.note(leader, `change: ${answer.type === 'refused' ? answer.error.message : answer.type}`);
    if (answer.type === 'refused' && answer.error.code === 'config-refused')
      w.marks.hit('membership change refused');
    if (
      answer.type === 'ok' &&
      plan.changes.some(({ type, id }) => type === 'remove' && w.member(id).storage.faulty)
    )
      w.marks.hit('damaged member removed');
    if (answer.type === 'ok' && relayed) w.marks.hit('relayed learner promoted');
    if (answer.type === 'ok' && plan.name === 'members: remove leader') w.marks.hit('leader removed itself');
    if (answer.type === 'ok' && plan.changes.length > 1 && plan.changes.some((c) => c.type === 'add-learner'))
      w.marks.hit('voter demoted through a joint configuration');
  }
}

export async function moveLead(w: World, draws: Knobs): Promise<void> {
  const mean_ms = w.knobs.every.transfer;
  if (mean_ms === 0) return;
  while (!w.over) {
    await w.sleep(draws.exponential(mean_ms));
    const leader = w.leader;
    if (w.over || leader?.status == null) continue;
    const { voters, learners } = leader.status.configuration;
    const to = draws.chance(0.1) ? draws.pick([0, leader.id, ...learners]) : draws.pick(voters);
    w.fault('lead: transfer', `to ${to}`, leader);
    const { term } = leader.status;
    if (draws.chance(0.2)) tellLate(w, draws, leader, to);
    // The moment in which a transfer is most at risk.
    if (draws.chance(0.15)) w.clock.after(draws.range(0, 100), () => w.members.get(to)?.end('kill'));
    const answer = await leader.ask(({ replica }) => replica.transferLeadership(to), timeout_ms);
    if (answer.type === 'refused' && answer.error.outcome === 'not-proposed') {
      w.marks.hit('transfer of the lead refused');
      continue;
    }
    await w.sleep(w.knobs.timing.tick_ms * w.knobs.timing.election_ticks);
    const completed = w.leader?.id === to && w.leader.status?.term === term + 1;
    w.marks.hit(`transfer of the lead ${completed ? 'completed' : 'interrupted'}`);
  }
}

/** The order to campaign is held up until another leads: it must not be followed any more. */
function tellLate(w: World, draws: Knobs, leader: Member, to: MemberId): void {
  if (to === 0 || to === leader.id) return;
  w.fault('lead: transfer told late', `to ${to}`, leader);
  const { election_ms } = w;
  w.network.clog(leader.id, to, draws.range(0.5, 3) * election_ms);
  // Its successor is found at once: the connections to it close.
  w.clock.after(draws.range(0, 0.3) * election_ms, () => {
    if (!w.over && draws.chance(0.7)) leader.end('kill');
  });
}

interface Plan {
  readonly name: FaultName;
  readonly changes: readonly MemberChange[];
}

/** A change that makes sense in the leader's own view; null: none does. */
function planned(w: World, draws: Knobs, leader: Member): Plan | null {
  const { voters, learners } = leader.status!.configuration;
  const others = voters.filter((id) => id !== leader.id);
  const members = voters.length + learners.length;
  const fresh = () => spare(w, voters, learners, draws);
  const room = members < w.knobs.max_members;
  const shrink = voters.length > 3;
  const plans: (() => Plan | null)[] = [
    () => (room ? { name: 'members: add learner', changes: [{ type: 'add-learner', id: fresh() }] } : null),
    () =>
      learners.length > 0 && voters.length < 7
        ? { name: 'members: promote', changes: [{ type: 'add-voter', id: draws.pick(learners) }] }
        : null,
    () =>
      shrink ? { name: 'members: demote', changes: [{ type: 'add-learner', id: draws.pick(others) }] } : null,
    () => {
      const gone = draws.pick(shrink ? [...others, ...learners] : [...learners, 0]);
      return gone === 0 ? null : { name: 'members: remove', changes: [{ type: 'remove', id: gone }] };
    },
    () => (shrink ? { name: 'members: remove leader', changes: [{ type: 'remove', id: leader.id }] } : null),
    () =>
      learners.length > 0
        ? {
            name: 'members: replace by new number',
            changes: [
              { type: 'add-voter', id: draws.pick(learners) },
              { type: draws.chance(0.5) ? 'remove' : 'add-learner', id: draws.pick(voters) },
            ],
          }
        : null,
    () => {
      if (others.length < 2 || learners.length < 2) return null;
      const out = draws.shuffle(others).slice(0, 2);
      const in_ = draws.shuffle(learners).slice(0, 2);
      const changes = [
        ...in_.map((id) => ({ type: 'add-voter', id }) as const),
        ...out.map((id) => ({ type: draws.chance(0.5) ? 'remove' : 'add-learner', id }) as const),
      ];
      return { name: 'members: replace two', changes };
    },
  ];
  return draws.pick(plans)();
}

/** While somebody is damaged only that is changed: it is removed, with a whole learner in its place where there is one. */
function repaired(w: World, draws: Knobs, leader: Member): Plan | null {
  const { voters, learners } = leader.status!.configuration;
  const gone = [...voters, ...learners].find((id) => w.member(id).storage.faulty);
  if (gone === undefined || gone === leader.id) return null;
  const remove = { type: 'remove', id: gone } as const;
  const whole = learners.filter((id) => w.member(id).storage.damage === null);
  if (whole.length === 0 || !voters.includes(gone) || draws.chance(0.5))
    return { name: 'members: remove', changes: [remove] };
  const changes = [{ type: 'add-voter', id: draws.pick(whole) } as const, remove];
  return { name: 'members: replace by new number', changes };
}

/** Changes that must be refused: one that leaves no voter, one that leaves the joint configuration too early. */
function nonsense(leader: Member): Plan {
  const { voters } = leader.status!.configuration;
  return { name: 'members: remove', changes: voters.map((id) => ({ type: 'remove', id })) };
}

/** A member that waits to be added, an existing one or a new one. */
function spare(w: World, voters: readonly MemberId[], learners: readonly MemberId[], draws: Knobs): MemberId {
  const waiting = w.existing.filter(
    ({ id }) => !voters.includes(id) && !learners.includes(id) && !w.ever_members.has(id),
  );
  const found = draws.pick([...waiting, null]) ?? w.add();
  return found.id;
}

/** Members whose removal is committed go for good, some time later. */
function takeOff(w: World, draws: Knobs): void {
  const { voters, voters_outgoing, learners, learners_next } = w.oracle.configuration;
  const current = new Set([...voters, ...voters_outgoing, ...learners, ...learners_next]);
  for (const id of current) w.ever_members.add(id);
  for (const id of w.ever_members) {
    const member = w.member(id);
    if (current.has(id) || member.destroyed || !draws.chance(0.3)) continue;
    w.note(member, 'is taken off');
    member.destroy();
  }
}

function describe(changes: readonly MemberChange[]): string {
  return changes.map(({ type, id }) => `${type} ${id}`).join(', ');
}
