import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsensusError } from './api.ts';
import type { Entry } from './types.ts';
import { proposal_limits, proposal_timeout_ms, WaitingProposals } from './waiting-proposals.ts';

function waiting(proposals: WaitingProposals, size = 1): { readonly answers: unknown[] } {
  const answers: unknown[] = [];
  proposals.add({
    data: new Uint8Array(size),
    begun_ms: 0,
    resolve: (answer) => answers.push(answer.result),
    reject: (error: ConsensusError) => answers.push(`${error.code}/${error.outcome}`),
  });
  return { answers };
}

const entry = (index: number, term: number): Entry => ({
  index,
  term,
  kind: 'command',
  data: new Uint8Array(1),
});

test('an entry of another term at the same index is not the answer', () => {
  const proposals = new WaitingProposals();
  const { answers } = waiting(proposals);
  proposals.proposed(proposals.takeUnproposed(), 5, 2);
  proposals.applied(entry(5, 3), 'not mine');
  assert.deepEqual(answers, ['lost/not-proposed']);
});

test('when the lead is lost, what is committed still gets its result; each is answered once', () => {
  const proposals = new WaitingProposals();
  const all = [waiting(proposals), waiting(proposals)];
  proposals.proposed(proposals.takeUnproposed(), 5, 2);
  all.push(waiting(proposals));
  proposals.leadLost(5, 3);
  proposals.applied(entry(5, 2), 'mine');
  proposals.applied(entry(6, 2), 'too late');
  proposals.close();
  assert.deepEqual(
    all.map(({ answers }) => answers),
    [['mine'], ['lost/unknown'], ['not-leader/not-proposed']],
  );
});

test('nobody waits for ever, and room is given back', () => {
  const proposals = new WaitingProposals();
  const { answers } = waiting(proposals, proposal_limits.bytes);
  assert.equal(proposals.admits(1), false);
  proposals.proposed(proposals.takeUnproposed(), 1, 1);
  proposals.expire(proposal_timeout_ms);
  assert.deepEqual(answers, []);
  proposals.expire(proposal_timeout_ms + 1);
  assert.deepEqual(answers, ['timeout/unknown']);
  assert.equal(proposals.admits(proposal_limits.bytes), true);
});
