/** A cluster and a request as one IAllocator message: what Ganeti's masterd hands to hail. */
import type { PlacementCluster, Spec } from '../../src/placement/cluster.ts';

/** Instances that are to run; node names as in the cluster. */
export function allocatorMessage(cluster: PlacementCluster, request: object): string {
  const { groups, nodes, instances } = cluster;
  return JSON.stringify({
    version: 2,
    cluster_name: 'cluster',
    cluster_tags: cluster.tags,
    enabled_hypervisors: ['xen-pvm'],
    ipolicy: policyOf(cluster.policy),
    nodegroups: Object.fromEntries(
      groups.map(({ uuid, name, alloc_policy, tags, networks, policy }) => [
        uuid,
        { name, alloc_policy, tags, networks, ipolicy: policyOf(policy) },
      ]),
    ),
    nodes: Object.fromEntries(
      nodes.map((node) => [
        node.name,
        {
          group: groups[node.group]?.uuid,
          total_memory: node.total_memory_mib,
          reserved_memory: node.node_memory_mib,
          free_memory: node.free_memory_mib,
          total_disk: node.total_disk_mib,
          free_disk: node.free_disk_mib,
          total_cpus: node.total_cpus,
          reserved_cpus: node.node_cpus,
          total_spindles: node.spindles,
          free_spindles: node.spindles,
          tags: node.tags,
          offline: node.offline,
          drained: node.drained,
          vm_capable: node.vm_capable,
          master_capable: true,
          master_candidate: false,
          i_pri_memory: 0,
          i_pri_up_memory: 0,
          primary_ip: '192.0.2.1',
          secondary_ip: '198.51.100.1',
          ndparams: { spindle_count: node.spindles, exclusive_storage: false, oob_program: null },
        },
      ]),
    ),
    instances: Object.fromEntries(
      instances.map((instance) => [
        instance.name,
        {
          nodes: [instance.primary, instance.secondary].flatMap((at) => nodes[at]?.name ?? []),
          memory: instance.memory_mib,
          vcpus: instance.vcpus,
          disks: instance.disks.map(({ size_mib }) => ({ size: size_mib, mode: 'rw', spindles: 1 })),
          disk_space_total: instance.disk_mib,
          disk_template: instance.template,
          spindle_use: instance.spindle_use,
          tags: instance.tags,
          nics: [],
          hypervisor: 'xen-pvm',
          os: 'debian',
          admin_state: 'up',
          admin_state_source: 'admin',
        },
      ]),
    ),
    request,
  });
}

function policyOf({ std, minmax, disk_templates, vcpu_ratio, spindle_ratio }: PlacementCluster['policy']) {
  return {
    std: specOf(std),
    minmax: minmax.map(({ min, max }) => ({ min: specOf(min), max: specOf(max) })),
    'disk-templates': disk_templates,
    'vcpu-ratio': vcpu_ratio,
    'spindle-ratio': spindle_ratio,
  };
}

function specOf({ memory_mib, cpus, disk_mib, disk_count, nic_count, spindle_use }: Spec) {
  return {
    'memory-size': memory_mib,
    'cpu-count': cpus,
    'disk-size': disk_mib,
    'disk-count': disk_count,
    'nic-count': nic_count,
    'spindle-use': spindle_use,
  };
}
