/**
 * What a group without other faults owes its users, in one situation a run: each is a promise of docs/consensus.md that
 * the faults before could not judge, since under them nobody can say who should lead. The group is whole when this
 * begins; what happens is drawn.
 */
import type { MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import { encodeCommand } from './kv.ts';
import type { Member } from './member.ts';
import type { LinkName } from './network.ts';
import { quiet, type World } from './world.ts';

interface Lead {
  readonly leader: Member;
  readonly term: number;
  readonly others: readonly MemberId[];
  readonly election_ms: number;
}

/** Longer than any frame takes. */
const settle_ms = 2500;

type Situation = (w: World, draws: Knobs, lead: Lead) => Promise<void>;

/** @throws Error naming the promise that was not kept */
export async function keepPromises(w: World, draws: Knobs): Promise<void> {
  if (w.damaged.length > 0) return;
  w.network.knobs = quiet;
  // What was asked for and sent before may still move the lead: a transfer that waits for its heir, a frame on its way.
  await wait(w, 3 * w.election_ms + settle_ms);
  await until(w, 15 * w.election_ms, () => w.leader?.status?.established === true, 'a leader');
  const { leader } = w;
  if (leader?.status == null) throw new Error('there is no leader to keep promises');
  const { term, configuration } = leader.status;
  const others = configuration.voters.filter((id) => id !== leader.id);
  if (others.length < 2 || others.length === configuration.voters.length) return;
  const lead = { leader, term, others, election_ms: w.election_ms };
  const situations: readonly Situation[] = [
    manyEntries,
    oneComesBack,
    oneIsDeaf,
    leaderIsDeaf,
    deafAndLeaderless,
  ];
  await draws.pick(situations)(w, draws, lead);
}

/** More appends than any window holds. */
async function manyEntries(w: World, draws: Knobs, { leader }: Lead): Promise<void> {
  const count = Math.min(w.knobs.flow.max_inflight, 64) + draws.integer(5, 20);
  for (let nth = 0; nth < count; nth++) {
    const op = w.history.begin(0, 'put', 'r1', w.history.ops.length + 1, null);
    const data = encodeCommand({ id: op.id, type: 'put', key: 'r1', value: op.value! });
    let answered = '';
    void leader
      .ask(({ replica }) => replica.propose(data), 20_000)
      .then((answer) => {
        answered = answer.type;
        w.history.end(op, answer.type === 'ok' ? 'ok' : 'unknown', answer.type === 'ok');
      });
    await until(w, 30_000, () => answered !== '', `the answer to entry ${nth + 1} of ${count}`);
    if (answered !== 'ok')
      throw new Error(`entry ${nth + 1} of ${count} in a row was not taken: ${answered}`);
  }
}

/** A member that was cut off disturbs nobody when it comes back (thesis, section 9.6). */
async function oneComesBack(w: World, draws: Knobs, lead: Lead): Promise<void> {
  const one = draws.pick(lead.others);
  const heal = w.network.block(both([one], w.network.ids));
  await wait(w, draws.range(3, 5) * lead.election_ms);
  heal();
  await wait(w, 3 * lead.election_ms);
  leadsOn(lead, `member ${one} came back`);
}

/** A member that hears nobody, and is heard, takes the lead from nobody (thesis, section 4.2.3). */
async function oneIsDeaf(w: World, draws: Knobs, lead: Lead): Promise<void> {
  const one = draws.pick(lead.others);
  const from = draws.chance(0.5) ? [lead.leader.id] : w.network.ids;
  const heal = w.network.block(from.filter((id) => id !== one).map((id) => [id, one] as const));
  await wait(w, draws.range(3, 6) * lead.election_ms);
  leadsOn(lead, `member ${one} heard nothing`);
  heal();
  await wait(w, 3 * lead.election_ms);
  leadsOn(lead, `member ${one} heard nothing for a while`);
}

/** A leader that nobody answers gives up, and another leads. */
async function leaderIsDeaf(w: World, _draws: Knobs, lead: Lead): Promise<void> {
  const { leader, others, election_ms, term } = lead;
  const heal = w.network.block(
    w.network.ids.filter((id) => id !== leader.id).map((id) => [id, leader.id] as const),
  );
  const left = () => leader.status?.role !== 'leader' || leader.status.term > term;
  await until(w, 2 * election_ms, left, 'a leader that nobody answers to give up');
  await until(w, 15 * election_ms, () => others.some((id) => leads(w, id, term)), 'another leader');
  heal();
}

/** A member that can win is not kept from it by one that cannot, however often that asks. */
async function deafAndLeaderless(w: World, draws: Knobs, lead: Lead): Promise<void> {
  const { leader, others, election_ms, term } = lead;
  if (others.length < 4) return;
  const deaf = draws.pick(others);
  w.network.block(w.network.ids.filter((id) => id !== deaf).map((id) => [id, deaf] as const));
  w.network.block(both([leader.id], w.network.ids));
  const won = () => others.some((id) => id !== deaf && leads(w, id, term));
  await until(w, 15 * election_ms, won, `a new leader, while member ${deaf} asks and hears nothing`);
}

function leadsOn({ leader, term }: Lead, after: string): void {
  const { status } = leader;
  if (status?.role === 'leader' && status.term === term) return;
  throw new Error(`a lead was disturbed: member ${leader.id} led term ${term}, and ${after}`);
}

function leads(w: World, id: MemberId, since: number): boolean {
  const status = w.members.get(id)?.status;
  return status?.role === 'leader' && status.established && status.term > since;
}

function both(a: readonly MemberId[], b: readonly MemberId[]): readonly LinkName[] {
  return a.flatMap((x) =>
    b
      .filter((y) => y !== x)
      .flatMap((y): LinkName[] => [
        [x, y],
        [y, x],
      ]),
  );
}

async function wait(w: World, duration_ms: number): Promise<void> {
  await w.run(w.clock.now_ms + duration_ms);
}

async function until(w: World, limit_ms: number, done: () => boolean, what: string): Promise<void> {
  if (!(await w.run(w.clock.now_ms + limit_ms, done)))
    throw new Error(`waited ${limit_ms.toFixed(0)} ms for ${what}`);
}
