// What holds for any cluster: repeated steps end, and no step on the way costs more than it must.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planChange } from '../../consensus/membership.ts';
import type { MemberId } from '../../consensus/types.ts';
import { seededRandom } from '../../consensus/virtual-env.ts';
import { adjustVoters, leaveStep } from './adjust.ts';
import { largestDomain } from './choose.ts';
import type { VoterStep } from './step.ts';
import { type MemberProgress, VoterFacts, type VoterNode, type VoterView, voterLimits } from './view.ts';

const clusters = 4_000;
const well: MemberProgress = { active: true, lag: 0, silent_for_ms: 0, stable_for_ms: 1e9 };
const gone: MemberProgress = { active: false, lag: 9_999, silent_for_ms: 1e9, stable_for_ms: 0 };
const suspect: MemberProgress = { ...gone, silent_for_ms: 1 };

/** A cluster in any state that a leader could find it in: a majority of its voters answers. Null if the draw has none. */
function draw(random: () => number, racks: number): VoterView | null {
  const below = (limit: number) => Math.floor(random() * limit);
  const often = (share: number) => random() < share;
  const ids = Array.from({ length: 1 + below(11) }, (_, at) => at + 1);
  const voters = ids.filter(() => often(0.5));
  const self = voters[below(voters.length)];
  if (self === undefined || voters.length > 8) return null;
  const ill = random() * 0.6;
  const progress = new Map(
    ids
      .filter((id) => id !== self)
      .map((id): [MemberId, MemberProgress] => {
        if (!often(ill)) return [id, well];
        return [id, [gone, gone, suspect, { ...well, lag: 1_000, stable_for_ms: 0 }][below(4)] ?? gone];
      }),
  );
  const live = voters.filter((id) => id === self || progress.get(id)?.active === true);
  if (2 * live.length <= voters.length) return null;
  const nodes = ids
    .filter((id) => id === self || !often(0.05))
    .map(
      (member): VoterNode => ({
        member,
        name: `n${member}`,
        master_capable: !often(0.1),
        vm_capable: !often(0.15),
        master_candidate: !often(0.3),
        offline: often(0.08),
        drained: often(0.08),
        domains: racks === 0 ? [] : [`rack ${below(racks)}`],
        trouble: often(0.05) ? 'has a slow disk' : '',
      }),
    );
  return {
    self,
    configuration: {
      voters,
      voters_outgoing: [],
      learners: ids.filter((id) => !voters.includes(id)),
      learners_next: [],
      auto_leave: false,
    },
    nodes,
    progress,
    candidate_pool_size: 1 + below(9),
    since_change_ms: 1e9,
    leads_for_ms: 1e9,
    limits: voterLimits(10_000),
  };
}

function after(view: VoterView, step: Exclude<VoterStep, { type: 'none' }>): VoterView {
  if (step.type === 'hand-over') {
    const progress = new Map(view.progress);
    progress.delete(step.to);
    return { ...view, self: step.to, progress: progress.set(view.self, well) };
  }
  const planned = planChange(view.configuration, step.changes);
  assert.ok(planned.ok, `the core refuses ${JSON.stringify(step)}`);
  const { voters, learners, learners_next } = planned.configuration;
  return {
    ...view,
    configuration: {
      ...planned.configuration,
      voters,
      voters_outgoing: [],
      learners: [...learners, ...learners_next].sort((a, b) => a - b),
      learners_next: [],
    },
  };
}

/** A stand-by gives its vote to a candidate. */
function yields(facts: VoterFacts, id: MemberId, added: readonly MemberId[]): boolean {
  const candidate = (of: MemberId) => facts.node(of)?.master_candidate === true;
  return !candidate(id) && added.length === 1 && added.every(candidate);
}

