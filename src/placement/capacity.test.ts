import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { generateCluster } from '../../bench/placement/generate.ts';
import { openPlacing } from './allocate.ts';
import { type CapacityOptions, capacityCandidates, fillStandard, fillTiered, shrink } from './capacity.ts';
import type { DiskTemplate, PlacementCluster } from './cluster.ts';
import { type CapacityRequest, type CapacityResult, measureCapacity } from './cluster-capacity.ts';
import { allocationDelta, clusterStats } from './cluster-stats.ts';
import { buildTable } from './table.ts';
import { cluster, group, instance, node, wide_policy } from './test-allocation.ts';

const size = { memory_mib: 4_096, disk_mib: 10_240, vcpus: 1, spindles: 1 };

function options(
  of: PlacementCluster,
  template: DiskTemplate,
  changes: Partial<CapacityOptions> = {},
): CapacityOptions {
  return {
    template,
    spindle_use: 1,
    candidates: capacityCandidates(buildTable(of), template, () => true),
    limit: null,
    force: false,
    capacity_checks: true,
    ...changes,
  };
}

const measured = (of: PlacementCluster, request: CapacityRequest) => {
  const capacity = measureCapacity(buildTable(of), request);
  assert.ok(typeof capacity !== 'string', String(capacity));
  return capacity;
};

const counts = ({ placed }: Pick<CapacityResult, 'placed'>): readonly string[] => {
  const runs: [string, number][] = [];
  for (const { size: one } of placed) {
    const text = `${one.memory_mib},${one.disk_mib},${one.vcpus}`;
    if (runs.at(-1)?.[0] === text) runs.at(-1)![1] += 1;
    else runs.push([text, 1]);
  }
  return runs.map(([text, count]) => `${text}=${count}`);
};

describe('sizes', () => {
  it('shrink by a step of what was short, never below one', () => {
    assert.deepEqual(shrink(size, 'memory'), { ...size, memory_mib: 4_032 });
    assert.deepEqual(shrink(size, 'disk'), { ...size, disk_mib: 9_984 });
    assert.equal(shrink(size, 'cpu'), null);
    assert.equal(shrink({ ...size, memory_mib: 127 }, 'memory'), null);
    assert.deepEqual(shrink({ ...size, memory_mib: 128 }, 'memory'), { ...size, memory_mib: 64 });
    assert.equal(shrink(size, 'n1'), null);
  });
});

describe('filling a cluster', () => {
  const three = cluster([node('a'), node('b'), node('c')]);

  it('stops when no further instance of the size fits', () => {
    const placing = openPlacing(buildTable(three));
    const run = fillStandard(placing, size, options(three, 'ext', { capacity_checks: false }));
    // Something of the memory has to be left on each: 3 of 4 GiB on 16.
    assert.equal(run.placed.length, 9);
    assert.deepEqual([...run.failures], [['memory', 3]]);
  });

  it('keeps room for the death of any node', () => {
    const run = fillStandard(openPlacing(buildTable(three)), size, options(three, 'ext'));
    assert.equal(run.placed.length, 6);
    assert.deepEqual([...run.failures], [['n1', 3]]);
    const one_by_one = fillStandard(
      openPlacing(buildTable(three)),
      size,
      options(three, 'ext', { limit: 4 }),
    );
    assert.equal(one_by_one.placed.length, 4);
  });

  it('gives the same whether death is looked at in the end or at each step', () => {
    for (const template of ['ext', 'plain'] as const) {
      for (const fill of [0.3, 0.5]) {
        const of = generateCluster({
          nodes: 7,
          instances: 40,
          templates: ['ext', 'plain'],
          fill,
          odd_sizes: true,
        });
        const run = fillStandard(openPlacing(buildTable(of)), size, options(of, template));
        const placing = openPlacing(buildTable(of));
        const stepwise = [];
        for (;;) {
          const step = fillStandard(placing, size, options(of, template, { limit: 1 }));
          if (step.placed.length === 0) break;
          stepwise.push(...step.placed);
        }
        assert.deepEqual(run.placed, stepwise);
        assert.ok(run.placed.length > 0);
      }
    }
  });

  it('makes the size smaller, by what most nodes are short of', () => {
    const nodes = [node('a'), node('b', { free_disk_mib: 5_000 })];
    const of = cluster(nodes);
    const placing = openPlacing(buildTable(of));
    const big = { memory_mib: 6_000, disk_mib: 60_000, vcpus: 2, spindles: 1 };
    const run = fillTiered(placing, [big], options(of, 'plain', { capacity_checks: false }));
    assert.deepEqual(
      counts(run),
      ['6000,60000,2=1', '6000,42336,2=1', '6000,4960,2=1', '4272,1,2=0'].slice(0, 3),
    );
  });

  it('jumps over sizes where small steps of one resource lead nowhere', () => {
    const groups = [
      group('default', {
        policy: {
          ...wide_policy,
          minmax: [
            { min: { ...wide_policy.minmax[0]!.min, memory_mib: 1_024 }, max: wide_policy.minmax[0]!.max },
          ],
        },
      }),
    ];
    const of = cluster([node('a', { free_memory_mib: 1_500, total_memory_mib: 1_500, total_cpus: 1 })], [], {
      groups,
    });
    const run = fillTiered(
      openPlacing(buildTable(of)),
      [{ memory_mib: 2_048, disk_mib: 1_024, vcpus: 8, spindles: 1 }],
      options(of, 'ext', { capacity_checks: false }),
    );
    assert.deepEqual(counts(run), ['1472,1024,4=1']);
  });
});

