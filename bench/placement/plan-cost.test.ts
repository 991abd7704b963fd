/** Reading hbal's plans. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { generateCluster } from './generate.ts';
import { planCost } from './plan-cost.ts';

const cluster = generateCluster({ nodes: 4, instances: 12 });
const [first, second] = cluster.instances;

it('adds up what a plan sends: a copy for each r, the memory for each f', () => {
  const plan = [
    'Initial score: 5.50000000',
    'Trying to minimize the CV...',
    `    1. ${first!.name} n1:n2 => n3:n2   3.25000000 a=f r:n3 f`,
    `    2. ${second!.name} n1    => n4      2.12500000 a=fa:n4`,
    'Cluster score improved from 5.50000000 to 2.12500000',
  ].join('\n');
  assert.deepEqual(planCost(plan, cluster), {
    initial_score: 5.5,
    final_score: 2.125,
    moves: 2,
    moved_mib: first!.disk_mib + 2 * first!.memory_mib + second!.memory_mib,
  });
});

it('knows a plan without moves, and what is none', () => {
  const unmoved = { initial_score: 1.25, final_score: 1.25, moves: 0, moved_mib: 0 };
  assert.deepEqual(planCost('Initial score: 1.25000000\nNo solution found\n', cluster), unmoved);
  const balanced = 'Cluster is already well balanced (initial score 1.25,\n';
  assert.deepEqual(planCost(balanced, cluster), unmoved);
  assert.throws(() => planCost('Error: no\n', cluster), /no output of hbal/);
  const unknown = 'Initial score: 1.0\n  1. other a => b 0.5 a=fa:b\n';
  assert.throws(() => planCost(unknown, cluster), /other, which is not/);
});
