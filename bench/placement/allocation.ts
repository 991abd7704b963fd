/** What placing one new instance costs inside a process that has the cluster at hand, in CPU milliseconds. */

import { openPlacing, type Wanted } from '../../src/placement/allocate.ts';
import { byScore } from '../../src/placement/allocate-group.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { buildTable } from '../../src/placement/table.ts';

/**
 * One with a copy on a second node, like the cluster's first instance: every pair of nodes is a candidate.
 * @param warm how often before it counts: the agent that does this has run for long
 */
export function allocationTimes(cluster: PlacementCluster, warm: number, trials: number): readonly number[] {
  const instance = { ...cluster.instances[0]!, name: 'new', uuid: 'new', primary: -1, secondary: -1 };
  const table = buildTable(cluster, { waiting: [instance] });
  const placing = openPlacing(table);
  const index = cluster.instances.length;
  const wanted: Wanted = { index, instance, demand: table.demands[index]! };
  const options = { force: false, capacity_checks: true };
  return Array.from({ length: warm + trials }, () => {
    const before = process.cpuUsage();
    const outcome = byScore(placing, wanted, 2, null, options).tryGroup(0);
    const { user, system } = process.cpuUsage(before);
    if (typeof outcome === 'string' || outcome.solution === null) throw new Error('no place was found');
    return (user + system) / 1000;
  }).slice(warm);
}
