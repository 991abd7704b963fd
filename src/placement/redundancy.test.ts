import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import type { DiskTemplate, PlacementCluster, PlacementInstance } from './cluster.ts';
import { randomFrom } from './random.ts';
import {
  isRedundant,
  openOutlook,
  openRedundancy,
  type RedundancyOptions,
  staysRedundant,
  survives,
} from './redundancy.ts';
import { moveIn, moveOutNewest, readResidents, residentOf } from './residents.ts';
import { addPrimary, addSecondary, buildTable, commonLocations, mark, undoTo } from './table.ts';
import { cluster, group, instance, node } from './test-allocation.ts';

function opened(of: PlacementCluster, options: RedundancyOptions = {}) {
  const table = buildTable(of);
  const nodes = of.nodes.map((_, at) => at);
  return openRedundancy(table, readResidents(table), nodes, options);
}

const redundant = (of: PlacementCluster, options: RedundancyOptions = {}): boolean =>
  isRedundant(opened(of, options));

const on = (template: DiskTemplate, primary: number, secondary: number, memory_mib: number) =>
  instance(`${template}-${primary}-${memory_mib}`, { template, primary, secondary, memory_mib });

const three = [node('a'), node('b'), node('c')];

describe('global N+1', () => {
  it('needs room on the secondary for all that one node has copies of there', () => {
    const copies = [on('drbd', 0, 1, 6_000), on('drbd', 0, 1, 6_001), on('drbd', 1, 2, 4_000)];
    assert.equal(redundant(cluster(three, copies)), true);
    assert.equal(redundant(cluster(three, [...copies, on('plain', 1, -1, 384)])), false);
    // Copies of different nodes are not needed at once.
    assert.equal(redundant(cluster(three, [on('drbd', 0, 1, 9_000), on('drbd', 2, 1, 9_000)])), true);
  });

  it('needs room anywhere in the group for what every node reaches', () => {
    const full = [on('ext', 0, -1, 9_000), on('ext', 1, -1, 9_000), on('ext', 2, -1, 9_000)];
    assert.equal(redundant(cluster(three, full)), false);
    assert.equal(redundant(cluster(three, full.slice(0, 2))), true);
    const elsewhere = [node('a'), node('b'), node('c', { group: 1 })];
    const groups = [group('one'), group('two')];
    assert.equal(redundant(cluster(elsewhere, full.slice(0, 2), { groups })), false);
    assert.equal(
      redundant(cluster(elsewhere, full.slice(0, 2), { groups }), { ignored_groups: new Set([0]) }),
      true,
    );
  });

  it('makes plain instances anew, with disk, where the policy allows them', () => {
    const big = instance('big', { template: 'plain', primary: 0, disk_mib: 90_000 });
    assert.equal(redundant(cluster(three, [big])), true);
    const taken = [1, 2].map((primary) =>
      instance(`d${primary}`, { template: 'plain', primary, disk_mib: 20_000 }),
    );
    assert.equal(redundant(cluster(three, [big, ...taken])), false);
    const small = instance('small', { template: 'plain', primary: 0, memory_mib: 32 });
    assert.equal(redundant(cluster(three, [small])), false);
    assert.equal(redundant(cluster(three, [{ ...small, template: 'ext' }])), true);
  });

  it('respects where migrations may go', () => {
    const tags = ['htools:migration:hv'];
    const nodes = [
      node('a', { tags: ['hv:1'] }),
      node('b', { tags: ['hv:2'] }),
      node('c', { tags: ['hv:1'] }),
    ];
    assert.equal(redundant(cluster(nodes, [on('drbd', 0, 2, 1_000)], { tags })), true);
    assert.equal(redundant(cluster(nodes, [on('drbd', 0, 1, 1_000)], { tags })), false);
    assert.equal(redundant(cluster(nodes, [on('ext', 0, -1, 1_000)], { tags })), true);
    assert.equal(redundant(cluster(nodes, [on('ext', 1, -1, 1_000)], { tags })), false);
  });

  it('does not ask about offline nodes where that is accepted', () => {
    const nodes = [node('a', { offline: true }), node('b'), node('c')];
    const instances = [on('ext', 0, -1, 16_000), on('ext', 1, -1, 1_000), on('ext', 2, -1, 1_000)];
    const stranded = cluster(nodes, instances);
    assert.equal(redundant(stranded), false);
    assert.equal(redundant(stranded, { skip_offline: true }), true);
  });

  it('looks at nodes one by one, and changes nothing', () => {
    const redundancy = opened(cluster(three, [on('ext', 0, -1, 9_000), on('drbd', 1, 0, 9_000)]));
    const before = redundancy.table.state.slice();
    assert.deepEqual(
      [0, 1, 2].map((at) => survives(redundancy, at)),
      [true, false, true],
    );
    assert.deepEqual(redundancy.table.state, before);
  });
});

