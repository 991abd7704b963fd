/**
 * An IAllocator message from a cluster and a request: what an external allocator is given. Only what placement knows is
 * in it; names of hypervisors and of the cluster are handed in. `iallocator-format.ts` reads it back.
 */
import type {
  InstancePolicy,
  PlacementCluster,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  Spec,
} from './cluster.ts';
import type { AllocatorRequest, WantedInstance } from './iallocator-format.ts';

export interface MessageNames {
  readonly cluster_name: string;
  readonly enabled_hypervisors: readonly string[];
}

type Json = { readonly [key: string]: unknown };

export function formatAllocatorInput(
  cluster: PlacementCluster,
  request: AllocatorRequest,
  names: MessageNames,
): string {
  return JSON.stringify({
    version: 2,
    ...names,
    cluster_tags: cluster.tags,
    ipolicy: policyJson(cluster.policy),
    nodegroups: Object.fromEntries(cluster.groups.map((group) => [group.uuid, groupJson(group)])),
    nodes: Object.fromEntries(cluster.nodes.map((node) => [node.name, nodeJson(cluster, node)])),
    instances: Object.fromEntries(cluster.instances.map((one) => [one.name, placedJson(cluster, one)])),
    request: requestJson(cluster, request),
  });
}

function specJson(spec: Spec): Json {
  return {
    'memory-size': spec.memory_mib,
    'cpu-count': spec.cpus,
    'disk-size': spec.disk_mib,
    'disk-count': spec.disk_count,
    'nic-count': spec.nic_count,
    'spindle-use': spec.spindle_use,
  };
}

function policyJson(policy: InstancePolicy): Json {
  return {
    std: specJson(policy.std),
    minmax: policy.minmax.map(({ min, max }) => ({ min: specJson(min), max: specJson(max) })),
    'disk-templates': policy.disk_templates,
    'vcpu-ratio': policy.vcpu_ratio,
    'spindle-ratio': policy.spindle_ratio,
  };
}

function groupJson(group: PlacementGroup): Json {
  const { name, alloc_policy, networks, tags, policy } = group;
  return { name, alloc_policy, networks, tags, ipolicy: policyJson(policy) };
}

function nodeJson(cluster: PlacementCluster, node: PlacementNode): Json {
  const { exclusive_storage } = node;
  const fixed = {
    tags: node.tags,
    offline: node.offline,
    drained: node.drained,
    vm_capable: node.vm_capable,
    group: cluster.groups[node.group]?.uuid,
    ndparams: { exclusive_storage, spindle_count: exclusive_storage ? 1 : node.spindles },
  };
  // Nobody can ask the others.
  if (node.offline || !node.vm_capable) return fixed;
  return {
    ...fixed,
    total_memory: node.total_memory_mib,
    reserved_memory: node.node_memory_mib,
    free_memory: node.free_memory_mib,
    total_disk: node.total_disk_mib,
    free_disk: node.free_disk_mib,
    total_spindles: exclusive_storage ? node.spindles : 0,
    free_spindles: node.free_spindles,
    total_cpus: node.total_cpus,
    reserved_cpus: node.node_cpus,
  };
}

function placedJson(cluster: PlacementCluster, instance: PlacementInstance): Json {
  const nodes = [instance.primary, instance.secondary].filter((node) => node >= 0);
  return {
    ...instanceJson(instance),
    admin_state: adminState(instance),
    nodes: nodes.map((node) => cluster.nodes[node]?.name),
  };
}

function adminState({ status }: PlacementInstance): string {
  if (status === 'ADMIN_offline') return 'offline';
  return status === 'ADMIN_down' || status === 'USER_down' ? 'down' : 'up';
}

function instanceJson(instance: PlacementInstance): Json {
  const nics = Array.from({ length: Math.max(instance.nic_count, instance.networks.length) }, (_, at) => ({
    mac: null,
    ip: null,
    mode: null,
    link: null,
    ...(instance.networks[at] === undefined ? {} : { network: instance.networks[at] }),
  }));
  return {
    tags: instance.tags,
    vcpus: instance.vcpus,
    memory: instance.memory_mib,
    spindle_use: instance.spindle_use,
    disks: instance.disks.map(({ size_mib, spindles }) => ({
      size: size_mib,
      mode: 'rw',
      ...(spindles === null ? {} : { spindles }),
    })),
    disk_space_total: instance.disk_mib,
    disk_template: instance.template,
    nics,
    ...(instance.forthcoming ? { forthcoming: true } : {}),
  };
}

function wantedJson({ instance, node_count, group }: WantedInstance): Json {
  return {
    name: instance.name,
    ...instanceJson(instance),
    required_nodes: node_count,
    ...(group === null ? {} : { group_name: group }),
  };
}

function requestJson(cluster: PlacementCluster, request: AllocatorRequest): Json {
  const { type } = request;
  const instanceName = (at: number): string | undefined => cluster.instances[at]?.name;
  switch (type) {
    case 'allocate':
      return {
        type,
        ...wantedJson(request.wanted),
        ...(request.restrict_to === null ? {} : { 'restrict-to-nodes': request.restrict_to }),
      };
    case 'multi-allocate':
      return { type, instances: request.wanted.map(wantedJson) };
    case 'allocate-secondary':
      return { type, name: instanceName(request.instance) };
    case 'relocate':
      return {
        type,
        name: instanceName(request.instance),
        disk_space_total: cluster.instances[request.instance]?.disk_mib,
        required_nodes: request.node_count,
        relocate_from: request.from.map((node) => cluster.nodes[node]?.name),
      };
    case 'node-evacuate':
      return { type, instances: request.instances.map(instanceName), evac_mode: request.mode };
    case 'change-group':
      return {
        type,
        instances: request.instances.map(instanceName),
        target_groups: request.target_groups.map((group) => cluster.groups[group]?.uuid),
      };
  }
}
