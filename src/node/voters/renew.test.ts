// Which faulty member is given a new number, written as clusters in a line (test-sketch.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../consensus/types.ts';
import { memberToRenew } from './renew.ts';
import { type SketchOptions, sketch } from './test-sketch.ts';
import type { VoterView } from './view.ts';

interface Case {
  readonly what: string;
  readonly group: string;
  readonly renewed: MemberId | undefined;
  readonly silent?: readonly MemberId[];
  readonly restless?: readonly MemberId[];
  readonly options?: SketchOptions;
  readonly change?: (view: VoterView) => VoterView;
}

const lagging = (id: MemberId) => (view: VoterView) => {
  const of = view.progress.get(id)!;
  const seen = { ...of, lag: Number.POSITIVE_INFINITY };
  return { ...view, progress: new Map([...view.progress, [id, seen]]) };
};

const cases: readonly Case[] = [
  { what: 'all are well', group: 'n1* n2 n3', renewed: undefined },
  { what: 'a voter that nobody can replace', group: 'n1* n2 n3(damaged)', renewed: 3 },
  { what: 'a learner', group: 'n1* n2 n3 | n4(damaged)', renewed: 4 },
  { what: 'one that does not answer', group: 'n1* n2 n3(damaged)', silent: [3], renewed: undefined },
  { what: 'one that was renewed just now', group: 'n1* n2 n3(damaged)', restless: [3], renewed: undefined },
  { what: 'its vote goes first', group: 'n1* n2 n3(damaged) | n4', renewed: undefined },
  { what: 'nobody to take its vote', group: 'n1* n2 n3(damaged) | n4(drained) n5(silent 9)', renewed: 3 },
  { what: 'its vote waits for no damaged learner', group: 'n1* n2 n3(damaged) | n4(damaged)', renewed: 3 },
  { what: 'two of five', group: 'n1* n2 n3(damaged) n4 n5(damaged)', renewed: 3 },
  { what: 'half of the voters', group: 'n1* n2 n3(damaged) n4(damaged)', renewed: undefined },
  { what: 'with a silent one, half', group: 'n1* n2 n3(damaged) n4(silent 9)', renewed: undefined },
  {
    what: 'another node is not in the group yet',
    group: 'n1* n2 n3(damaged)',
    change: (view) => ({ ...view, nodes: [...view.nodes, { ...view.nodes[0]!, member: 9 }] }),
    renewed: undefined,
  },
  {
    what: 'another node has nothing of the log yet',
    group: 'n1* n2 n3(damaged) | n4(drained)',
    change: lagging(4),
    renewed: undefined,
  },
  {
    what: 'nobody waits for a node that is lost',
    group: 'n1* n2 n3(damaged) | n4(silent 900)',
    change: lagging(4),
    renewed: 3,
  },
  {
    what: 'a change is under way',
    group: 'n1* n2 n3(damaged)',
    options: { joint: true },
    renewed: undefined,
  },
  { what: 'a number that no node has', group: 'n1* n2 n3(gone, damaged)', renewed: undefined },
];

for (const { what, group, renewed, silent = [], restless = [], options, change } of cases) {
  test(`${what}: ${group}`, () => {
    const view = sketch(group, options);
    const faulty = [...group.matchAll(/n(\d+)\([^)]*damaged[^)]*\)/g)]
      .map(([, id]) => Number(id))
      .map((id) => ({ id, answers: !silent.includes(id), rested: !restless.includes(id) }));
    // A faulty member counts as silent to the leader, whatever it says.
    const progress = new Map(
      [...view.progress].map(([id, of]) => [
        id,
        faulty.some((one) => one.id === id) ? { ...of, active: false } : of,
      ]),
    );
    assert.equal(memberToRenew((change ?? ((same) => same))({ ...view, progress }), faulty), renewed);
  });
}
