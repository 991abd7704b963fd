/**
 * The arithmetic of quorums and changes against other ways to come to the same, 10,000 seeded cases each. The other ways
 * are written here from the definitions (thesis, sections 3.6, 4.1 and 4.3) and share nothing with the source.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  configurationOf,
  enterJoint,
  isVoter,
  leaveJoint,
  majorityReached,
  majorityVote,
  planChange,
  quorumReached,
  quorumVote,
  simpleChange,
} from './arithmetic.ts';
import type { Configuration, MemberChange, MemberId } from './types.ts';

const run = { numRuns: 10_000, seed: 20_140 };
const id = fc.integer({ min: 1, max: 9 });
const half = fc.uniqueArray(id, { maxLength: 7 });
/** Numbers large and small, and gaps: a member that nothing is known of. */
const number = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 2 ** 50 }));
const reached = fc.array(fc.option(number, { nil: undefined }), { minLength: 10, maxLength: 10 });
const answers = fc.array(fc.option(fc.boolean(), { nil: undefined }), { minLength: 10, maxLength: 10 });

/** The largest number for which more than half have it, found by counting for each candidate. */
function byCounting(voters: readonly MemberId[], of: readonly (number | undefined)[]): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const candidates = [0, ...voters.map((voter) => of[voter] ?? 0)];
  const agreed = candidates.filter((candidate) => {
    const have = voters.filter((voter) => (of[voter] ?? 0) >= candidate).length;
    return have > voters.length - have;
  });
  return Math.max(0, ...agreed);
}

/** By every way in which those who have not answered may yet answer. */
function byCases(voters: readonly MemberId[], of: readonly (boolean | undefined)[]): string {
  const open = voters.filter((voter) => of[voter] === undefined);
  const outcomes = new Set<boolean>();
  for (let answer = 0; answer < 2 ** open.length; answer++) {
    const granted = voters.filter((voter) => {
      return of[voter] ?? ((answer >> open.indexOf(voter)) & 1) === 1;
    });
    outcomes.add(voters.length === 0 || granted.length > voters.length - granted.length);
  }
  if (outcomes.size === 2) return 'pending';
  return outcomes.has(true) ? 'won' : 'lost';
}

test('a majority reached: sorting and counting agree', () => {
  fc.assert(
    fc.property(half, reached, (voters, of) => {
      assert.equal(
        majorityReached(voters, (voter) => of[voter]),
        byCounting(voters, of),
      );
    }),
    run,
  );
});

test('a joint quorum reached: the lower half counts; halves may change places; with itself, or with nobody, it is simple', () => {
  fc.assert(
    fc.property(half, half, reached, (a, b, of) => {
      const joint = (voters: MemberId[], voters_outgoing: MemberId[]): number =>
        quorumReached({ voters, voters_outgoing }, (voter) => of[voter]);
      assert.equal(joint(a, b), Math.min(byCounting(a, of), byCounting(b, of)));
      assert.equal(joint(a, b), joint(b, a));
      assert.equal(joint(a, a), byCounting(a, of));
      assert.equal(joint(a, []), byCounting(a, of));
      assert.equal(joint([], a), byCounting(a, of));
    }),
    run,
  );
});

test('a number below the one reached may fall without changing it, one at or above may rise', () => {
  fc.assert(
    fc.property(half, half, reached, number, (voters, voters_outgoing, of, other) => {
      const halves = { voters, voters_outgoing };
      const before = quorumReached(halves, (voter) => of[voter]);
      const lowered = of.map((at = 0) => (at < before ? Math.min(at, other) : at));
      assert.equal(
        quorumReached(halves, (voter) => lowered[voter]),
        before,
      );
      const forgotten = of.map((at) => ((at ?? 0) < before ? undefined : at));
      assert.equal(
        quorumReached(halves, (voter) => forgotten[voter]),
        before,
      );
      const raised = of.map((at = 0) => (at > before ? at + other : at));
      assert.equal(
        quorumReached(halves, (voter) => raised[voter]),
        before,
      );
    }),
    run,
  );
});

