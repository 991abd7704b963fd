/** Which configuration follows from which changes, and what is refused in which words (thesis, chapter 4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { configurationOf, decodeConfiguration, encodeConfiguration } from './configuration.ts';
import { type ChangeResult, enterJoint, leaveJoint, planChange, simpleChange } from './membership.ts';
import type { Configuration, MemberChange } from './types.ts';

/** `v1 l2 r3`: add voter 1, add learner 2, remove 3. */
function changes(text: string): MemberChange[] {
  const types = { v: 'add-voter', l: 'add-learner', r: 'remove' } as const;
  return text
    .split(' ')
    .filter((token) => token !== '')
    .map((token) => ({ type: types[token[0] as 'v' | 'l' | 'r'], id: Number(token.slice(1)) }));
}

function ok(result: ChangeResult): Configuration {
  assert.ok(result.ok, result.ok ? '' : result.error);
  return result.configuration;
}

const three = configurationOf([1, 2, 3]);

test('simple: one voter in, out, promoted, demoted; any number of learners', () => {
  assert.deepEqual(ok(simpleChange(three, changes('v4 l5 l6'))), configurationOf([1, 2, 3, 4], [5, 6]));
  assert.deepEqual(ok(simpleChange(three, changes('r3'))), configurationOf([1, 2]));
  assert.deepEqual(ok(simpleChange(three, changes('l3'))), configurationOf([1, 2], [3]));
  assert.deepEqual(ok(simpleChange(configurationOf([1], [2]), changes('v2'))), configurationOf([1, 2]));
  assert.deepEqual(ok(simpleChange(three, changes('l1 v1'))), three, 'a demotion taken back is none');
  assert.deepEqual(ok(simpleChange(three, changes('v0 r9'))), three, 'nobody and strangers');
});

test('every illegal change is refused in its own words', () => {
  const joint = ok(enterJoint(three, changes('v4'), true));
  const table: [ChangeResult, string][] = [
    [simpleChange(three, changes('v4 v5')), 'more than one voter changed without entering joint config'],
    [simpleChange(three, changes('v4 r1')), 'more than one voter changed without entering joint config'],
    [simpleChange(configurationOf([1]), changes('r1')), 'removed all voters'],
    [simpleChange(configurationOf([1]), changes('l1')), 'removed all voters'],
    [enterJoint(three, changes('r1 r2 r3'), true), 'removed all voters'],
    [simpleChange(joint, changes('v5')), "can't apply simple config change in joint config"],
    [enterJoint(joint, changes('v5'), true), 'config is already joint'],
    [enterJoint(configurationOf([]), changes('v1'), true), "can't make a zero-voter config joint"],
    [leaveJoint(three), "can't leave a non-joint config"],
  ];
  for (const [result, error] of table) assert.deepEqual(result, { ok: false, error });
});

test('joint: a demoted voter goes on voting in the outgoing half and is a learner only after it', () => {
  const joint = ok(enterJoint(three, changes('v4 l1 r2'), true));
  assert.deepEqual(joint, {
    voters: [3, 4],
    voters_outgoing: [1, 2, 3],
    learners: [],
    learners_next: [1],
    auto_leave: true,
  });
  assert.deepEqual(ok(leaveJoint(joint)), configurationOf([3, 4], [1]));
});

test('a plan is simple for one voter and joint for more', () => {
  assert.equal(ok(planChange(three, changes('v4 l5'))).voters_outgoing.length, 0);
  assert.deepEqual(ok(planChange(three, changes('v4 r1'))).voters_outgoing, [1, 2, 3]);
  assert.deepEqual(planChange(three, changes('r1 r2 r3')), { ok: false, error: 'removed all voters' });
});

const change = fc.record({
  type: fc.constantFrom('add-voter', 'add-learner', 'remove'),
  id: fc.integer({ min: 1, max: 6 }),
}) satisfies fc.Arbitrary<MemberChange>;

test('into a joint configuration and out of it gives what a simple change gives; nobody is two things', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 6 }), (rounds) => {
      let at = configurationOf([1, 2, 3], [4]);
      for (const round of rounds) {
        const before = structuredClone(at);
        const simple = simpleChange(at, round);
        const entered = enterJoint(at, round, true);
        assert.deepEqual(at, before, 'a plan changes nothing');
        if (!entered.ok) continue;
        const joint = entered.configuration;
        for (const id of joint.learners) {
          assert.ok(!joint.voters.includes(id) && !joint.voters_outgoing.includes(id));
        }
        for (const id of joint.learners_next) {
          assert.ok(joint.voters_outgoing.includes(id) && !joint.voters.includes(id));
        }
        const left = ok(leaveJoint(joint));
        if (simple.ok) assert.deepEqual(left, simple.configuration);
        assert.deepEqual(decodeConfiguration(encodeConfiguration(joint)), joint);
        at = left;
      }
    }),
    { numRuns: 10_000 },
  );
});

test('bytes that are no configuration are refused with the field that is wrong', () => {
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  assert.throws(() => decodeConfiguration(bytes(3)), /expected an object, got 3/);
  assert.throws(() => decodeConfiguration(bytes({ ...three, voters: [2, 1] })), /voters: .*rising.*\[2,1\]/);
  assert.throws(() => decodeConfiguration(bytes({ ...three, learners: ['x'] })), /learners: .*\["x"\]/);
  assert.throws(() => decodeConfiguration(bytes({ ...three, auto_leave: 1 })), /auto_leave: .*got 1/);
  assert.throws(() => decodeConfiguration(new Uint8Array([0xff])));
});
