/**
 * Does an instance, or what a node carries, keep to an instance policy? If not: which limit, and by how much.
 *
 * The order in which limits are looked at is Ganeti's, so that the failure named for an instance is the one that its
 * tools name: memory, each disk, virtual CPUs, spindles, number of disks; least values before greatest ones; and of
 * several min-max pairs, none of which fits, the first.
 */
import type {
  InstancePolicy,
  MinMaxSpec,
  PlacementCluster,
  PlacementFailure,
  PlacementInstance,
  Spec,
} from './cluster.ts';

/** The policy of a node's group. */
export function policyAt(cluster: PlacementCluster, node: number): InstancePolicy {
  return cluster.groups[cluster.nodes[node]!.group]?.policy ?? cluster.policy;
}

/** The parts of an instance that a policy limits. */
export type PolicySubject = Pick<
  PlacementInstance,
  'memory_mib' | 'disks' | 'vcpus' | 'spindle_use' | 'template'
>;

export interface PolicyBreach {
  readonly failure: PlacementFailure;
  /** E.g. `memory of 64 MiB is 64 MiB less than the least, 128 MiB`. */
  readonly text: string;
}

/**
 * The first breach, or null.
 * @param exclusive storage is exclusive where it is to go: the spindles of its disks count, not its spindle use
 */
export function instanceBreach(
  subject: PolicySubject,
  policy: InstancePolicy,
  exclusive: boolean,
): PolicyBreach | null {
  const breaches = policy.minmax.map((pair) => pairBreach(subject, pair, exclusive));
  if (breaches.length > 0 && breaches.every((breach) => breach !== null)) return breaches[0] ?? null;
  if (policy.disk_templates.includes(subject.template)) return null;
  const allowed = policy.disk_templates.join(', ');
  return {
    failure: 'disk',
    text: `disk template ${subject.template} is not allowed: expected ${allowed === '' ? 'none at all' : allowed}`,
  };
}

function pairBreach(subject: PolicySubject, pair: MinMaxSpec, exclusive: boolean): PolicyBreach | null {
  return (
    specBreach(subject, pair.min, exclusive, (value, limit) => value < limit) ??
    specBreach(subject, pair.max, exclusive, (value, limit) => value > limit)
  );
}

function specBreach(
  subject: PolicySubject,
  spec: Spec,
  exclusive: boolean,
  beyond: (value: number, limit: number) => boolean,
): PolicyBreach | null {
  const check = (failure: PlacementFailure, what: string, value: number, limit: number, unit = '') =>
    beyond(value, limit) ? { failure, text: difference(what, value, limit, unit) } : null;
  const memory = check('memory', 'memory', subject.memory_mib, spec.memory_mib, ' MiB');
  if (memory !== null) return memory;
  for (const [at, disk] of subject.disks.entries()) {
    const breach = check('disk', `disk ${at}`, disk.size_mib, spec.disk_mib, ' MiB');
    if (breach !== null) return breach;
  }
  return (
    check('cpu', 'virtual CPUs', subject.vcpus, spec.cpus) ??
    spindleBreach(subject, spec, exclusive, check) ??
    (subject.template === 'diskless'
      ? null
      : check('disk-count', 'number of disks', subject.disks.length, spec.disk_count))
  );
}

function spindleBreach(
  subject: PolicySubject,
  spec: Spec,
  exclusive: boolean,
  check: (failure: PlacementFailure, what: string, value: number, limit: number) => PolicyBreach | null,
): PolicyBreach | null {
  if (!exclusive) return check('spindles', 'spindle use', subject.spindle_use, spec.spindle_use);
  const unknown = subject.disks.findIndex((disk) => disk.spindles === null);
  if (unknown !== -1) {
    return {
      failure: 'spindles',
      text: `disk ${unknown} does not say how many spindles it needs, and storage is exclusive`,
    };
  }
  const spindles = subject.disks.reduce((sum, disk) => sum + (disk.spindles ?? 0), 0);
  return check('spindles', 'spindles of its disks', spindles, spec.spindle_use);
}

