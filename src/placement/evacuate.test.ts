import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DiskTemplate } from './cluster.ts';
import { evacuate } from './evacuate.ts';
import { buildTable } from './table.ts';
import { cluster, instance, node } from './test-allocation.ts';

const five = ['a', 'b', 'c', 'd', 'e'].map((name) => node(name));
const copied = instance('web', { primary: 0, secondary: 1 });

describe('evacuating', () => {
  it('swaps roles for primaries only', () => {
    const table = buildTable(cluster(five, [copied]));
    const { moved } = evacuate(table, [0], 'primary-only', false);
    assert.deepEqual(moved, [
      { instance: 0, group: 0, nodes: [1, 0], steps: [{ kind: 'take-over', node: null }] },
    ]);
    assert.deepEqual([table.primary[0], table.secondary[0]], [1, 0]);
  });

  it('makes a new copy for secondaries only', () => {
    const { moved } = evacuate(buildTable(cluster(five, [copied])), [0], 'secondary-only', false);
    assert.deepEqual(moved[0]?.nodes, [0, 4]);
    assert.deepEqual(moved[0]?.steps, [{ kind: 'replace-secondary', node: 4 }]);
  });

  it('replaces both, first swapping where the primary is offline', () => {
    const steps = [
      { kind: 'replace-secondary', node: 4 },
      { kind: 'take-over', node: null },
      { kind: 'replace-secondary', node: 3 },
    ];
    const { moved } = evacuate(buildTable(cluster(five, [copied])), [0], 'all', false);
    assert.deepEqual(moved[0]?.nodes, [4, 3]);
    assert.deepEqual(moved[0]?.steps, steps);
    const dead = [node('a', { offline: true }), ...five.slice(1)];
    const from_dead = evacuate(buildTable(cluster(dead, [copied])), [0], 'all', false);
    assert.deepEqual(from_dead.moved[0]?.steps, [{ kind: 'take-over', node: null }, ...steps]);
  });

  it('starts what every node reaches elsewhere, each seeing the ones before', () => {
    const reachable = [0, 1, 2].map((at) => instance(`x${at}`, { template: 'ext', primary: 0 }));
    const { moved } = evacuate(buildTable(cluster(five, reachable)), [0, 1, 2], 'all', false);
    assert.deepEqual(
      moved.map(({ nodes }) => nodes),
      [[4], [3], [2]],
    );
  });

  it('goes to no node that others are to leave', () => {
    const instances = [0, 1, 2].map((primary) => instance(`x${primary}`, { template: 'ext', primary }));
    const { moved } = evacuate(buildTable(cluster(five, instances)), [0, 1, 2], 'primary-only', false);
    assert.ok(moved.every(({ nodes }) => nodes[0]! >= 3));
  });

  it('leaves what cannot go, with the reason, and moves the others', () => {
    const kinds: readonly DiskTemplate[] = ['plain', 'file', 'ext', 'drbd'];
    const instances = kinds.map((template) =>
      instance(template, { template, primary: 0, secondary: template === 'drbd' ? 1 : -1 }),
    );
    const table = buildTable(cluster(five, instances));
    const { moved, failed } = evacuate(table, [0, 1, 2, 3], 'secondary-only', false);
    assert.deepEqual(
      moved.map((one) => one.instance),
      [3],
    );
    assert.deepEqual(
      failed.map(({ reason }) => reason),
      [
        'Instances of type plain cannot be relocated',
        'Instances of type file cannot be relocated',
        "Instances with disk template 'ext' can't execute change secondary",
      ],
    );
  });

  it('says why no node will do, and leaves everything as it was', () => {
    const crowded = [
      node('a'),
      node('b'),
      node('c', { free_memory_mib: 10 }),
      node('d', { free_disk_mib: 10 }),
    ];
    const reasons = (mode: 'all' | 'secondary-only') => {
      const table = buildTable(cluster(crowded, [copied]));
      const before = table.state.slice();
      const { failed } = evacuate(table, [0], mode, false);
      assert.deepEqual(table.state, before);
      assert.deepEqual([table.primary[0], table.secondary[0]], [0, 1]);
      return failed[0]?.reason;
    };
    assert.equal(
      reasons('secondary-only'),
      "Can't find any good node:  Node c failed: FailMem; Node d failed: FailDisk;",
    );
    assert.equal(
      reasons('all'),
      "Can't find any good nodes for relocation: Allocation failed: Changing secondary to new primary: FailDisk",
    );
    const two = buildTable(cluster(five.slice(0, 2), [copied]));
    assert.equal(
      evacuate(two, [0], 'all', false).failed[0]?.reason,
      "Can't find any good nodes for relocation: no nodes available",
    );
  });

  it('ignores soft limits where told to', () => {
    const tags = ['htools:iextags:service'];
    const instances = [0, 1].map((primary) =>
      instance(`x${primary}`, { template: 'ext', primary, tags: ['service:web'] }),
    );
    const of = cluster(five.slice(0, 2), instances, { tags });
    assert.match(evacuate(buildTable(of), [0], 'all', false).failed[0]!.reason, /Node b failed: FailTags;/);
    assert.deepEqual(evacuate(buildTable(of), [0], 'all', true).moved[0]?.nodes, [1]);
  });
});
