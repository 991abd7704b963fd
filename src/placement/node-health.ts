/** Which nodes are not as they should be: N+1, and the limits of their group's policy. */
import type { PlacementFailure } from './cluster.ts';
import { FAILS_N1, INSTANCE_SPINDLES, STRIDE, type Table, USED_CPUS } from './table.ts';

/** Online nodes that could not take over the instances of some other node. */
export function nodesFailingN1(table: Table, nodes: readonly number[]): readonly number[] {
  return nodes.filter((node) => table.offline[node] === 0 && table.state[node * STRIDE + FAILS_N1] === 1);
}

/** Instances, not reservations, that have one of these as primary or secondary; ascending. */
export function instancesTouching(table: Table, nodes: readonly number[]): readonly number[] {
  const wanted = new Set(nodes);
  return table.cluster.instances.flatMap((instance, at) =>
    !instance.forthcoming && (wanted.has(table.primary[at]!) || wanted.has(table.secondary[at]!)) ? [at] : [],
  );
}

/** The limit of its policy that a node is beyond; null if it keeps them. */
export function policyBreach(table: Table, node: number): PlacementFailure | null {
  const at = node * STRIDE;
  if (table.state[at + INSTANCE_SPINDLES]! > table.high_spindles[node]!) return 'disk';
  return table.state[at + USED_CPUS]! / table.total_cpus[node]! > table.vcpu_ratio[node]! ? 'cpu' : null;
}
