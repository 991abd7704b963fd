/**
 * The one place where the engine learns the instance policy of a group. The model has none yet: until it has, sizes are
 * not limited and the ratios are Ganeti's defaults.
 */
import type { Cluster, NodeGroup } from '../config/model.ts';
import type { InstancePolicy } from '../placement/cluster.ts';
import { default_policy } from '../placement/default-policy.ts';

/** Whether {@link instancePolicy} says what somebody set, so that an instance may be refused for its size. */
export const sizes_are_limited = false;

/** @param group null: the cluster's own. */
export function instancePolicy(_cluster: Cluster, _group: NodeGroup | null): InstancePolicy {
  return default_policy;
}
