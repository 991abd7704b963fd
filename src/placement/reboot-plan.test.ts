/** Reboots in a cluster that lives: who goes together, what is refused, what is stopped and what is moved. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import type { PlacementView, Refusal } from './placement-ask.ts';
import { type RebootPlanRequest, rebootPlan } from './reboot-plan.ts';
import { cluster, instance, node } from './test-allocation.ts';

function viewOf(of: PlacementCluster, refusals: Readonly<Record<string, Refusal>> = {}): PlacementView {
  const nodes = of.nodes.map((each) => ({ ...each, offline: each.name in refusals }));
  return { cluster: { ...of, nodes }, refusals: nodes.map(({ name }) => refusals[name] ?? null) };
}

const on = (name: string, at: number, changes: Partial<PlacementInstance> = {}): PlacementInstance =>
  instance(name, { template: 'sharedfile', primary: at, ...changes });

function plan(view: PlacementView, changes: Partial<RebootPlanRequest> = {}) {
  const nodes = view.cluster.nodes.map(({ uuid }) => uuid);
  return rebootPlan(view, { nodes, together: false, at_once: null, offline: false, ...changes });
}

const groupsOf = (answer: ReturnType<typeof plan>): string =>
  'problem' in answer
    ? answer.problem
    : answer.groups.map(({ nodes }) => nodes.map(({ name }) => name).join()).join(' ');

const stepsOf = (answer: ReturnType<typeof plan>): readonly string[] =>
  'problem' in answer
    ? []
    : answer.groups.flatMap(({ steps }) =>
        steps.flatMap(({ action }) =>
          'instance' in action ? [`${action.kind} ${action.instance.name}`] : [],
        ),
      );

describe('reboot plan', () => {
  const four = ['a', 'b', 'c', 'd'].map((name) => node(name));

  it('takes few hosts at a time, or as many as it is told to', () => {
    const view = viewOf(cluster(four, [on('x', 0)]));
    assert.equal(groupsOf(plan(view)).split(' ').length, 4);
    assert.equal(groupsOf(plan(view, { at_once: 3 })).split(' ').length, 2);
    assert.equal(
      groupsOf(plan(view, { nodes: ['b', 'c'].map((name) => node(name).uuid), together: true })),
      'b,c',
    );
  });

  it('moves what other hosts reach, stops what is on local disks, and puts both back', () => {
    const of = cluster(four, [on('x', 0), on('y', 0, { template: 'file' })]);
    const only = { nodes: [of.nodes[0]!.uuid] };
    assert.deepEqual(stepsOf(plan(viewOf(of), only)), ['failover x', 'stop y', 'start y', 'failover x']);
    assert.deepEqual([...stepsOf(plan(viewOf(of), { ...only, offline: true }))].sort(), [
      'start x',
      'start y',
      'stop x',
      'stop y',
    ]);
  });

  it('refuses hosts that are not well, and takes those that are drained', () => {
    const of = cluster(four, []);
    const lost = viewOf(of, { b: { code: 'not-well', text: 'is lost' } });
    assert.equal(groupsOf(plan(lost)), 'node b is lost');
    const drained = viewOf(of, { b: { code: 'drained', text: 'is drained' } });
    assert.equal(groupsOf(plan(drained, { nodes: [of.nodes[1]!.uuid] })), 'b');
    assert.equal(groupsOf(plan(viewOf(of), { nodes: [] })), 'there is no node to reboot');
  });

  it('says so when there is no room elsewhere', () => {
    const big = { memory_mib: 10_000 };
    const of = cluster(four.slice(0, 2), [on('x', 0, big), on('y', 1, big)]);
    assert.match(groupsOf(plan(viewOf(of))), /not room enough elsewhere/);
    assert.equal(groupsOf(plan(viewOf(of), { offline: true })).split(' ').length, 2);
    const local = { ...big, template: 'file' } as const;
    const stopped = cluster(four.slice(0, 2), [on('x', 0, local), on('y', 1, local)]);
    assert.equal(groupsOf(plan(viewOf(stopped))).split(' ').length, 2, 'what is stopped needs no room');
  });

  it('reboots each host asked for once, in no larger groups than asked for', () => {
    const draw = fc.record({
      homes: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 8 }),
      wanted: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
      at_once: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(draw, ({ homes, wanted, at_once }) => {
        const of = cluster(
          four,
          homes.map((home, nth) => on(`i${nth}`, home, { memory_mib: 256 })),
        );
        const nodes = wanted.map((at) => of.nodes[at]!.uuid);
        const answer = plan(viewOf(of), { nodes, at_once });
        if ('problem' in answer) throw new Error(answer.problem);
        const rebooted = answer.groups.flatMap((group) => group.nodes.map(({ uuid }) => uuid));
        assert.deepEqual([...rebooted].sort(), [...nodes].sort());
        assert.ok(answer.groups.every((group) => group.nodes.length <= at_once));
      }),
    );
  });
});