describe('global N+1 with one more instance', () => {
  const templates: readonly DiskTemplate[] = ['drbd', 'ext', 'plain'];

  /** The long way: put it there and play every node's death through. */
  function expected(of: PlacementCluster, wanted: PlacementInstance, primary: number, secondary: number) {
    const redundancy = opened({ ...of, instances: of.instances });
    const { table, residents } = redundancy;
    const demand = buildTable(of, { waiting: [wanted] }).demands.at(-1)!;
    addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
    if (secondary >= 0) addSecondary(table, secondary, demand, primary);
    moveIn(residents, primary, residentOf(wanted, demand, secondary, -1));
    return redundancy.judged.every((at) => survives(redundancy, at));
  }

  // So full that some places are safe and others are not.
  const requests: readonly Omit<ClusterRequest, 'nodes' | 'instances'>[] = [
    { templates: ['ext'], fill: 0.7, seed: 2 },
    { templates: ['plain'], fill: 0.55, groups: 2, seed: 2 },
    { templates: ['drbd'], fill: 0.45, seed: 1 },
    { templates, fill: 0.5, seed: 2 },
    { templates: ['ext'], fill: 0.6, migration: true, seed: 3 },
    { templates: ['plain', 'ext'], fill: 0.5, offline: 0.2, down: 0.3, seed: 1 },
  ];
  for (const [at, request] of requests.entries()) {
    it(`is what playing it through says (${at})`, () => {
      const random = randomFrom(request.seed ?? 0);
      const of = generateCluster({ ...request, nodes: 6, instances: 30, odd_sizes: true });
      const verdicts = new Set<boolean>();
      const redundancy = opened(of);
      const outlook = openOutlook(redundancy);
      const { table } = redundancy;
      const before = table.state.slice();
      for (let round = 0; round < 60; round++) {
        const template = templates[round % 3]!;
        const wanted = instance('new', { template, memory_mib: 500 + Math.floor(random() * 12_000) });
        const demand = buildTable(of, { waiting: [wanted] }).demands.at(-1)!;
        const primary = Math.floor(random() * of.nodes.length);
        const secondary = template === 'drbd' ? (primary + 1 + Math.floor(random() * 5)) % 6 : -1;
        if (secondary >= 0 && of.nodes[secondary]!.group !== of.nodes[primary]!.group) continue;
        const found = staysRedundant(outlook, residentOf(wanted, demand, secondary, -1), primary);
        assert.equal(found, expected(of, wanted, primary, secondary), `round ${round}`);
        verdicts.add(found);
      }
      assert.deepEqual(table.state, before);
      assert.equal(verdicts.size, 2);
    });
  }

  it('keeps its books when the newest resident moves out', () => {
    const table = buildTable(cluster(three, [on('drbd', 0, 1, 1_000)]));
    const residents = readResidents(table);
    const start = mark(table);
    const resident = residentOf(on('drbd', 0, 1, 500), table.demands[0]!, 1, -1);
    moveIn(residents, 0, resident);
    assert.equal(residents.take_overs[1], 2);
    moveOutNewest(residents, 0, resident);
    assert.equal(residents.take_overs[1], 1);
    assert.equal(residents.on[0]!.length, 1);
    undoTo(table, start);
  });
});
