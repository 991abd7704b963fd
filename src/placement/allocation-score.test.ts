import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import {
  exactPairScore,
  exactSingleScores,
  openBase,
  openPairs,
  pairScore,
  singleScores,
} from './allocation-score.ts';
import { clusterScore } from './score.ts';
import { addPrimary, addSecondary, buildTable, commonLocations, mark, type Table, undoTo } from './table.ts';
import { instance } from './test-allocation.ts';

const requests: readonly ClusterRequest[] = [
  { nodes: 6, instances: 30, exclusion: true, locations: true, desired: true, mixed_nodes: true },
  { nodes: 8, instances: 40, groups: 2, offline: 0.25, down: 0.2, unbalanced: 0.2, forthcoming: 0.2 },
  { nodes: 5, instances: 0 },
];

/** The score with the instance there, the long way. */
function placedScore(table: Table, nodes: readonly number[], at: number, primary: number, secondary: number) {
  const start = mark(table);
  const demand = table.demands[at]!;
  addPrimary(table, primary, demand, commonLocations(table, primary, secondary));
  if (secondary >= 0) addSecondary(table, secondary, demand, primary);
  const score = clusterScore(table, nodes);
  undoTo(table, start);
  return score;
}

describe('scores of allocations', () => {
  for (const [at, request] of requests.entries()) {
    for (const forthcoming of [false, true]) {
      const tags = ['service:1', 'rack:1'];
      const cluster = generateCluster({ ...request, seed: at + 1, templates: ['drbd', 'plain', 'ext'] });
      const wanted = instance('new', { tags, forthcoming, memory_mib: 3_000, vcpus: 3 });
      const table = buildTable(cluster, { waiting: [wanted] });
      const demand = table.demands.at(-1)!;
      const nodes = cluster.nodes.map((_, node) => node);
      const online = nodes.filter((node) => table.offline[node] === 0);

      it(`are those of the cluster with the instance in it (${at}, ${forthcoming})`, () => {
        const base = openBase(table, nodes);
        const pairs = openPairs(base, online, online, demand);
        for (const primary of online) {
          for (const secondary of online) {
            if (primary === secondary) continue;
            const expected = placedScore(table, nodes, table.demands.length - 1, primary, secondary);
            const found = pairScore(pairs, primary, secondary);
            assert.ok(
              Math.abs(found - expected) < 1e-9,
              `${primary}/${secondary}: ${found}, not ${expected}`,
            );
            assert.ok(Math.abs(exactPairScore(pairs, primary, secondary) - expected) < 1e-9);
          }
        }
        const single = singleScores(base, online, demand);
        const exact = exactSingleScores(base, demand);
        for (const [index, primary] of online.entries()) {
          const expected = placedScore(table, nodes, table.demands.length - 1, primary, -1);
          assert.ok(
            Math.abs(single[index]! - expected) < 1e-9,
            `${primary}: ${single[index]}, not ${expected}`,
          );
          // To the last bit: this is what decides between nodes that are alike.
          assert.equal(exact(primary), expected);
        }
      });
    }
  }

  it('are equal to the last bit for nodes that are alike', () => {
    const cluster = generateCluster({ nodes: 7, instances: 0 });
    const table = buildTable(cluster, { waiting: [instance('new')] });
    const nodes = cluster.nodes.map((_, node) => node);
    const demand = table.demands[0]!;
    const base = openBase(table, nodes);
    assert.equal(new Set(singleScores(base, nodes, demand)).size, 1);
    const pairs = openPairs(base, nodes, nodes, demand);
    const scores = nodes.flatMap((p) => nodes.flatMap((s) => (s === p ? [] : [pairScore(pairs, p, s)])));
    assert.equal(new Set(scores).size, 1);
  });
});
