// What `skein raft status` says of each member, written as clusters in a line (test-sketch.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memberStandings } from './standing.ts';
import { type SketchOptions, sketch } from './test-sketch.ts';

function said(text: string, faulty: readonly number[] = [], options: SketchOptions = {}): readonly string[] {
  const faults = new Map(faulty.map((id) => [id, 'a bit was flipped']));
  return memberStandings(sketch(text, options), faults).map(
    ({ member, role, lag, why, silent_for_ms }) =>
      `${member} ${role} ${lag ?? '-'}${silent_for_ms > 0 ? ` ${silent_for_ms} ms` : ''}: ${why}`,
  );
}

test('why each votes, is a stand-by or is not eligible', () => {
  assert.deepEqual(
    said(
      'n1* n2(silent 5) n3(no candidate) | n4(behind 900) n5(drained) n6(not capable) n7(silent 9) n8(no candidate) n9',
      [],
      { pool: 3 },
    ),
    [
      '1 leader 0: votes',
      '2 voter 0 5000 ms: is silent, not for long enough to be replaced',
      '3 voter 0: is no master candidate: votes until one is ready',
      '4 learner 900: stand-by: has yet to catch up',
      '5 learner 0: not eligible: is drained',
      '6 learner 0: not eligible: is not master_capable',
      '7 learner 0 9000 ms: not eligible: is silent',
      '8 learner 0: stand-by, no master candidate: 3 of 3 vote',
      '9 learner 0: stand-by: 3 of 3 vote',
    ],
  );
});

test('a faulty member, its old number, and one that waits for its vote', () => {
  const [, second, third, fourth] = said('n1* n2(damaged) n3(gone) | n4(stable 7)', [2]);
  assert.equal(second, '2 voter 0: neither votes nor counts until it has begun anew under a new number');
  assert.match(third ?? '', /^3 voter 0: was the number of a node/);
  assert.match(fourth ?? '', /^4 learner 0: stand-by/);
  const few = said('n1*(drained) n2(offline) n3(silent 99, witness) | n4(stable 7) n5(gone)', [], {
    pool: 5,
  });
  assert.deepEqual(few.slice(0, 3), [
    '1 leader 0: is drained: votes until another is ready',
    '2 voter 0: is marked offline: votes until another is ready',
    '3 voter 0 99000 ms: has been silent for 99 s: votes until another is ready',
  ]);
  assert.equal(few[4], '5 learner 0: is not in the cluster any more: leaves the group');
  assert.match(said('n1* | n2(stable 7)')[1] ?? '', /2 learner 0: stand-by/);
  const view = sketch('n1* n2(witness) n3');
  const outside = { ...view.nodes[0]!, member: 9, name: 'n9' };
  const all = memberStandings({ ...view, nodes: [...view.nodes, outside] }, new Map());
  assert.deepEqual(all.at(-1), {
    member: 9,
    name: 'n9',
    role: 'outside',
    lag: null,
    silent_for_ms: 0,
    fault: '',
    why: 'is about to be taken into the group',
  });
  assert.equal(all[1]?.why, 'votes, as a witness');
});
