/**
 * Instance policies: what a cluster and its node groups let instances be like. Their inheritance, and what makes one
 * sound. Whether an instance keeps to one is not decided here.
 *
 * Stored is only what was set, so that states of before there were policies are read as they are: what is missing is
 * the cluster's, and what the cluster does not say is the built-in value. Each key is inherited or replaced as a whole.
 */
import { limits } from './limits.ts';
import type { Cluster, InstanceSpec, IPolicy, NodeGroup, SpecRange } from './model.ts';
import { shown } from './refused.ts';
import type { Verdict } from './validate.ts';

/** In the order in which Ganeti names them. */
export const spec_names: readonly (keyof InstanceSpec)[] = [
  'memory-size',
  'cpu-count',
  'disk-count',
  'disk-size',
  'nic-count',
  'spindle-use',
];

const ratio_names = ['vcpu-ratio', 'spindle-ratio', 'memory-ratio'] as const;

/** Every disk template of Ganeti's; which of them can be used is for the cluster to say. */
export const disk_templates: readonly string[] = [
  'diskless',
  'file',
  'sharedfile',
  'plain',
  'blockdev',
  'drbd',
  'rbd',
  'ext',
  'gluster',
];

const { ipolicy_pairs: most_pairs, ipolicy_amount: most } = limits;

const least_spec: InstanceSpec = {
  'memory-size': 128,
  'cpu-count': 1,
  'disk-count': 1,
  'disk-size': 1024,
  'nic-count': 1,
  'spindle-use': 1,
};

/** Ganeti's values. Its disk templates are those that are enabled, as in a cluster that Ganeti has just founded. */
export const default_ipolicy: Omit<IPolicy, 'disk-templates'> = {
  minmax: [
    {
      min: least_spec,
      max: {
        'memory-size': 32_768,
        'cpu-count': 8,
        'disk-count': 16,
        'disk-size': 1_048_576,
        'nic-count': 8,
        'spindle-use': 12,
      },
    },
  ],
  std: least_spec,
  'vcpu-ratio': 4,
  'spindle-ratio': 32,
  'memory-ratio': 1,
};

/** Lets nearly everything pass: for tests and simulators, whose guests are tiny. */
export const loose_ipolicy: Partial<IPolicy> = {
  minmax: [
    {
      min: {
        'memory-size': 1,
        'cpu-count': 1,
        'disk-count': 0,
        'disk-size': 1,
        'nic-count': 0,
        'spindle-use': 0,
      },
      max: {
        'memory-size': most,
        'cpu-count': 1_024,
        'disk-count': 16,
        'disk-size': most,
        'nic-count': 8,
        'spindle-use': 1_024,
      },
    },
  ],
};

/** The policy in force in a group (null: the cluster's own), complete. Built-in, cluster, group; later ones win. */
export function fillIPolicy(
  cluster: Pick<Cluster, 'ipolicy' | 'enabled_disk_templates'>,
  group: Pick<NodeGroup, 'ipolicy'> | null,
): IPolicy {
  return {
    ...default_ipolicy,
    'disk-templates': cluster.enabled_disk_templates,
    ...cluster.ipolicy,
    ...group?.ipolicy,
  };
}

/** The keys that a cluster's policy may have, or a group's. */
export function ipolicyNames(of: 'cluster' | 'group'): readonly string[] {
  return ['minmax', ...(of === 'cluster' ? ['std'] : []), 'disk-templates', ...ratio_names];
}

/**
 * Names and types of what is set of a policy.
 * @param of a group's has no `std`
 */
export function checkIPolicyParts(given: unknown, of: 'cluster' | 'group'): Verdict {
  if (!isObject(given)) return `ipolicy is ${shown(given)}: expected an object`;
  const names = ipolicyNames(of);
  for (const [key, value] of Object.entries(given)) {
    if (key === 'std' && of === 'group')
      return 'ipolicy has std: expected it on the cluster only, groups have no standard spec of their own';
    if (!names.includes(key))
      return `ipolicy has the unknown key ${shown(key)}: expected some of ${names.join(', ')}`;
    const wrong = checkPart(key, value);
    if (wrong !== null) return wrong;
  }
  return null;
}

