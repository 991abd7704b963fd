/**
 * Ganeti's text format (htools(1), `-t`): lines of fields separated by `|`, in sections separated by single empty lines:
 * groups, nodes, instances, cluster tags, policies.
 *
 * As tolerant as the original: every section's later columns may be missing (older releases did not write them) or be
 * followed by unknown ones, the policies may be missing altogether, and what follows them is ignored. Not as tolerant
 * where the original would go on with nonsense: sizes and counts must not be negative. Every refusal is an
 * {@link InputError} with the number of the line, the value, and what was expected.
 */
import type {
  AllocPolicy,
  DiskTemplate,
  InstancePolicy,
  MinMaxSpec,
  PlacementCluster,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  Spec,
} from './cluster.ts';
import { default_policy } from './default-policy.ts';
import { InputError, quoted } from './input-error.ts';
import { alloc_policies, disk_templates, known, run_statuses } from './names.ts';

/** One line with fields, and its number in the file, from 1. */
interface Row {
  readonly line: number;
  readonly text: string;
  readonly fields: readonly string[];
}

/** The cluster that a file describes. Throws {@link InputError}. */
export function parseTextCluster(text: string): PlacementCluster {
  const sections = sectionsOf(text);
  if (sections.length < 4) {
    const found = `Invalid format of the input file: ${sections.length} sections instead of 4 or more`;
    throw new InputError(
      'the whole file',
      found,
      'groups, nodes, instances, cluster tags and policies, with one empty line between each two',
    );
  }
  const [group_rows = [], node_rows = [], instance_rows = [], tag_rows = [], policy_rows = []] = sections;
  const bare_groups = group_rows.map(parseGroup);
  const group_at = indexBy(bare_groups, (group) => group.uuid);
  const nodes = node_rows.map((row) => parseNode(row, group_at));
  const node_at = indexBy(nodes, (node) => node.name);
  const instances = instance_rows.map((row) => parseInstance(row, node_at));
  const { cluster_policy, group_policies } = parsePolicies(policy_rows, bare_groups);
  return {
    groups: bare_groups.map((group, at) => ({ ...group, policy: group_policies[at] ?? default_policy })),
    nodes,
    instances,
    tags: tag_rows.map((row) => row.text),
    policy: cluster_policy,
  };
}

/** Each empty line ends a section; the last one needs none. */
function sectionsOf(text: string): readonly (readonly Row[])[] {
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) return [];
  const sections: Row[][] = [[]];
  for (const [at, line] of lines.entries()) {
    if (line === '') sections.push([]);
    else sections.at(-1)?.push({ line: at + 1, text: line, fields: line.split('|') });
  }
  return sections;
}

/** The last of several with one key wins, as in the original. */
function indexBy<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, number> {
  return new Map(items.map((item, at) => [key(item), at]));
}

function parseGroup(row: Row): Omit<PlacementGroup, 'policy'> {
  const [name, uuid, policy, tags, networks = ''] = row.fields;
  if (name === undefined || uuid === undefined || policy === undefined || tags === undefined) {
    throw incomplete(row, 'group', 'name, uuid, allocation policy, tags and networks');
  }
  return {
    name,
    uuid,
    alloc_policy: parseAllocPolicy(row, policy),
    tags: commaSplit(tags),
    networks: commaSplit(networks),
  };
}

function parseAllocPolicy(row: Row, text: string): AllocPolicy {
  const policy = known(alloc_policies, text);
  if (policy !== undefined) return policy;
  throw wrong(row, `Invalid string value for type AllocPolicy: ${quoted(text)}`, alloc_policies.join(' or '));
}

function parseNode(row: Row, group_at: ReadonlyMap<string, number>): PlacementNode {
  const [name, t_mem, n_mem, f_mem, t_dsk, f_dsk, t_cpu, role, group_uuid, ...later] = row.fields;
  if (name === undefined || t_mem === undefined || n_mem === undefined || f_mem === undefined) {
    throw incomplete(row, 'node', node_fields);
  }
  if (t_dsk === undefined || f_dsk === undefined || t_cpu === undefined || role === undefined) {
    throw incomplete(row, 'node', node_fields);
  }
  if (group_uuid === undefined) throw incomplete(row, 'node', node_fields);
  const group = group_at.get(group_uuid);
  if (group === undefined) {
    throw wrong(
      row,
      `Unknown group ${quoted(group_uuid)} for node ${name}`,
      'the uuid of a group of the first section',
    );
  }
  const [spindles = '1', tags = '', exclusive = 'N', free_spindles = '0', node_cpus = '1', speed = '1.0'] =
    later;
  if ([t_mem, n_mem, f_mem, t_dsk, f_dsk, t_cpu].includes('?')) return unknownNode(name, group);
  return {
    name,
    uuid: name,
    group,
    total_memory_mib: size(row, name, t_mem, 'its total memory'),
    node_memory_mib: count(row, name, n_mem, 'the memory that it uses itself'),
    free_memory_mib: whole(row, name, f_mem, 'its free memory'),
    total_disk_mib: size(row, name, t_dsk, 'its total disk space'),
    free_disk_mib: whole(row, name, f_dsk, 'its free disk space'),
    total_cpus: size(row, name, t_cpu, 'its CPUs'),
    node_cpus: count(row, name, node_cpus, 'the CPUs that it uses itself'),
    cpu_speed: size(row, name, speed, 'the speed of its CPUs'),
    offline: role === 'Y',
    drained: false,
    vm_capable: true,
    master: role === 'M',
    exclusive_storage: yesOrNo(
      row,
      exclusive,
      `Invalid exclusive_storage value for node ${quoted(name)}: ${exclusive}`,
    ),
    spindles: count(row, name, spindles, 'its spindles'),
    free_spindles: whole(row, name, free_spindles, 'its free spindles'),
    tags: commaSplit(tags),
    failure_domains: [],
  };
}

