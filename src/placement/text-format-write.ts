/** A cluster as Ganeti's text format, byte for byte as the htools write it (`-S`, hscan). */
import type { InstancePolicy, PlacementCluster, PlacementInstance, PlacementNode, Spec } from './cluster.ts';

export function formatTextCluster(cluster: PlacementCluster): string {
  const groups = cluster.groups.map((group) =>
    [group.name, group.uuid, group.alloc_policy, group.tags.join(','), group.networks.join(',')].join('|'),
  );
  const policies = [
    policyLine('', cluster.policy),
    ...cluster.groups.map((group) => policyLine(group.name, group.policy)),
  ];
  const sections = [
    groups,
    cluster.nodes.map((node) => nodeLine(cluster, node)),
    cluster.instances.map((instance) => instanceLine(cluster, instance)),
    cluster.tags,
    policies,
  ];
  return sections.map((lines) => lines.map((line) => `${line}\n`).join('')).join('\n');
}

function nodeLine(cluster: PlacementCluster, node: PlacementNode): string {
  const offline = node.offline || node.drained || !node.vm_capable;
  return [
    node.name,
    rounded(node.total_memory_mib),
    node.node_memory_mib,
    node.free_memory_mib,
    rounded(node.total_disk_mib),
    node.free_disk_mib,
    rounded(node.total_cpus),
    offline ? 'Y' : node.master ? 'M' : 'N',
    cluster.groups[node.group]?.uuid ?? '',
    node.spindles,
    node.tags.join(','),
    node.exclusive_storage ? 'Y' : 'N',
    node.free_spindles,
    node.node_cpus,
    withFraction(node.cpu_speed),
  ].join('|');
}

function instanceLine(cluster: PlacementCluster, instance: PlacementInstance): string {
  const unknown = instance.disks.some((disk) => disk.spindles === null);
  return [
    instance.name,
    instance.memory_mib,
    instance.disk_mib,
    instance.vcpus,
    instance.status,
    instance.auto_balance ? 'Y' : 'N',
    cluster.nodes[instance.primary]?.name ?? '',
    cluster.nodes[instance.secondary]?.name ?? '',
    instance.template,
    instance.tags.join(','),
    instance.spindle_use,
    unknown ? '-' : instance.disks.reduce((sum, disk) => sum + (disk.spindles ?? 0), 0),
    instance.forthcoming ? 'Y' : 'N',
  ].join('|');
}

function policyLine(owner: string, policy: InstancePolicy): string {
  return [
    owner,
    specText(policy.std),
    policy.minmax.map(({ min, max }) => `${specText(min)};${specText(max)}`).join(';'),
    policy.disk_templates.join(','),
    withFraction(policy.vcpu_ratio),
    withFraction(policy.spindle_ratio),
  ].join('|');
}

function specText(spec: Spec): string {
  return [spec.memory_mib, spec.cpus, spec.disk_mib, spec.disk_count, spec.nic_count, spec.spindle_use].join(
    ',',
  );
}

/** Halves to even. */
function rounded(value: number): string {
  const down = Math.floor(value);
  const half = value - down === 0.5;
  return String(half ? down + (down % 2) : Math.round(value));
}

/** `4.0`, `2.25`: a number that may have a fraction always shows one. */
function withFraction(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
