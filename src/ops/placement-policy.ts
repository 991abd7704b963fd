/** The instance policy of a group as the engine has it. */
import { fillIPolicy } from '../config/ipolicy.ts';
import type { Cluster, InstanceSpec, NodeGroup } from '../config/model.ts';
import type { DiskTemplate, InstancePolicy, Spec } from '../placement/cluster.ts';

function specOf(spec: InstanceSpec): Spec {
  return {
    memory_mib: spec['memory-size'],
    cpus: spec['cpu-count'],
    disk_mib: spec['disk-size'],
    disk_count: spec['disk-count'],
    nic_count: spec['nic-count'],
    spindle_use: spec['spindle-use'],
  };
}

/** @param group null: the cluster's own. */
export function instancePolicy(cluster: Cluster, group: NodeGroup | null): InstancePolicy {
  const policy = fillIPolicy(cluster, group);
  return {
    std: specOf(policy.std),
    minmax: policy.minmax.map(({ min, max }) => ({ min: specOf(min), max: specOf(max) })),
    disk_templates: policy['disk-templates'] as readonly DiskTemplate[],
    vcpu_ratio: policy['vcpu-ratio'],
    spindle_ratio: policy['spindle-ratio'],
    memory_ratio: policy['memory-ratio'],
  };
}