const node_fields =
  'name, total, own and free memory, total and free disk, CPUs, role and group uuid, perhaps more';

/** One that could not be asked: its figures are `?`. */
function unknownNode(name: string, group: number): PlacementNode {
  return {
    name,
    uuid: name,
    group,
    total_memory_mib: 0,
    node_memory_mib: 0,
    free_memory_mib: 0,
    total_disk_mib: 0,
    free_disk_mib: 0,
    total_cpus: 0,
    node_cpus: 0,
    cpu_speed: 1,
    offline: true,
    drained: false,
    vm_capable: true,
    master: false,
    exclusive_storage: false,
    spindles: 0,
    free_spindles: 0,
    tags: [],
    failure_domains: [],
  };
}

function parseInstance(row: Row, node_at: ReadonlyMap<string, number>): PlacementInstance {
  const [name, memory, disk, vcpus, status_text, auto_balance, primary_name, secondary_name, ...later] =
    row.fields;
  if (name === undefined || memory === undefined || disk === undefined || vcpus === undefined) {
    throw incomplete(row, 'instance', instance_fields);
  }
  if (status_text === undefined || auto_balance === undefined || primary_name === undefined) {
    throw incomplete(row, 'instance', instance_fields);
  }
  const [template_text, tags, spindle_use = '1', spindles = '-', forthcoming = 'N'] = later;
  if (secondary_name === undefined || template_text === undefined || tags === undefined) {
    throw incomplete(row, 'instance', instance_fields);
  }
  const primary = nodeIndex(row, name, primary_name, node_at);
  const secondary = secondary_name === '' ? -1 : nodeIndex(row, name, secondary_name, node_at);
  const template = parseTemplate(row, `Instance ${name}: `, template_text);
  const status = known(run_statuses, status_text);
  if (status === undefined) {
    throw wrong(
      row,
      `Invalid string value for type InstanceStatus: ${quoted(status_text)}`,
      run_statuses.join(' or '),
    );
  }
  if (secondary === primary && template === 'drbd') {
    throw wrong(
      row,
      `Instance ${name} has same primary and secondary node - ${primary_name}`,
      'two nodes for a drbd instance',
    );
  }
  const disk_mib = count(row, name, disk, 'its disk space');
  return {
    name,
    uuid: name,
    memory_mib: count(row, name, memory, 'its memory'),
    disk_mib,
    disks: [
      {
        size_mib: disk_mib,
        spindles: spindles === '-' ? null : count(row, name, spindles, 'the spindles of its disk, or -'),
      },
    ],
    vcpus: count(row, name, vcpus, 'its virtual CPUs'),
    status,
    auto_balance: yesOrNo(
      row,
      auto_balance,
      `Invalid auto_balance value ${quoted(auto_balance)} for instance ${name}`,
    ),
    primary,
    secondary,
    template,
    tags: commaSplit(tags),
    spindle_use: count(row, name, spindle_use, 'its spindle use'),
    forthcoming: yesOrNo(
      row,
      forthcoming,
      `Invalid forthcoming value ${quoted(forthcoming)} for instance ${name}`,
    ),
    nic_count: 0,
    networks: [],
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
  };
}

const instance_fields =
  'name, memory, disk, vcpus, status, auto_balance, primary, secondary, disk template and tags, perhaps more';

function nodeIndex(row: Row, instance: string, name: string, node_at: ReadonlyMap<string, number>): number {
  const at = node_at.get(name);
  if (at !== undefined) return at;
  throw wrong(
    row,
    `Unknown node ${quoted(name)} for instance ${instance}`,
    'the name of a node of the second section',
  );
}

function parseTemplate(row: Row, prefix: string, text: string): DiskTemplate {
  const template = known(disk_templates, text);
  if (template !== undefined) return template;
  throw wrong(
    row,
    `${prefix}Invalid string value for type DiskTemplate: ${quoted(text)}`,
    disk_templates.join(' or '),
  );
}

