/** Where everything on one node goes: together, within its group, never back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PlacementCluster, PlacementInstance } from './cluster.ts';
import { evacuationPlan } from './evacuation-plan.ts';
import type { PlacementView, Refusal } from './placement-ask.ts';
import { cluster, group, instance, node } from './test-allocation.ts';

const on = (name: string, at: number, changes: Partial<PlacementInstance> = {}): PlacementInstance =>
  instance(name, { uuid: name, template: 'sharedfile', primary: at, ...changes });

/** With so much of its 16 GiB free. */
const free = (name: string, free_memory_mib: number) =>
  node(name, { free_memory_mib, node_memory_mib: 16_384 - free_memory_mib });

const drained: Refusal = { code: 'drained', text: 'is drained' };

function viewOf(of: PlacementCluster, refusals: Readonly<Record<string, Refusal>> = {}): PlacementView {
  return {
    cluster: {
      ...of,
      nodes: of.nodes.map((one) => ({ ...one, offline: refusals[one.name] !== undefined })),
    },
    refusals: of.nodes.map(({ name }) => refusals[name] ?? null),
  };
}

function planned(view: PlacementView, from = 'a', to: string | null = null) {
  const { moves, stuck } = evacuationPlan(view, { node: from, to });
  return {
    moves: Object.fromEntries(moves.map((move) => [move.instance.name, move.to.name])),
    stuck: Object.fromEntries(stuck.map((one) => [one.instance.name, one.reason])),
  };
}

describe('the plan of an evacuation', () => {
  it('spreads what leaves, each seeing the others; the node takes nothing, drained or not', () => {
    const of = cluster(
      [node('a'), node('b'), node('c'), node('d')],
      [on('x', 0), on('y', 0), on('z', 0), on('other', 1)],
    );
    for (const refusals of [{}, { a: drained }]) {
      const { moves, stuck } = planned(viewOf(of, refusals));
      assert.deepEqual(Object.keys(moves).sort(), ['x', 'y', 'z']);
      assert.ok(!Object.values(moves).includes('a'));
      assert.ok(new Set(Object.values(moves)).size >= 2, JSON.stringify(moves));
      assert.deepEqual(stuck, {});
    }
  });

  it('does not count the same room twice, and has the largest go first', () => {
    const sizes = [2_000, 2_000, 5_000];
    const of = cluster(
      [free('a', 1_000), free('b', 5_500), free('c', 4_500)],
      sizes.map((memory_mib, at) => on(`x${at}`, 0, { memory_mib })),
    );
    const { moves, stuck } = planned(viewOf(of));
    assert.deepEqual([moves, stuck], [{ x2: 'b', x0: 'c', x1: 'c' }, {}]);
    const tight = { ...of, nodes: [free('a', 1_000), free('b', 5_500), free('c', 3_500)] };
    assert.match(planned(viewOf(tight)).stuck['x1']!, /c: needs 2000 MiB of memory, has 1500 MiB free/);
  });

  it('says which are restarted', () => {
    const of = cluster([node('a'), node('b')], [on('up', 0), on('down', 0, { status: 'ADMIN_down' })]);
    const { moves } = evacuationPlan(viewOf(of), { node: 'a', to: null });
    assert.deepEqual(
      moves.map(({ instance: { name }, restarts }) => [name, restarts]),
      [
        ['up', true],
        ['down', false],
      ],
    );
  });

  it('goes to the one node that was named, or says why not', () => {
    const of = cluster([node('a'), free('b', 1_500), node('c')], [on('x', 0), on('y', 0)]);
    assert.deepEqual(planned(viewOf(of), 'a', 'c').moves, { x: 'c', y: 'c' });
    const { moves, stuck } = planned(viewOf(of), 'a', 'b');
    assert.deepEqual(Object.keys(moves), ['x']);
    assert.match(stuck['y']!, /^b: needs 1024 MiB of memory, has 476 MiB free/);
    assert.deepEqual(planned(viewOf(of, { b: drained }), 'a', 'b').stuck, {
      x: 'b: is drained',
      y: 'b: is drained',
    });
  });

  it('leaves what cannot go, with the reason', () => {
    const of = cluster(
      [node('a'), node('b', { group: 1 })],
      [on('x', 0), on('disk', 0, { template: 'file' })],
      { groups: [group('one'), group('two')] },
    );
    const { moves, stuck } = planned(viewOf(of));
    assert.deepEqual(moves, {});
    assert.match(stuck['x']!, /b: is in group two/);
    assert.equal(stuck['disk'], 'Instances of type file cannot be relocated');
  });

  it('keeps hard rules by tags: what must be together goes together, what must be apart does not', () => {
    const together = ['skein:affinity:must:pair'];
    const apart = ['skein:anti-affinity:must:web'];
    const of = cluster(
      [free('a', 100), free('b', 2_000), free('c', 5_000), free('d', 5_000)],
      [
        on('p1', 0, { tags: together }),
        on('p2', 0, { tags: together }),
        on('w1', 0, { tags: apart }),
        on('w2', 2, { tags: apart }),
      ],
    );
    const { moves, stuck } = planned(viewOf(of));
    assert.deepEqual(stuck, {});
    assert.equal(moves['p1'], moves['p2']);
    assert.notEqual(moves['w1'], 'c');
    // The first would go to d, where the second may not be.
    const others = [
      on('w2', 2, { tags: apart, memory_mib: 128 }),
      ...['x', 'y', 'z'].map((name) => on(name, 1)),
    ];
    const first = on('p1', 0, { tags: together, memory_mib: 2_000 });
    const second = on('p2', 0, { tags: [...together, ...apart] });
    const roomy = [node('a'), node('c'), node('d')];
    assert.deepEqual(planned(viewOf(cluster(roomy, [first, ...others]))).moves, { p1: 'd' });
    assert.deepEqual(planned(viewOf(cluster(roomy, [first, second, ...others]))), {
      moves: { p1: 'c', p2: 'c' },
      stuck: {},
    });
    const bound = cluster([node('a'), node('b')], [on('x', 0, { tags: ['skein:node:must:a'] })]);
    assert.match(planned(viewOf(bound)).stuck['x']!, /^b: /);
  });

  it('takes a node after which another may still be lost, and says when there is none', () => {
    const of = cluster(
      [free('a', 1_600), free('b', 2_600), free('c', 2_500)],
      [on('x', 0, { memory_mib: 1_500 }), on('y', 1, { memory_mib: 2_000 })],
    );
    const { moves } = evacuationPlan(viewOf(of, { a: drained }), { node: 'a', to: null });
    assert.equal(moves.length, 1);
    assert.match(moves[0]!.warning ?? '', /any one node could be lost before, and not any more: if node b/);
    const roomy = { ...of, nodes: [...of.nodes, free('d', 1_600)] };
    const safe = evacuationPlan(viewOf(roomy, { a: drained }), { node: 'a', to: null });
    assert.deepEqual([safe.moves[0]!.to.name, safe.moves[0]!.warning], ['d', null]);
  });

  it('leaves the cluster that it was given as it was', () => {
    const view = viewOf(cluster([node('a'), node('b')], [on('x', 0)]));
    const before = JSON.stringify(view);
    evacuationPlan(view, { node: 'a', to: null });
    assert.equal(JSON.stringify(view), before);
  });
});