test('votes: decided when no further answer can change it; the same laws as for numbers', () => {
  fc.assert(
    fc.property(half, half, answers, (a, b, of) => {
      const vote = (voter: MemberId): boolean | undefined => of[voter];
      const joint = (voters: MemberId[], voters_outgoing: MemberId[]): string =>
        quorumVote({ voters, voters_outgoing }, vote);
      assert.equal(majorityVote(a, vote), byCases(a, of));
      const parts = [byCases(a, of), byCases(b, of)];
      const expected = parts.includes('lost') ? 'lost' : parts.includes('pending') ? 'pending' : 'won';
      assert.equal(joint(a, b), expected);
      assert.equal(joint(b, a), expected);
      assert.equal(joint(a, a), byCases(a, of));
      assert.equal(joint(a, []), byCases(a, of));
      assert.equal(joint([], a), byCases(a, of));
    }),
    run,
  );
});

test('votes: an answer that comes late leaves a decision as it is', () => {
  fc.assert(
    fc.property(half, half, answers, answers, (voters, voters_outgoing, of, late) => {
      const halves = { voters, voters_outgoing };
      const before = quorumVote(halves, (voter) => of[voter]);
      const after = quorumVote(halves, (voter) => of[voter] ?? late[voter]);
      if (before !== 'pending') assert.equal(after, before);
    }),
    run,
  );
});

const change = fc.record({
  type: fc.constantFrom('add-voter', 'add-learner', 'remove'),
  id: fc.integer({ min: 1, max: 6 }),
}) satisfies fc.Arbitrary<MemberChange>;
const start = fc
  .record({
    voters: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
    learners: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }),
  })
  .map(({ voters, learners }) => {
    return configurationOf(
      voters,
      learners.filter((learner) => !voters.includes(learner)),
    );
  });

/** What each member is to be: the last change that names it decides; the rest stay what they are. */
function byLastWord(from: Configuration, changes: readonly MemberChange[]): Configuration {
  const roles = new Map<MemberId, string>();
  for (const voter of from.voters) roles.set(voter, 'add-voter');
  for (const learner of from.learners) roles.set(learner, 'add-learner');
  for (const { type, id: member } of changes) roles.set(member, type);
  const all = (role: string): MemberId[] =>
    [...roles].filter(([, is]) => is === role).map(([member]) => member);
  return configurationOf(all('add-voter'), all('add-learner'));
}

test('through a joint configuration or by single changes: the same members in the end', () => {
  let compared = 0;
  fc.assert(
    fc.property(start, fc.array(change, { maxLength: 5 }), (from, changes) => {
      const goal = byLastWord(from, changes);
      const entered = enterJoint(from, changes, true);
      if (goal.voters.length === 0) {
        assert.deepEqual(entered, { ok: false, error: 'removed all voters' });
        return;
      }
      assert.ok(entered.ok);
      assert.deepEqual(entered.configuration.voters_outgoing, from.voters);
      const left = leaveJoint(entered.configuration);
      assert.ok(left.ok);
      assert.deepEqual(left.configuration, goal);
      // One member at a time, those who come before those who go, so that somebody votes at any time.
      const last = [...new Map(changes.map((one) => [one.id, one])).values()];
      const coming = last.filter(({ type }) => type === 'add-voter');
      const going = last.filter(({ type }) => type !== 'add-voter');
      let at = from;
      for (const one of [...coming, ...going]) {
        const step = simpleChange(at, [one]);
        assert.ok(step.ok);
        at = step.configuration;
      }
      assert.deepEqual(at, goal);
      compared++;
    }),
    run,
  );
  assert.ok(compared > 5_000, `${compared} of 10,000 cases could be compared`);
});

test('a plan is simple exactly when at most one voter comes or goes, and ends where the changes say', () => {
  fc.assert(
    fc.property(start, fc.array(change, { maxLength: 5 }), (from, changes) => {
      const goal = byLastWord(from, changes);
      const plan = planChange(from, changes);
      assert.equal(plan.ok, goal.voters.length > 0);
      if (!plan.ok) return;
      const moved = [1, 2, 3, 4, 5, 6].filter((member) => isVoter(from, member) !== isVoter(goal, member));
      assert.equal(plan.configuration.voters_outgoing.length > 0, moved.length > 1);
      if (moved.length <= 1) {
        assert.deepEqual(plan.configuration, goal);
        return;
      }
      const left = leaveJoint(plan.configuration);
      assert.deepEqual(left.ok && left.configuration, goal);
    }),
    run,
  );
});