function checkPart(key: string, value: unknown): Verdict {
  switch (key) {
    case 'minmax':
      return checkRanges(value);
    case 'std':
      return checkSpec('std', value);
    case 'disk-templates':
      return checkTemplates(value);
    default:
      return typeof value === 'number' && value >= 1 && value <= most
        ? null
        : `ipolicy ${key} is ${shown(value)}: expected a number of 1 or more`;
  }
}

function checkRanges(value: unknown): Verdict {
  if (!Array.isArray(value) || value.length === 0 || value.length > most_pairs)
    return `ipolicy minmax is ${shown(value)}: expected 1 to ${most_pairs} pairs of min and max`;
  for (const [at, pair] of (value as unknown[]).entries()) {
    if (!isObject(pair) || Object.keys(pair).sort().join() !== 'max,min')
      return `ipolicy minmax pair ${at} is ${shown(pair)}: expected an object with min and max`;
    const wrong =
      checkSpec(`minmax pair ${at} min`, pair.min) ?? checkSpec(`minmax pair ${at} max`, pair.max);
    if (wrong !== null) return wrong;
  }
  return null;
}

function checkSpec(what: string, value: unknown): Verdict {
  if (!isObject(value)) return `ipolicy ${what} is ${shown(value)}: expected an object`;
  const unknown = Object.keys(value).find((key) => !spec_names.some((name) => name === key));
  if (unknown !== undefined)
    return `ipolicy ${what} has the unknown key ${shown(unknown)}: expected ${spec_names.join(', ')}`;
  for (const name of spec_names) {
    const amount = value[name];
    if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount < 0 || amount > most)
      return `ipolicy ${what}: ${name} is ${shown(amount)}: expected a whole number from 0 to ${most}`;
  }
  return null;
}

function checkTemplates(value: unknown): Verdict {
  if (!Array.isArray(value) || value.length === 0)
    return `ipolicy disk-templates is ${shown(value)}: expected at least one of ${disk_templates.join(', ')}`;
  for (const [at, template] of (value as unknown[]).entries()) {
    if (typeof template !== 'string' || !disk_templates.includes(template))
      return `ipolicy disk-templates has ${shown(template)}: expected some of ${disk_templates.join(', ')}`;
    if (value.indexOf(template) !== at)
      return `ipolicy disk-templates has ${shown(template)} twice: expected each once`;
  }
  return null;
}

/**
 * Whether a complete policy, sound in its parts, fits together and fits the cluster.
 * @param owner whose policy it is; a group's standard spec is the cluster's and need not fit its pairs
 */
export function checkIPolicy(
  policy: IPolicy,
  enabled_templates: readonly string[],
  owner: 'the cluster' | Pick<NodeGroup, 'name'>,
): Verdict {
  const whose = ownerText(owner);
  for (const [at, { min, max }] of policy.minmax.entries()) {
    for (const name of spec_names) {
      if (min[name] > max[name])
        return `ipolicy of ${whose}, minmax pair ${at}: min ${name} is ${min[name]}, ${min[name] - max[name]} more than its max ${max[name]}: expected at most that`;
    }
  }
  if (owner === 'the cluster') {
    const wrong = policy.minmax.map((pair) => outside(policy.std, pair));
    if (!wrong.includes(null)) return `ipolicy of ${whose}: std fits no minmax pair: ${wrong[0] ?? ''}`;
  }
  const disabled = policy['disk-templates'].find((template) => !enabled_templates.includes(template));
  return disabled === undefined
    ? null
    : `ipolicy of ${whose} allows the disk template ${disabled}, which is not enabled on the cluster: expected some of ${enabled_templates.join(', ')}`;
}

function outside(spec: InstanceSpec, { min, max }: SpecRange): Verdict {
  const name = spec_names.find((each) => spec[each] < min[each] || spec[each] > max[each]);
  return name === undefined ? null : `${name} is ${spec[name]}: expected ${min[name]} to ${max[name]}`;
}

/** `the cluster`, or `group web`. */
export function ownerText(owner: 'the cluster' | Pick<NodeGroup, 'name'>): string {
  return owner === 'the cluster' ? owner : `group ${owner.name}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
