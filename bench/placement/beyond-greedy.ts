/**
 * How far `hbal --search` gets beyond the greedy solution, on clusters of every kind: scores, moves, and GiB of copies.
 * Exit status 1 if it is not better on four of five of them at least.
 *
 *     node bench/placement/beyond-greedy.ts [SECONDS [NODESxINSTANCES …]]     # 8 s; 20x200 40x400
 */
import process from 'node:process';
import { balance, nodesOfGroup, default_balance as options, type Step } from '../../src/placement/balance.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { searchBalance } from '../../src/placement/search-balance.ts';
import { buildTable } from '../../src/placement/table.ts';
import { generateCluster } from './generate.ts';
import { unbalancedRequests } from './unbalanced.ts';

function shown(cluster: PlacementCluster, steps: readonly Step[]): string {
  const copied = steps.filter(({ primary, secondary, old_primary, old_secondary }) =>
    [primary, secondary].some((node) => node >= 0 && node !== old_primary && node !== old_secondary),
  );
  const mib = copied
    .filter(({ secondary }) => secondary >= 0)
    .reduce((sum, { instance }) => sum + cluster.instances[instance]!.disk_mib, 0);
  const score = steps.at(-1)?.score.toFixed(8) ?? 'as it was';
  return `${score}, ${steps.length} moves, ${(mib / 1024).toFixed(0)} GiB`;
}

const [seconds = '8', ...given] = process.argv.slice(2);
let [better, all] = [0, 0];
for (const size of given.length > 0 ? given : ['20x200', '40x400']) {
  const [nodes = 0, instances = 0] = size.split('x').map(Number);
  for (const request of unbalancedRequests(nodes, instances)) {
    const cluster = generateCluster(request);
    const table = buildTable(cluster);
    const group = nodesOfGroup(table, 0);
    const greedy = [...balance(buildTable(cluster), group, options)];
    // Of this process's own: what others take of the machine is no part of the figure.
    const now_ms = (): number => process.cpuUsage().user / 1000;
    const time = { now_ms, budget_ms: Number(seconds) * 1000, seed: 1 };
    const { steps, greedy_score } = searchBalance(table, group, options, time);
    all += 1;
    if ((steps.at(-1)?.score ?? greedy_score) < greedy_score) better += 1;
    console.log(`${JSON.stringify(request)}\n  greedy ${shown(cluster, greedy)}`);
    console.log(`  search ${shown(cluster, steps)}`);
  }
}
console.log(`better on ${better} of ${all}`);
process.exitCode = better < 0.8 * all ? 1 : 0;
