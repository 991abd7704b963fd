/** What goes wrong between members. Whatever is cut here is healed here; frames are counted by the network itself. */
import type { MemberId } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { FaultName } from './marks.ts';
import type { LinkName } from './network.ts';
import type { World } from './world.ts';

export async function partition(w: World, draws: Knobs): Promise<void> {
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
export async function depose(w: World, draws: Knobs): Promise<void> {
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

export async function flap(w: World, draws: Knobs): Promise<void> {
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
export async function swizzle(w: World, draws: Knobs): Promise<void> {
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

export function clog(w: World, draws: Knobs): void {
  const [a, b] = twoOf(w, draws);
  w.network.clog(a, b, draws.range(0, 5000));
}

export function reset(w: World, draws: Knobs): void {
  const [a, b] = twoOf(w, draws);
  w.network.reset(a, b, draws.exponential(300));
}

/** A member hears nothing for so long that the log it needs is gone. */
export async function laggard(w: World, draws: Knobs): Promise<void> {
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

function twoOf(w: World, draws: Knobs): readonly [MemberId, MemberId] {
  const [a = 0, b = 0] = draws.shuffle(w.network.ids);
  return [a, b];
}
