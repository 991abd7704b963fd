// The rules of docs/voters.md as a table: a cluster, the one step that follows, and words that its reason must have.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { adjustVoters, leaveStep } from './adjust.ts';
import { type SketchOptions, shortly, sketch } from './test-sketch.ts';
import { voterTarget } from './view.ts';

type Row = readonly [cluster: string, step: string, reason: string, options?: SketchOptions];

const tables: Readonly<Record<string, readonly Row[]>> = {
  'how many vote: the largest odd number that hosts and pool allow, at most seven': [
    ['n1*', 'none', ''],
    ['n1* | n2', 'none', ''],
    ['n1* | n2 n3', '+n2 +n3', '3 are to vote'],
    ['n1* | n2 n3 n4', '+n2 +n3', '3 are to vote'],
    ['n1* | n2 n3 n4 n5', '+n2 +n3 +n4 +n5', '5 are to vote'],
    ['n1* n2 n3 | n4', 'none', ''],
    ['n1* n2 n3 | n4 n5', '+n4 +n5', '5 are to vote'],
    ['n1* n2 n3 n4 n5 | n6 n7', 'none', ''],
    ['n1* n2 n3 n4 n5 | n6 n7', '+n6 +n7', '7 are to vote', { pool: 10 }],
    ['n1* n2 n3 n4 n5 n6 n7 | n8 n9', 'none', '', { pool: 10 }],
    ['n1* n2 n3 | n4 n5', 'none', '', { pool: 4 }],
    ['n1* | n2 n3', 'none', '', { pool: 1 }],
    ['n1* n2 n3 n4 n5', '-n5 -n4', '3 are to vote, not 5', { pool: 3 }],
    ['n1* n2(silent 61) n3 n4 n5', '-n2 -n5', '3 are to vote', { pool: 3 }],
    ['n1* n2 n3(no candidate) n4 n5', '-n3 -n5', '3 are to vote', { pool: 3 }],
    ['n1* n2 n3 n4 n5', '-n5 -n4 -n3 -n2', '1 are to vote', { pool: 2 }],
  ],
  'while a cluster grows, whoever is caught up votes at once': [
    ['n1* | n2(stable 0) n3(stable 0)', '+n2 +n3', '3 are to vote', { changed_s: 0, leads_s: 1 }],
    ['n1* n2 n3 | n4(stable 0) n5(stable 0)', '+n4 +n5', '5 are to vote', { changed_s: 0 }],
    ['n1* | n2 n3(behind 251)', 'none', '1 of 3 vote: nobody else is ready'],
    ['n1* | n2 n3(behind 250)', '+n2 +n3', '3 are to vote'],
    ['n1* | n2 n3(silent 3)', 'none', '1 of 3 vote'],
    ['n1* | n2 n3(offline)', 'none', '1 of 3 vote'],
    ['n1* | n2 n3(not capable)', 'none', ''],
    ['n1* | n2 n3(slow disk)', 'none', '1 of 3 vote'],
  ],
  'when something is wrong, a learner must have been steady, and changes keep their distance': [
    ['n1* n2 n3(silent 5) | n4(stable 10) n5(stable 10)', 'none', 'silent, not for long enough'],
    ['n1* n2 n3(silent 5) | n4 n5', '+n4 +n5', '5 are to vote'],
    ['n1* n2 n3(silent 61) | n4(stable 29)', 'none', 'nobody is ready'],
    ['n1* n2 n3(silent 61) | n4(stable 30)', '+n4 -n3', 'n3 has been silent for 61 s: n4 votes instead'],
    ['n1* n2 n3(silent 61) | n4', 'none', 'after the last change', { changed_s: 9 }],
    ['n1* n2 n3(silent 61) | n4', '+n4 -n3', 'silent', { changed_s: 10 }],
    ['n1* n2 n3 | n4', 'none', 'under way', { joint: true }],
  ],
  'a lost voter is replaced by a swap, never by making the group smaller': [
    ['n1* n2 n3(silent 59) | n4', 'none', 'not for long enough'],
    ['n1* n2 n3(silent 3600)', 'none', 'nobody is ready to vote instead'],
    ['n1* n2 n3(silent 3600) | n4(silent 3600)', 'none', 'nobody is ready'],
    ['n1* n2 n3(silent 61) | n4(drained) n5', '+n5 -n3', 'n5 votes instead'],
    ['n1* n2(silent 90) n3(silent 61) n4 n5 | n6 n7', '+n6 -n3', 'n3'],
    ['n1* n2(silent 90) n3 n4 n5 n6 | n7', '-n2', 'n2 loses its vote', { pool: 7 }],
    ['n1* n2(silent 20) n3(silent 20) n4 n5 | n6 n7', 'none', 'until it is clear what ails n2, n3'],
    ['n1* n2(silent 20) n3(silent 61) n4 n5 | n6 n7', '+n6 -n3', 'n3'],
    ['n1* n2 n3(damaged, silent 5) | n4', '+n4 -n3', 'n3 has damaged storage: n4'],
    ['n1* n2(damaged, silent 5) n3(silent 5) n4 n5 | n6', '+n6 -n2', 'n2'],
    ['n1* n2 n3(silent 61) | n4(damaged, silent 5)', 'none', 'nobody is ready'],
    ['n1* n2 n4 | n3', 'none', ''],
  ],
  'who gets a free vote: candidates, then fresh failure domains, then witnesses': [
    ['n1* n2 n3(silent 61) | n4(no candidate) n5', '+n5 -n3', 'n5'],
    ['n1* n2 n3(silent 61) | n4(no candidate)', '+n4 -n3', 'n4'],
    ['n1*(rack A) n2(rack B) n3(rack C, silent 61) | n4(rack A) n5(rack D)', '+n5 -n3', 'n5'],
    ['n1*(rack A) n2(rack B) n3(rack C, silent 61) | n4(rack A) n5(rack C)', '+n5 -n3', 'n5'],
    [
      'n1*(rack A, power 1) n2(rack B, power 1) n3(silent 61) | n4(rack C, power 1) n5(rack A, power 2)',
      '+n5 -n3',
      'n5',
    ],
    ['n1*(rack A) | n2(rack A) n3(rack B) n4(rack C)', '+n3 +n4', '3 are to vote', { pool: 3 }],
    ['n1*(rack A) n2(rack A) n3(rack B) n4(rack B) n5(rack C)', '-n4 -n2', '3 are to vote', { pool: 3 }],
    ['n1* n2 n3(silent 61) | n4 n5(witness)', '+n5 -n3', 'n5'],
    ['n1* n2 n3(silent 61) | n4 n5(witness, no candidate)', '+n4 -n3', 'n4'],
  ],
  'votes leave a domain that holds a majority of them, if that helps': [
    ['n1*(rack A) n2(rack A) n3(rack B) | n4(rack C)', '+n4 -n2', '2 of 3 votes are in rack A'],
    ['n1*(rack A) n2(rack A) n3(rack B) | n4(rack B)', 'none', ''],
    ['n1*(rack A) n2(rack B) n3(rack C) | n4(rack D)', 'none', ''],
    ['n1*(rack A) n2(rack A) n3(rack A) n4(rack A) n5(rack A) | n6(rack B) n7(rack C)', 'none', ''],
    [
      'n1*(rack A) n2(rack A) n3(rack A) n4(rack A) n5(rack A) | n6(rack B) n7(rack C) n8(rack B)',
      '+n6 -n5',
      'rack A',
    ],
    ['n1*(rack A) n2(rack A) n3(rack B) | n4(rack C, stable 59)', 'none', ''],
    ['n1*(rack A) n2(rack A) n3(rack B, silent 3) | n4(rack C)', 'none', 'silent'],
    ['n1*(rack A) n2(rack A) n3(rack B) | n4(rack C)', 'none', 'after the last change', { changed_s: 1 }],
  ],
  'what an operator says of a voter': [
    ['n1* n2 n3(offline) | n4', '+n4 -n3', 'n3 is marked offline: n4'],
    ['n1* n2 n3(drained) | n4', '+n4 -n3', 'n3 is drained: n4'],
    ['n1* n2 n3(drained)', 'none', 'nobody is ready'],
    ['n1* n2 n3(offline, silent 900)', 'none', 'nobody is ready'],
    ['n1* n2 n3(not capable) | n4', '+n4 -n3', 'not master_capable: n4'],
    ['n1* n2 n3(not capable)', '-n3 -n2', 'n2 no longer votes either'],
    ['n1* n2 n3 n4 n5(not capable)', '-n5 -n4', 'keep it odd'],
    ['n1* n2 n3(silent 80) n4 n5(not capable)', '-n5 -n3', 'n3 no longer votes either'],
    ['n1* n2 n3(not capable) | n4(behind 900)', 'none', 'waits for n4 to catch up'],
    ['n1* n2 n3(not capable) | n4(silent 900)', '-n3 -n2', 'keep it odd'],
    ['n1* n2 n3(slow disk) | n4', '+n4 -n3', 'slow disk'],
    ['n1* n2 n3(gone) | n4', '+n4 xn3', 'not in the cluster any more: n4'],
    ['n1* n2 n3(gone) | n4(stable 1)', '+n4 xn3', 'n4 votes instead', { changed_s: 0 }],
    ['n1* n2 n3(gone) | n4(behind 900)', 'none', 'nobody is ready'],
    ['n1* n2 n3(gone) | n4(silent 900)', 'none', 'nobody is ready'],
    ['n1* n2 n3(gone)', 'xn3 -n2', 'n2 no longer votes'],
    ['n1* n2(gone) n3(gone) n4 n5', 'xn3 xn2', 'not in the cluster'],
    ['n1* n2 n3(no candidate) | n4', '+n4 -n3', 'n3 is no master candidate: n4 votes instead'],
    ['n1* n2 n3(no candidate) | n4(stable 59)', 'none', ''],
    ['n1* n2 n3(no candidate) | n4(no candidate)', 'none', ''],
    ['n1* n2(silent 5) n3(no candidate) | n4', 'none', 'silent'],
    ['n1*(no candidate) n2 n3 | n4', 'lead n2', 'n1 leads and is no master candidate: n2'],
    ['n1*(no candidate) n2 n3', 'none', ''],
    ['n1*(rack A) n2(rack A) n3(rack B, no candidate) | n4(rack C)', '+n4 -n3', 'n3 is no'],
    ['n1*(rack A) n2(rack B) n3(rack C, no candidate) | n4(rack A)', 'none', ''],
  ],
  'a leader hands the lead over before its vote is taken': [
    ['n1*(drained) n2 n3 | n4', 'lead n2', 'n1 leads and is drained: n2'],
    ['n1*(offline) n2 n3', 'lead n2', 'offline'],
    ['n1*(not capable) n2 n3', 'lead n2', 'master_capable'],
    ['n1*(drained) n2(behind 400) n3', 'lead n3', 'n3'],
    ['n1*(drained) n2(witness) n3', 'lead n3', 'n3'],
    ['n1*(drained) n2(witness) n3(silent 5)', 'lead n2', 'n2'],
    ['n1*(drained) n2(drained) n3(drained)', 'none', 'nobody is ready'],
    ['n1*(drained) n2(drained) n3(drained) | n4', '+n4 -n3', 'n3'],
    ['n1*(drained) | n2', '+n2', 'gets a vote to take over with'],
    ['n1*(drained) n2', 'lead n2', 'n2 takes over', { changed_s: 0 }],
    ['n1(drained) n2*', '-n1', 'n1 loses its vote: it is drained', { changed_s: 0, leads_s: 0 }],
    ['n1(drained) n2* n3(silent 20) n4(silent 20) n5', 'none', 'clear what ails'],
    ['n1*(not capable)', 'none', 'nobody is ready'],
  ],
  'an even number does not stay': [
    ['n1* n2', '-n2', 'even', { changed_s: 0 }],
    ['n1* n2 | n3', '+n3', '3 are to vote'],
    ['n1* n2 n3 n4(silent 5)', '-n4', 'even'],
    ['n1* n2(silent 5)', 'none', 'only 1 of the voters n1, n2 answer'],
  ],
  'a witness votes, and leads only if it must': [
    ['n1* n2 n3(witness)', 'none', ''],
    ['n1* | n2 n3(witness)', '+n3 +n2', '3 are to vote'],
    ['n1 n2 n3*(witness)', 'lead n1', 'is a witness'],
    ['n1 n2 n3*(witness)', 'none', '', { leads_s: 29 }],
    ['n1(silent 5) n2 n3*(witness)', 'none', 'silent'],
    ['n1(behind 300) n2(stable 10) n3*(witness)', 'none', ''],
    ['n1(drained) n2(witness) n3*(witness)', 'none', 'drained'],
  ],
};

