/**
 * Does an instance keep to the instance policy of the group that it is in, or is to come into? Pure: says which limits
 * are broken and by how much, and what an opcode makes of that. The two ratios of a policy are no matter of one
 * instance: placement looks at them, node by node.
 *
 * As in Ganeti: of several min-max pairs, none of which fits, the one of which least is broken is told; a diskless
 * instance has no number of disks; the memory that counts is maxmem.
 */
import type { StateView } from '../config/api.ts';
import type { BeParams } from '../config/defaults.ts';
import { fillIPolicy, ownerText } from '../config/ipolicy.ts';
import type { Cluster, Instance, InstanceSpec, IPolicy, NodeGroup, SpecRange } from '../config/model.ts';
import { fillBeParams } from '../config/params.ts';
import { limitBroken } from '../placement/policy.ts';
import { OpError } from './types.ts';

/** What a policy limits of an instance. */
export interface PolicySubject {
  readonly memory_mib: number;
  readonly vcpus: number;
  readonly spindle_use: number;
  readonly disks_mib: readonly number[];
  readonly nic_count: number;
  readonly disk_template: string;
}

export function policySubject(
  be: Pick<BeParams, 'maxmem' | 'vcpus' | 'spindle_use'>,
  rest: Omit<PolicySubject, 'memory_mib' | 'vcpus' | 'spindle_use'>,
): PolicySubject {
  return { ...rest, memory_mib: be.maxmem, vcpus: be.vcpus, spindle_use: be.spindle_use };
}

/** An instance as it is in the configuration. */
export function policySubjectOf(state: StateView, cluster: Cluster, instance: Instance): PolicySubject {
  return policySubject(fillBeParams(cluster, instance), {
    disks_mib: instance.disks.map((uuid) => state.get('disks', uuid)?.size ?? 0),
    nic_count: instance.nics.length,
    disk_template: instance.disk_template,
  });
}

/** E.g. `memory-size 8192 is above 4096, the maximum of group default (4096 more)`; empty: it keeps to the policy. */
export function policyViolations(subject: PolicySubject, policy: IPolicy, whose: string): readonly string[] {
  const { disk_template } = subject;
  const allowed = policy['disk-templates'];
  const template = allowed.includes(disk_template)
    ? []
    : [`disk template ${disk_template} is not allowed in ${whose} (allowed: ${allowed.join(', ')})`];
  const pairs = policy.minmax.map((pair) => pairViolations(subject, pair, whose));
  const [least = []] = pairs.sort((a, b) => a.length - b.length);
  return [...template, ...least];
}

function pairViolations(subject: PolicySubject, { min, max }: SpecRange, whose: string): readonly string[] {
  const found: string[] = [];
  const look = (name: keyof InstanceSpec, value: number, which = ''): void => {
    const broken = limitBroken(value, min[name], max[name]);
    if (broken === null) return;
    const [end, more] = broken.side === 'below' ? ['minimum', 'less'] : ['maximum', 'more'];
    found.push(
      `${name}${which} ${value} is ${broken.side} ${broken.limit}, the ${end} of ${whose} (${broken.by} ${more})`,
    );
  };
  look('memory-size', subject.memory_mib);
  look('cpu-count', subject.vcpus);
  if (subject.disk_template !== 'diskless') look('disk-count', subject.disks_mib.length);
  for (const [at, size_mib] of subject.disks_mib.entries()) look('disk-size', size_mib, `/${at}`);
  look('nic-count', subject.nic_count);
  look('spindle-use', subject.spindle_use);
  return found;
}

/** What breaks the policy of `group` (null or unknown: the cluster's). */
export function violationsIn(
  cluster: Cluster,
  group: NodeGroup | null | undefined,
  subject: PolicySubject,
): readonly string[] {
  const whose = ownerText(group ?? 'the cluster');
  return policyViolations(subject, fillIPolicy(cluster, group ?? null), whose);
}

/** The instances that do not keep to the policy of their group, with what is wrong. */
export function violators(
  state: StateView,
  cluster: Cluster,
  groupOf: (uuid: string) => NodeGroup | undefined = (uuid) => state.get('groups', uuid),
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const instance of state.list('instances')) {
    const node = state.get('nodes', instance.owner.node);
    const group = node && groupOf(node.group);
    const violations = violationsIn(cluster, group, policySubjectOf(state, cluster, instance));
    if (violations.length > 0) found.set(instance.name, violations);
  }
  return found;
}

/**
 * Refuses what breaks a policy, unless it was said that policies are to be ignored.
 * @returns what is to be said in the job's log: null or the violations that were ignored
 */
export function obeyPolicy(name: string, violations: readonly string[], ignore: boolean): string | null {
  if (violations.length === 0) return null;
  const what = `instance ${name} violates policy: ${violations.join('; ')}`;
  if (ignore) return `${what}; ignored, as asked for`;
  throw new OpError('OpPrereqError', `${what} (--ignore-ipolicy sets this aside)`, 'wrong_input');
}

/** For a change of policies: what is to be said of the instances that keep to them no more, or null. */
export function newViolators(
  before: ReadonlyMap<string, readonly string[]>,
  after: ReadonlyMap<string, readonly string[]>,
): string | null {
  const names = [...after.keys()].filter((name) => !before.has(name)).sort();
  if (names.length === 0) return null;
  const shown =
    names.length > 20 ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more` : names.join(', ');
  return `instances that violate their policy after this change, and go on: ${shown}`;
}
