/** What a plan that hbal printed comes to, ours or Ganeti's: the score that it ends at, and what is sent for it. Pure. */
import type { PlacementCluster } from '../../src/placement/cluster.ts';

export interface PlanCost {
  /** As printed: eight digits. */
  readonly initial_score: number;
  readonly final_score: number;
  readonly moves: number;
  /** New copies of disks, and the memory of instances that change their primary. */
  readonly moved_mib: number;
}

/**
 * @param output of `hbal -v` for the whole cluster
 * @throws Error where it is no such output
 */
export function planCost(output: string, cluster: PlacementCluster): PlanCost {
  const initial = /^Initial score: ([\d.]+)$/m.exec(output)?.[1];
  const already = /already well balanced \(initial score ([\d.]+)/.exec(output)?.[1];
  const score = Number(initial ?? already);
  if (Number.isNaN(score)) throw new Error(`no output of hbal: ${output.slice(0, 200)}`);
  const instances = new Map(cluster.instances.map((instance) => [instance.name, instance]));
  let [moves, moved_mib, final_score] = [0, 0, score];
  for (const [, name = '', after, actions = ''] of output.matchAll(step_line)) {
    const instance = instances.get(name);
    if (instance === undefined) throw new Error(`a move of ${name}, which is not in the cluster`);
    moves += 1;
    final_score = Number(after);
    for (const action of actions.split(' ')) {
      moved_mib += action.startsWith('r:') ? instance.disk_mib : instance.memory_mib;
    }
  }
  return { initial_score: score, final_score, moves, moved_mib };
}

const step_line = /^ +\d+\. (\S+) +\S+ +=> \S+ +([\d.]+) a=(.+?) *$/gm;
