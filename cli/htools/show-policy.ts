/** An instance policy in the words of the program that the htools are written in: what `-v -v` prints of it. */
import type { DiskTemplate, InstancePolicy, Spec } from '../../src/placement/cluster.ts';
import { shortestDecimal } from '../../src/placement/decimal.ts';

const template_names: { readonly [template in DiskTemplate]: string } = {
  diskless: 'DTDiskless',
  file: 'DTFile',
  sharedfile: 'DTSharedFile',
  plain: 'DTPlain',
  blockdev: 'DTBlock',
  drbd: 'DTDrbd8',
  rbd: 'DTRbd',
  ext: 'DTExt',
  gluster: 'DTGluster',
  mirror: 'DTMirror',
};

export function shownPolicy(policy: InstancePolicy): string {
  const pairs = policy.minmax.map(
    ({ min, max }) =>
      `MinMaxISpecs {minMaxISpecsMinSpec = ${shownSpec(min)}, minMaxISpecsMaxSpec = ${shownSpec(max)}}`,
  );
  const templates = policy.disk_templates.map((template) => template_names[template]);
  return (
    `IPolicy {iPolicyMinMaxISpecs = [${pairs.join(',')}], iPolicyStdSpec = ${shownSpec(policy.std)}, ` +
    `iPolicyDiskTemplates = [${templates.join(',')}], iPolicyVcpuRatio = ${shortestDecimal(policy.vcpu_ratio)}, ` +
    `iPolicySpindleRatio = ${shortestDecimal(policy.spindle_ratio)}}`
  );
}

function shownSpec(spec: Spec): string {
  return (
    `ISpec {iSpecMemorySize = ${spec.memory_mib}, iSpecCpuCount = ${spec.cpus}, iSpecDiskSize = ${spec.disk_mib}, ` +
    `iSpecDiskCount = ${spec.disk_count}, iSpecNicCount = ${spec.nic_count}, iSpecSpindleUse = ${spec.spindle_use}}`
  );
}
