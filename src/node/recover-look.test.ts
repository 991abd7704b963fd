import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from '../consensus/index.ts';
import type { Configuration } from '../consensus/types.ts';
import { isAhead, judgeRecovery, type RecoverAnswer, type RecoverPeer } from './recover-look.ts';

const answer = (last_index: number, last_term = 3, more: Partial<RecoverAnswer> = {}): RecoverAnswer => ({
  leader: 0,
  term: 3,
  last_index,
  last_term,
  last_time: 1,
  faulty: false,
  ...more,
});
const peer = (member: number, given: RecoverAnswer | null): RecoverPeer => ({
  name: `n${member}`,
  member,
  answer: given,
  silent_since: null,
});
const three = configurationOf([1, 2, 3]);

function refusal(
  own: RecoverAnswer,
  peers: readonly RecoverPeer[],
  configuration: Configuration = three,
): string | null {
  return judgeRecovery({ self: { name: 'n1', member: 1, answer: own }, configuration, peers }).refusal;
}

test('one survivor of three may be recovered; a majority that answers may not, however it stands', () => {
  assert.equal(refusal(answer(9), [peer(2, null), peer(3, null)]), null);
  assert.match(
    refusal(answer(9), [peer(2, answer(5)), peer(3, null)]) ?? '',
    /majority .*answers \(n1, n2\)/,
  );
  const five = configurationOf([1, 2, 3, 4, 5]);
  const two = [peer(2, answer(9)), peer(3, null), peer(4, null), peer(5, null)];
  assert.equal(refusal(answer(9), two, five), null);
  const three_of_five = two.with(1, peer(3, answer(9)));
  assert.match(refusal(answer(9), three_of_five, five) ?? '', /majority/);
  // Who is a learner is not counted, and a voter whose storage is damaged cannot vote.
  assert.equal(
    refusal(answer(9), [peer(2, null), peer(4, answer(9))], configurationOf([1, 2, 3], [4])),
    null,
  );
  assert.equal(refusal(answer(9), [peer(2, answer(5, 3, { faulty: true })), peer(3, null)]), null);
});

test('in a joint configuration both halves must have their majority', () => {
  const joint: Configuration = { ...three, voters: [1, 4, 5], voters_outgoing: [1, 2, 3], auto_leave: true };
  const peers = [2, 3, 4, 5].map((member) => peer(member, member === 2 ? answer(9) : null));
  assert.equal(refusal(answer(9), peers, joint), null);
  assert.match(refusal(answer(9), peers.with(2, peer(4, answer(9))), joint) ?? '', /majority/);
});

test('a leader known to anyone forbids it, also one that this host does not reach', () => {
  assert.match(refusal(answer(9, 3, { leader: 1 }), [peer(2, null), peer(3, null)]) ?? '', /^n1 leads$/);
  assert.match(
    refusal(answer(9), [peer(2, answer(9, 3, { leader: 3 })), peer(3, null)]) ?? '',
    /^n2 hears a leader, n3$/,
  );
});

test('the survivor that knows most is named; a damaged one never, and never recovered', () => {
  const five = configurationOf([1, 2, 3, 4, 5]);
  const rest = [peer(3, null), peer(4, null), peer(5, null)];
  assert.match(refusal(answer(9), [peer(2, answer(10)), ...rest], five) ?? '', /^n2 has more of the log/);
  assert.match(refusal(answer(99), [peer(2, answer(10, 4)), ...rest], five) ?? '', /^n2 has more/);
  assert.equal(refusal(answer(9), [peer(2, answer(10, 3, { faulty: true })), ...rest], five), null);
  assert.match(refusal(answer(9, 3, { faulty: true }), [peer(2, null), peer(3, null)]) ?? '', /damaged/);
  assert.equal(isAhead(answer(9), answer(9)), false);
  assert.equal(isAhead(answer(1, 4), answer(9, 3)), true);
});