for (const [title, rows] of Object.entries(tables))
  describe(title, () => {
    for (const [cluster, step, reason, options] of rows)
      test(`${cluster}${options ? ` ${JSON.stringify(options)}` : ''}: ${step}`, () => {
        const given = adjustVoters(sketch(cluster, options));
        assert.equal(shortly(given), step, given.reason);
        if (reason === '') assert.equal(given.reason, '');
        else assert.ok(given.reason.includes(reason), `"${given.reason}" says "${reason}"`);
      });
  });

type LeaveRow = readonly [cluster: string, member: number, step: string, reason: string, SketchOptions?];

const leaves: readonly LeaveRow[] = [
  ['n1* n2 n3 | n4', 4, 'xn4', 'n4 leaves'],
  ['n1* n2 n3 | n4', 3, '+n4 xn3', 'n3 leaves: n4 votes instead'],
  ['n1* n2 n3 | n4(stable 0)', 3, '+n4 xn3', 'n4', { changed_s: 0, leads_s: 0 }],
  ['n1* n2 n3', 3, 'xn3 -n2', 'n2 no longer votes either'],
  ['n1* n2', 2, 'xn2', 'n2 leaves'],
  ['n1* n2 n3 n4 n5', 2, 'xn2 -n5', 'n5'],
  ['n1* n2 n3 n4(silent 5) n5', 2, 'xn2 -n4', 'n4'],
  ['n1* n2(silent 900) n3 n4 n5', 2, 'xn2 -n5', 'n5'],
  ['n1* n2 n3 | n4(behind 900)', 3, 'none', 'waits for n4 to catch up'],
  ['n1* n2 n3 | n4(silent 900)', 3, 'xn3 -n2', 'n2'],
  ['n1* n2 n3 | n4', 9, 'none', ''],
  ['n1* n2 n3', 1, 'lead n2', 'n2 takes over'],
  ['n1* | n2', 1, '+n2', 'to take over with'],
  ['n1* n2', 1, 'lead n2', 'n2 takes over'],
  ['n1 n2*', 1, 'xn1', 'n1 leaves'],
  ['n1*', 1, 'none', 'nobody can take its place'],
  ['n1* n2 n3', 3, 'none', 'under way', { joint: true }],
  ['n1* n2(silent 3) n3(silent 3) n4 n5', 4, 'xn4 -n3', 'n3'],
];

describe('leaving for good: at once, the lead first, the number stays odd', () => {
  for (const [cluster, member, step, reason, options] of leaves)
    test(`${cluster} without n${member}: ${step}`, () => {
      const given = leaveStep(sketch(cluster, options), member);
      assert.equal(shortly(given), step, given.reason);
      assert.ok(given.reason.includes(reason), `"${given.reason}" says "${reason}"`);
      if (reason === '') assert.equal(given.reason, '');
    });
});

test('voterTarget is odd, and bounded by pool, hosts and seven', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 9].map((hosts) => voterTarget(hosts, 10)),
    [1, 1, 1, 3, 3, 5, 5, 7],
  );
  assert.equal(voterTarget(9, 4), 3);
});
