/**
 * Whether our hbal ends at a score as low as Ganeti's or lower, and sends no more for it: on clusters of every kind, to
 * the end of both. Exit status 1 if there is one where it does not.
 *
 *     node bench/placement/compare.ts [NODESxINSTANCES …]     # 10x100 20x200 40x400; Ganeti's needs minutes for 40x400
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { hbal } from '../../cli/htools/hbal.ts';
import { runHtool } from '../../cli/htools/test-world.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import { generateCluster } from './generate.ts';
import { measuredRun } from './measured-run.ts';
import { type PlanCost, planCost } from './plan-cost.ts';
import { unbalancedRequests } from './unbalanced.ts';

function shown({ final_score, moves, moved_mib }: PlanCost): string {
  return `${final_score.toFixed(8)}, ${moves} moves, ${(moved_mib / 1024).toFixed(1)} GiB`;
}

const sizes = process.argv.length > 2 ? process.argv.slice(2) : ['10x100', '20x200', '40x400'];
const folder = mkdtempSync(join(tmpdir(), 'skein-compare-'));
let worse = 0;
try {
  for (const size of sizes) {
    const [nodes = 0, instances = 0] = size.split('x').map(Number);
    for (const request of unbalancedRequests(nodes, instances)) {
      const cluster = generateCluster(request);
      const file = join(folder, 'cluster.data');
      writeFileSync(file, formatTextCluster(cluster));
      const args = ['-v', '-t', file];
      const { out } = await runHtool(hbal, args, (path) => readFileSync(path, 'utf8'));
      const ours = planCost(out, cluster);
      const peer = planCost(measuredRun(['/usr/bin/hbal', ...args]).output, cluster);
      const good = ours.final_score <= peer.final_score && ours.moved_mib <= peer.moved_mib;
      if (!good) worse += 1;
      const verdict = good ? 'good ' : 'WORSE';
      console.log(
        `${verdict} ${JSON.stringify(request)}\n      ours   ${shown(ours)}\n      Ganeti ${shown(peer)}`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = worse > 0 ? 1 : 0;
