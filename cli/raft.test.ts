import assert from 'node:assert/strict';
import { test } from 'node:test';
import { raftLines } from './raft.ts';

test('raft status: one line a member, with the reason; what is waited for comes last', () => {
  const well = { lag: 0, silent_for_ms: 0, fault: '', role: 'voter', why: 'votes' } as const;
  const members = [
    { ...well, member: 1, name: 'n1', role: 'leader' },
    { ...well, member: 2, name: 'n2', lag: null, fault: 'a bit was flipped', why: 'counts for nothing' },
    { ...well, member: 12, name: '', silent_for_ms: 61_200, lag: 31, role: 'learner', why: 'stand-by' },
  ] as const;
  assert.deepEqual(raftLines({ leader: 'n1', term: 4, waits_for: '', members }), [
    'n1 leads, term 4',
    'Member Node Role    Lag Silent Why',
    '     1 n1   leader    0      - votes',
    '     2 n2   voter     -      - FAULTY (a bit was flipped): counts for nothing',
    '    12 -    learner  31   61 s stand-by',
  ]);
  assert.equal(
    raftLines({ leader: 'n1', term: 4, waits_for: '2 of 3 vote', members }).at(-1),
    'The voters: 2 of 3 vote',
  );
});