describe('capacity of a cluster', () => {
  const policy = {
    ...wide_policy,
    std: { memory_mib: 2_048, cpus: 1, disk_mib: 1_024, disk_count: 1, nic_count: 1, spindle_use: 1 },
    minmax: [
      {
        min: wide_policy.minmax[0]!.min,
        max: { ...wide_policy.minmax[0]!.max, memory_mib: 6_144, cpus: 2, disk_mib: 2_048 },
      },
    ],
    disk_templates: ['ext' as const, 'drbd' as const],
  };
  const groups = [group('one', { policy }), group('two', { policy })];
  const nodes = ['a', 'b', 'c', 'd'].map((name, at) => node(name, { group: at < 2 ? 0 : 1 }));
  const of = cluster(nodes, [], { groups, policy });
  // Each holds for the other what it could not start.
  const failing = [
    instance('x', { primary: 0, secondary: 1, memory_mib: 9_000 }),
    instance('y', { primary: 1, secondary: 0, memory_mib: 9_000 }),
  ];
  const failing_group = cluster(nodes, failing, { groups, policy });

  it('is measured in the standard size, and in the largest that fit', () => {
    const capacity = measured(of, {});
    assert.equal(capacity.template, 'ext');
    // Of the two nodes of a group one has to hold what both run.
    assert.equal(capacity.standard.placed.length, 14);
    assert.deepEqual(counts(capacity.tiered), ['6144,2048,2=4']);
    const before = clusterStats(capacity.table);
    const after = clusterStats(capacity.standard.table);
    assert.equal(after.instances, 14);
    assert.equal(after.instance_memory, 14 * 2_048);
    const { taken, left } = allocationDelta(before, after);
    assert.deepEqual([taken.memory, taken.vcpus, left.memory], [14 * 2_048, 14, 4 * 16_384 - 14 * 2_048]);
  });

  it('is nothing where nodes fail N+1, unless groups are looked at one by one or it is accepted', () => {
    const capacity = measured(failing_group, {});
    assert.deepEqual(capacity.bad_nodes, [0, 1]);
    assert.deepEqual(capacity.bad_groups, [0]);
    assert.deepEqual([capacity.standard.stopped, capacity.standard.placed.length], [true, 0]);
    assert.deepEqual([...capacity.standard.failures], [['n1', 1]]);
    const independent = measured(failing_group, { independent_groups: true });
    assert.equal(independent.standard.placed.length, 7);
    assert.ok(independent.standard.placed.every(({ primary }) => primary >= 2));
    const accepted = measured(failing_group, { accept_existing: true, template: 'drbd' });
    assert.ok(accepted.standard.placed.some(({ primary }) => primary < 2));
  });

  it('is of the size, template and limit asked for', () => {
    const asked_size = { ...size, disk_mib: 2_048 };
    const asked = measured(of, { template: 'drbd', standard: asked_size, tiered: asked_size, limit: 3 });
    assert.deepEqual(counts(asked.standard), ['4096,2048,1=3']);
    assert.ok(asked.standard.placed.every(({ secondary }) => secondary >= 0));
    assert.equal(
      measureCapacity(buildTable(cluster([], [], { groups: [] })), {}),
      'failure during allocation: No online nodes',
    );
    const none = { ...of, policy: { ...policy, disk_templates: [] } };
    assert.match(String(measureCapacity(buildTable(none), {})), /^null list of disk templates/);
  });
});
