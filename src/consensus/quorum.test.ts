/** Counting, against other ways to count (thesis, sections 3.6 and 4.3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { majorityReached, majorityVote, quorumReached, quorumVote } from './quorum.ts';
import type { MemberId } from './types.ts';

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 });
const indexes = fc.dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.integer({ min: 1, max: 20 }));
const votes = fc.dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.boolean());
const numRuns = 10_000;

/** From the definition: try every index, count who has it. */
function counted(voters: readonly MemberId[], of: Record<string, number>): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  for (let index = 20; index > 0; index--) {
    if (2 * voters.filter((id) => (of[id] ?? 0) >= index).length > voters.length) return index;
  }
  return 0;
}

test('the index of a majority is the one found by counting', () => {
  fc.assert(
    fc.property(ids, indexes, (voters, of) => {
      assert.equal(
        majorityReached(voters, (id) => of[id]),
        counted(voters, of),
      );
    }),
    { numRuns },
  );
});

test('joint: both halves, in either order; with itself and with nobody it is simple', () => {
  fc.assert(
    fc.property(ids, ids, indexes, (a, b, of) => {
      const reached = (id: MemberId): number | undefined => of[id];
      const joint = quorumReached({ voters: a, voters_outgoing: b }, reached);
      assert.equal(joint, Math.min(counted(a, of), counted(b, of)));
      assert.equal(joint, quorumReached({ voters: b, voters_outgoing: a }, reached));
      assert.equal(quorumReached({ voters: a, voters_outgoing: a }, reached), majorityReached(a, reached));
      assert.equal(quorumReached({ voters: a, voters_outgoing: [] }, reached), majorityReached(a, reached));
    }),
    { numRuns },
  );
});

test('an index below the committed one may fall without changing it', () => {
  fc.assert(
    fc.property(ids, ids, indexes, (a, b, of) => {
      const halves = { voters: a, voters_outgoing: b };
      const committed = quorumReached(halves, (id) => of[id]);
      const lowered = (id: MemberId): number => ((of[id] ?? 0) < committed ? 0 : (of[id] ?? 0));
      assert.equal(quorumReached(halves, lowered), committed);
    }),
    { numRuns },
  );
});

test('votes: won, pending and lost by the definition; joint symmetric, with itself simple', () => {
  fc.assert(
    fc.property(ids, ids, votes, (a, b, of) => {
      const vote = (id: MemberId): boolean | undefined => of[id];
      const granted = a.filter((id) => of[id] === true).length;
      const open = a.filter((id) => of[id] === undefined).length;
      const won = a.length === 0 || 2 * granted > a.length;
      const expected = won ? 'won' : 2 * (granted + open) > a.length ? 'pending' : 'lost';
      assert.equal(majorityVote(a, vote), expected);
      assert.equal(quorumVote({ voters: a, voters_outgoing: a }, vote), expected);
      const joint = quorumVote({ voters: a, voters_outgoing: b }, vote);
      assert.equal(joint, quorumVote({ voters: b, voters_outgoing: a }, vote));
      const parts = [majorityVote(a, vote), majorityVote(b, vote)];
      assert.equal(joint === 'lost', parts.includes('lost'));
      assert.equal(
        joint === 'won',
        parts.every((part) => part === 'won'),
      );
    }),
    { numRuns },
  );
});