/** The policy of the cluster has no owner; the others name their group. The last one of an owner wins. */
function parsePolicies(
  rows: readonly Row[],
  groups: readonly { readonly name: string; readonly uuid: string }[],
): { readonly cluster_policy: InstancePolicy; readonly group_policies: readonly InstancePolicy[] } {
  let cluster_policy = default_policy;
  const group_policies = groups.map(() => default_policy);
  for (const row of rows) {
    const { owner, policy } = parsePolicy(row);
    if (owner === '') {
      cluster_policy = policy;
      continue;
    }
    const at = groups.findIndex((group) => group.name === owner || group.uuid === owner);
    if (at === -1) {
      throw wrong(
        row,
        `Unknown group ${quoted(owner)}`,
        'nothing, or the name of a group of the first section',
      );
    }
    group_policies[at] = policy;
  }
  return { cluster_policy, group_policies };
}

function parsePolicy(row: Row): { readonly owner: string; readonly policy: InstancePolicy } {
  const [owner, std, minmax, templates, vcpu_ratio, spindle_ratio] = row.fields;
  if (owner === undefined || std === undefined || minmax === undefined) throw incompletePolicy(row);
  if (templates === undefined || vcpu_ratio === undefined || spindle_ratio === undefined) {
    throw incompletePolicy(row);
  }
  const specs = minmax === '' ? [] : minmax.split(';');
  if (specs.length % 2 !== 0) {
    throw wrong(
      row,
      `Odd number of min/max specs for ${quoted(owner)}: ${quoted(minmax)}`,
      'min;max;min;max…',
    );
  }
  const pairs: MinMaxSpec[] = [];
  for (let at = 0; at < specs.length; at += 2) {
    pairs.push({
      min: parseSpec(row, `${owner}/minspec`, specs[at] ?? ''),
      max: parseSpec(row, `${owner}/maxspec`, specs[at + 1] ?? ''),
    });
  }
  return {
    owner,
    policy: {
      std: parseSpec(row, `${owner}/stdspec`, std),
      minmax: pairs,
      disk_templates: commaSplit(templates).map((text) => parseTemplate(row, '', text)),
      vcpu_ratio: size(row, `${owner}/vcpu_ratio`, vcpu_ratio, 'virtual CPUs for each CPU'),
      spindle_ratio: size(row, `${owner}/spindle_ratio`, spindle_ratio, 'spindles in use for each spindle'),
      memory_ratio: 1,
    },
  };
}

function incompletePolicy(row: Row): InputError {
  return wrong(
    row,
    `Invalid ipolicy data: ${quoted(row.text)}`,
    'owner, standard spec, min;max specs, disk templates, vcpu ratio and spindle ratio',
  );
}

function parseSpec(row: Row, owner: string, text: string): Spec {
  const [memory, cpus, disk, disks, nics, spindles] = commaSplit(text);
  if (memory === undefined || cpus === undefined || disk === undefined)
    throw incompleteSpec(row, owner, text);
  if (disks === undefined || nics === undefined || spindles === undefined) {
    throw incompleteSpec(row, owner, text);
  }
  return {
    memory_mib: count(row, `${owner}/memsize`, memory, 'memory'),
    cpus: count(row, `${owner}/cpucount`, cpus, 'CPUs'),
    disk_mib: count(row, `${owner}/disksize`, disk, 'disk space'),
    disk_count: count(row, `${owner}/diskcount`, disks, 'disks'),
    nic_count: count(row, `${owner}/niccount`, nics, 'NICs'),
    spindle_use: count(row, `${owner}/spindleuse`, spindles, 'spindle use'),
  };
}

function incompleteSpec(row: Row, owner: string, text: string): InputError {
  return wrong(
    row,
    `Invalid ispec data for ${owner}: ${quoted(text)}`,
    'memory,cpus,disk,disks,nics,spindle use',
  );
}

function incomplete(row: Row, what: string, expected: string): InputError {
  return wrong(row, `Invalid/incomplete ${what} data: ${quoted(row.text)}`, expected);
}

function wrong(row: Row, problem: string, expected: string): InputError {
  return new InputError(`line ${row.line}`, problem, expected);
}

/** Nothing is no item, not an empty one. */
function commaSplit(text: string): readonly string[] {
  return text === '' ? [] : text.split(',');
}

function yesOrNo(row: Row, text: string, problem: string): boolean {
  if (text === 'Y') return true;
  if (text === 'N') return false;
  throw wrong(row, problem, 'Y or N');
}

/** A number that may have a fraction. */
function size(row: Row, owner: string, text: string, what: string): number {
  if (!/^\s*\d+(\.\d+)?([eE][-+]?\d+)?\s*$/.test(text))
    throw noNumber(row, owner, text, `${what}, a number from 0`);
  return Number(text);
}

function count(row: Row, owner: string, text: string, what: string): number {
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw noNumber(row, owner, text, `${what}, a whole number from 0`);
  return value;
}

/** May be negative: more may be in use than there is. */
function whole(row: Row, owner: string, text: string, what: string): number {
  const value = /^\s*-?\d+\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw noNumber(row, owner, text, `${what}, a whole number`);
  return value;
}

function noNumber(row: Row, owner: string, text: string, expected: string): InputError {
  return wrong(row, `${owner}: cannot parse string ${quoted(text)}`, expected);
}