function difference(what: string, value: number, limit: number, unit: string): string {
  return value < limit
    ? `${what} of ${value}${unit} is ${limit - value}${unit} less than the least, ${limit}${unit}`
    : `${what} of ${value}${unit} is ${value - limit}${unit} more than the most, ${limit}${unit}`;
}

/** What a node carries, for the two ratios. */
export interface NodeLoad {
  readonly cpus: number;
  /** Virtual ones of its instances, and those that it keeps for itself. */
  readonly used_cpus: number;
  readonly spindles: number;
  readonly used_spindles: number;
  readonly exclusive_storage: boolean;
}

/** Both ratios; empty if the node keeps to them. */
export function nodeBreaches(load: NodeLoad, policy: InstancePolicy): readonly PolicyBreach[] {
  const breaches: PolicyBreach[] = [];
  const most_cpus = load.cpus * policy.vcpu_ratio;
  if (load.used_cpus > most_cpus) {
    breaches.push({
      failure: 'cpu',
      text: ratioText('virtual CPUs', load.used_cpus, most_cpus, policy.vcpu_ratio, `${load.cpus} CPUs`),
    });
  }
  const most_spindles = load.spindles * policy.spindle_ratio;
  if (!load.exclusive_storage && load.used_spindles > most_spindles) {
    breaches.push({
      failure: 'disk',
      text: ratioText(
        'spindles in use',
        load.used_spindles,
        most_spindles,
        policy.spindle_ratio,
        `${load.spindles} spindles`,
      ),
    });
  }
  return breaches;
}

function ratioText(what: string, used: number, most: number, ratio: number, of: string): string {
  return `${used} ${what} are ${used - most} more than the most, ${most} (${ratio} for each of ${of})`;
}

/** What is wrong with a policy itself, in words; empty if nothing is. `where` names it, e.g. `group web`. */
export function policyFaults(policy: InstancePolicy, where: string): readonly string[] {
  const faults: string[] = [];
  if (policy.minmax.length === 0) faults.push(`${where}: no min-max specs: expected at least one pair`);
  if (policy.disk_templates.length === 0) {
    faults.push(`${where}: no disk templates: expected at least one`);
  }
  for (const [at, { min, max }] of policy.minmax.entries()) {
    for (const key of spec_keys) {
      if (min[key] <= max[key]) continue;
      faults.push(
        `${where}: pair ${at}: least ${key} ${min[key]} is ${min[key] - max[key]} more than the greatest, ${max[key]}`,
      );
    }
  }
  const outside = policy.minmax.map((pair) => outsidePair(policy.std, pair));
  if (outside.length > 0 && outside.every((text) => text !== null)) {
    faults.push(`${where}: the standard spec fits no pair: ${outside[0] ?? ''}`);
  }
  if (policy.vcpu_ratio < 1) faults.push(`${where}: vcpu ratio ${policy.vcpu_ratio}: expected 1 or more`);
  if (policy.spindle_ratio < 1) {
    faults.push(`${where}: spindle ratio ${policy.spindle_ratio}: expected 1 or more`);
  }
  return faults;
}

const spec_keys = ['memory_mib', 'cpus', 'disk_mib', 'disk_count', 'nic_count', 'spindle_use'] as const;

function outsidePair(spec: Spec, { min, max }: MinMaxSpec): string | null {
  for (const key of spec_keys) {
    const broken = limitBroken(spec[key], min[key], max[key]);
    if (broken !== null) return difference(key, spec[key], broken.limit, '');
  }
  return null;
}

export interface BrokenLimit {
  readonly side: 'below' | 'above';
  readonly limit: number;
  readonly by: number;
}

/** Which end of a range a value is beyond, and by how much; null: neither. */
export function limitBroken(value: number, min: number, max: number): BrokenLimit | null {
  if (value < min) return { side: 'below', limit: min, by: min - value };
  return value > max ? { side: 'above', limit: max, by: value - max } : null;
}