/** What every single step must keep. */
function checkStep(view: VoterView, step: Exclude<VoterStep, { type: 'none' }>): void {
  const facts = new VoterFacts(view);
  const before = view.configuration.voters;
  assert.notEqual(step.reason, '');
  if (step.type === 'hand-over') {
    assert.ok(before.includes(step.to) && facts.isCaughtUp(step.to), 'the heir votes and is caught up');
    assert.equal(facts.unfit(step.to), '', 'the heir may lead');
    return;
  }
  const next = after(view, step).configuration.voters;
  const live = (ids: readonly MemberId[]) => ids.filter((id) => facts.isLive(id)).length;
  const added = next.filter((id) => !before.includes(id));
  const dropped = before.filter((id) => !next.includes(id));

  assert.ok(next.includes(view.self), 'the leader keeps its vote');
  assert.ok(2 * live(before) > before.length, 'a majority of the old voters answers');
  assert.ok(2 * live(next) > next.length, 'a majority of the new voters answers');
  for (const id of added) assert.ok(facts.isCaughtUp(id) && facts.unfit(id) === '', `n${id} may vote`);
  const beside_lone_leader = before.length === 1 && next.length === 2 && facts.unfit(view.self) !== '';
  assert.ok(next.length % 2 === 1 || beside_lone_leader, `${next.length} voters`);

  const forced =
    before.length > facts.target || before.length % 2 === 0 || dropped.some((id) => facts.barred(id) !== '');
  if (!forced) assert.ok(live(next) >= live(before), 'live voters became fewer');
  if (!forced) assert.ok(next.length >= before.length, 'voters became fewer');

  // Nothing moves that need not: only giving, only taking, or one for one.
  assert.ok(added.length === 0 || dropped.length === 0 || (added.length === 1 && dropped.length === 1));
  if (added.length > 0) assert.ok(next.length <= facts.target || beside_lone_leader, 'not more than wanted');
  const crowded = largestDomain(facts, before);
  for (const id of dropped)
    assert.ok(
      facts.unfit(id) !== '' || forced || yields(facts, id, added) || 2 * crowded.votes > before.length,
      `n${id} loses its vote for nothing`,
    );
}

function settle(start: VoterView): { view: VoterView; steps: number } {
  let view = start;
  for (let steps = 0; ; steps += 1) {
    assert.ok(steps < 40, 'it does not end');
    const step = adjustVoters(view);
    if (step.type === 'none') return { view, steps };
    checkStep(view, step);
    view = after(view, step);
  }
}

function forEachCluster(racks: number, check: (view: VoterView) => void): number {
  let steps = 0;
  for (let seed = 1; seed <= clusters; seed += 1) {
    const view = draw(seededRandom(seed), racks);
    if (view === null) continue;
    try {
      steps += settle(view).steps;
      check(settle(view).view);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify({ ...view, progress: [...view.progress] })}`, {
        cause: error,
      });
    }
  }
  return steps;
}

test('repeated steps end, each keeping what must be kept, in an odd number of voters', () => {
  for (const racks of [0, 4]) {
    const steps = forEachCluster(racks, (view) => {
      const { voters } = view.configuration;
      const facts = new VoterFacts(view);
      const stuck = voters.filter((id) => facts.isSuspect(id)).length > 0 || facts.unfit(view.self) !== '';
      assert.ok(voters.length % 2 === 1 || stuck, `ends with ${voters.length} voters`);
    });
    assert.ok(steps > clusters / 2, `only ${steps} steps were seen`);
  }
});

test('when everybody comes back, no vote moves back but those of stand-bys', () => {
  let returned = 0;
  forEachCluster(0, (settled) => {
    const facts = new VoterFacts(settled);
    const { voters, learners } = settled.configuration;
    if (voters.length !== facts.target || facts.isWitness(settled.self)) return;
    if (voters.some((id) => facts.unfit(id) !== '')) return;
    returned += learners.filter((id) => facts.isLost(id)).length;
    const progress = new Map([...settled.progress.keys()].map((id) => [id, well]));
    const step = adjustVoters({ ...settled, progress });
    if (step.type !== 'none') assert.match(step.reason, /is no master candidate/);
  });
  assert.ok(returned > 100, `only ${returned} came back`);
});

test('whoever leaves is out after a few steps, or the reason says what that waits for', () => {
  let out = 0;
  for (let seed = 1; seed <= clusters; seed += 1) {
    let view = draw(seededRandom(seed), 0);
    if (view === null || view.configuration.voters.length % 2 === 0) continue;
    const member = view.configuration.voters[seed % view.configuration.voters.length] ?? 0;
    for (let steps = 0; ; steps += 1) {
      assert.ok(steps < 5, `seed ${seed}: it does not end`);
      const step = leaveStep(view, member);
      if (step.type === 'none') {
        const { voters, learners } = view.configuration;
        const in_group = [...voters, ...learners].includes(member);
        assert.equal(step.reason === '', !in_group, `seed ${seed}: ${step.reason}`);
        if (!in_group) assert.equal(voters.length % 2, 1, `seed ${seed}: ${voters}`);
        if (!in_group) out += 1;
        break;
      }
      const keeps_lead = step.type === 'hand-over' || !step.changes.some(({ id }) => id === view?.self);
      assert.ok(keeps_lead, `seed ${seed}: the leader loses its vote before the lead`);
      view = after(view, step);
    }
  }
  assert.ok(out > clusters / 8, `only ${out} left`);
});
