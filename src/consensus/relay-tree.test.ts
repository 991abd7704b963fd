import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { branchesBelow, max_depth, nextTree, type RelayTree, root, type TreeView } from './relay-tree.ts';

const none: RelayTree = new Map();
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const view = (learners: readonly number[], fan_out = 16, more: Partial<TreeView> = {}): TreeView => ({
  learners,
  fan_out,
  mayRelay: () => true,
  avoids: () => false,
  ...more,
});

function depthOf(tree: RelayTree, id: number): number {
  let depth = 0;
  for (let at: number | undefined = id; at !== root; at = tree.get(at)) {
    assert.ok(at !== undefined, `${id} hangs below somebody that is not in the tree`);
    assert.ok(++depth <= tree.size, `${id} is in a cycle`);
  }
  return depth;
}

function check(tree: RelayTree, of: TreeView): void {
  const load = new Map<number, number>();
  for (const [id, parent] of tree) {
    assert.ok(of.learners.includes(id), `${id} may not be placed`);
    assert.ok(depthOf(tree, id) <= max_depth, `${id} at depth ${depthOf(tree, id)}`);
    assert.ok(parent === root || of.mayRelay(parent), `${parent} may not relay`);
    assert.ok(parent === root || !of.avoids(id, parent), `${id} avoids ${parent}`);
    load.set(parent, (load.get(parent) ?? 0) + 1);
    assert.ok(load.get(parent)! <= of.fan_out, `${parent} has more than ${of.fan_out} children`);
  }
}

const moved = (before: RelayTree, after: RelayTree) =>
  [...after].filter(([id, parent]) => before.get(id) !== parent).map(([id]) => id);

test('cases, written as child<parent', () => {
  const text = (tree: RelayTree) => [...tree].map(([id, parent]) => `${id}<${parent}`).join(' ');
  const tree = (words: string): RelayTree =>
    new Map(
      words.split(' ').map((word) => word.split('<').map(Number) as unknown as readonly [number, number]),
    );
  const cases: readonly [string, RelayTree, TreeView, string][] = [
    ['the first ones hang below the leader', none, view([1, 2], 2), '1<0 2<0'],
    ['the rest below them, evenly', none, view(upTo(6), 2), '1<0 2<0 3<1 4<2 5<1 6<2'],
    ['who is gone leaves its place to a child', tree('1<0 2<0 3<1 4<2'), view([2, 3, 4], 2), '2<0 4<2 3<0'],
    ['a child takes its own children along', tree('1<0 2<0 3<1 4<3'), view([2, 3, 4], 2), '2<0 3<0 4<3'],
    [
      'who is behind keeps its place and loses its children',
      tree('1<0 2<0 3<1 4<2'),
      view(upTo(4), 2, { mayRelay: (id) => id !== 1 }),
      '1<0 2<0 4<2 3<2',
    ],
    [
      'who was not reached by its parent gets another',
      tree('1<0 2<0 3<1'),
      view(upTo(3), 2, { avoids: (child, parent) => child === 3 && parent === 1 }),
      '1<0 2<0 3<2',
    ],
    ['without room nobody is placed', tree('1<0'), view(upTo(3), 1, { mayRelay: () => false }), '1<0'],
    [
      'nothing changes when nothing happens',
      tree('5<0 1<5 2<0 3<1'),
      view([1, 2, 3, 5], 2),
      '2<0 5<0 1<5 3<1',
    ],
  ];
  for (const [what, before, of, expected] of cases) assert.equal(text(nextTree(before, of)), expected, what);
});

test('a thousand fit into three levels, evenly', () => {
  const of = view(upTo(1000));
  const tree = nextTree(none, of);
  check(tree, of);
  assert.equal(tree.size, 1000);
  assert.equal([...tree.values()].filter((parent) => parent === root).length, 16);
});

test('when one of a thousand dies only its children move', () => {
  const before = nextTree(none, view(upTo(1000)));
  for (const dead of [1, 16, 17, 200, 273, 999]) {
    const children = [...before].filter(([, parent]) => parent === dead).map(([id]) => id);
    const of = view(upTo(1000).filter((id) => id !== dead));
    const after = nextTree(before, of);
    check(after, of);
    assert.equal(after.size, 999);
    const others = moved(before, after).filter((id) => !children.includes(id));
    // Children of a relay of the first level may have to give up theirs where those would hang too deep.
    const allowed = children.filter((id) => id > 16).flatMap((id) => [...before].filter(([, p]) => p === id));
    const kin = new Set(allowed.map(([id]) => id));
    assert.deepEqual(
      others.filter((id) => !kin.has(id)),
      [],
      `${dead} died`,
    );
  }
});

test('property: whatever comes and goes, all that have room are placed, rightly, and nobody moves for nothing', () => {
  const step = fc.record({
    gone: fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }),
    behind: fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 6 }),
    apart: fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 })), {
      maxLength: 6,
    }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 16 }),
      fc.array(step, { minLength: 1, maxLength: 6 }),
      (fan_out, steps) => {
        let tree = none;
        for (const { gone, behind, apart } of steps) {
          const of = view(
            upTo(60).filter((id) => !gone.includes(id)),
            fan_out,
            {
              mayRelay: (id) => !behind.includes(id),
              avoids: (child, parent) => apart.some(([a, b]) => a === child && b === parent),
            },
          );
          const next = nextTree(tree, of);
          check(next, of);
          for (const id of of.learners) {
            if (next.has(id)) continue;
            const parents = [root, ...next.keys()].filter((parent) => {
              const load = [...next.values()].filter((p) => p === parent).length;
              const deep = parent === root ? 0 : depthOf(next, parent);
              if (load >= fan_out || deep >= max_depth) return false;
              return parent === root || (of.mayRelay(parent) && !of.avoids(id, parent));
            });
            assert.deepEqual(parents, [], `${id} found no place`);
          }
          const again = nextTree(next, of);
          assert.deepEqual(moved(next, again), []);
          tree = next;
        }
      },
    ),
    { numRuns: 300, seed: 11 },
  );
});

test('a parent is told all that hangs below it', () => {
  const tree: RelayTree = new Map([
    [1, root],
    [2, 1],
    [3, 1],
    [4, 3],
    [5, root],
  ]);
  const leaf = (id: number) => ({ id, below: [] });
  assert.deepEqual(branchesBelow(tree, 1), [leaf(2), { id: 3, below: [leaf(4)] }]);
  assert.deepEqual(branchesBelow(tree, 5), []);
});
