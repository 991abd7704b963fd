/**
 * A cluster from what its remote API answers: `/2/info`, and `/2/groups`, `/2/nodes`, `/2/instances` with `bulk=1`.
 *
 * What a node says of its resources counts only while it is online and may hold instances. Groups, nodes and instances
 * keep the order of the answers. The networks of a group are known if `/2/networks` was asked as well. Every refusal is
 * an {@link InputError} that names the object, the field, the value and what was expected.
 */
import type {
  InstancePolicy,
  PlacementCluster,
  PlacementDisk,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  Spec,
} from './cluster.ts';
import { InputError, quoted } from './input-error.ts';
import {
  childField,
  childrenField,
  type Fields,
  fieldsOf,
  flagField,
  listField,
  numberField,
  optional,
  textField,
  textsField,
  wholeField,
  wordField,
  wordsField,
} from './json-fields.ts';
import { alloc_policies, disk_templates, run_statuses } from './names.ts';

/** The answers, parsed. */
export interface RapiAnswers {
  readonly info: unknown;
  readonly groups: unknown;
  readonly nodes: unknown;
  readonly instances: unknown;
  /** undefined: not asked. */
  readonly networks?: unknown;
}

export interface RapiOptions {
  /** Where guests run in KVM, what a node itself takes cannot be told from its memory: so much is assumed; 0: what it says. */
  readonly static_kvm_node_memory_mib: number;
}

/** Throws {@link InputError}. */
export function parseRapiCluster(answers: RapiAnswers, options: RapiOptions): PlacementCluster {
  const info = fieldsOf(answers.info, 'Parsing cluster data');
  const networks =
    answers.networks === undefined ? new Map<string, string[]>() : networksOf(answers.networks);
  const groups = objects(answers.groups, 'group').map((fields) => parseGroup(fields, networks));
  const group_at = new Map(groups.map((group, at) => [group.uuid, at]));
  const master = textField(info, 'master');
  const hypervisor = textField(info, 'default_hypervisor');
  const node_memory_mib = hypervisor === 'kvm' ? options.static_kvm_node_memory_mib : 0;
  const nodes = objects(answers.nodes, 'node').map((fields) => {
    const node = parseNode(fields, group_at, master);
    return node_memory_mib > 0 ? { ...node, node_memory_mib } : node;
  });
  if (!nodes.some((node) => node.master)) {
    throw new InputError('Parsing cluster data', `Master node ${master} unknown`, 'one of the nodes');
  }
  const node_at = new Map(nodes.map((node, at) => [node.name, at]));
  return {
    groups,
    nodes,
    instances: objects(answers.instances, 'instance').map((fields) => parseInstance(fields, node_at)),
    tags: textsField(info, 'tags'),
    policy: parsePolicy(childField(info, 'ipolicy')),
  };
}

/** The items of a list of objects. */
function objects(value: unknown, what: string): readonly Fields[] {
  if (!Array.isArray(value)) {
    throw new InputError(
      `Parsing ${what} data`,
      `Unable to read list from ${short(value)}`,
      `a list of ${what}s`,
    );
  }
  return value.map((item, at) => {
    const fields = fieldsOf(item, `Parsing ${what} data: item ${at}`);
    const name = textField(fields, 'name');
    const title = `${what[0]!.toUpperCase()}${what.slice(1)}`;
    return { ...fields, where: `${title} '${name}', error while parsing data` };
  });
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** uuids of the networks that each group is connected to, by the group's name. */
function networksOf(answer: unknown): ReadonlyMap<string, string[]> {
  const of = new Map<string, string[]>();
  for (const fields of objects(answer, 'network')) {
    const uuid = textField(fields, 'uuid');
    for (const connection of listField(fields, 'group_list')) {
      const group: unknown = Array.isArray(connection) ? connection[0] : undefined;
      if (typeof group !== 'string') {
        throw new InputError(
          fields.where,
          `key 'group_list': Unable to read String from ${short(connection)}`,
          'lists that begin with the name of a group',
        );
      }
      of.set(group, [...(of.get(group) ?? []), uuid]);
    }
  }
  return of;
}

function parseGroup(fields: Fields, networks: ReadonlyMap<string, string[]>): PlacementGroup {
  const name = textField(fields, 'name');
  return {
    name,
    uuid: textField(fields, 'uuid'),
    alloc_policy: wordField(fields, 'alloc_policy', 'AllocPolicy', alloc_policies),
    tags: textsField(fields, 'tags'),
    networks: networks.get(name) ?? [],
    policy: parsePolicy(childField(fields, 'ipolicy')),
  };
}

function parsePolicy(fields: Fields): InstancePolicy {
  return {
    std: parseSpec(childField(fields, 'std')),
    minmax: childrenField(fields, 'minmax').map((pair) => ({
      min: parseSpec(childField(pair, 'min')),
      max: parseSpec(childField(pair, 'max')),
    })),
    disk_templates: wordsField(fields, 'disk-templates', 'DiskTemplate', disk_templates),
    vcpu_ratio: numberField(fields, 'vcpu-ratio', 'Double', 0),
    spindle_ratio: numberField(fields, 'spindle-ratio', 'Double', 0),
    memory_ratio: optional(fields, 'memory-ratio', (from, key) => numberField(from, key, 'Double', 0)) ?? 1,
  };
}

function parseSpec(fields: Fields): Spec {
  return {
    memory_mib: wholeField(fields, 'memory-size', 0),
    cpus: wholeField(fields, 'cpu-count', 0),
    disk_mib: wholeField(fields, 'disk-size', 0),
    disk_count: wholeField(fields, 'disk-count', 0),
    nic_count: wholeField(fields, 'nic-count', 0),
    spindle_use: wholeField(fields, 'spindle-use', 0),
  };
}

function parseNode(fields: Fields, group_at: ReadonlyMap<string, number>, master: string): PlacementNode {
  const name = textField(fields, 'name');
  const group_uuid = textField(fields, 'group.uuid');
  const group = group_at.get(group_uuid);
  if (group === undefined) {
    throw new InputError(
      fields.where,
      `Unknown group ${quoted(group_uuid)} for node ${name}`,
      'the uuid of one of the groups',
    );
  }
  const offline = flagField(fields, 'offline');
  const vm_capable = optional(fields, 'vm_capable', flagField) ?? true;
  const params = childField(fields, 'ndparams');
  const exclusive_storage = flagField(params, 'exclusive_storage');
  const live = !offline && vm_capable;
  const whole = (key: string, least?: number): number => (live ? wholeField(fields, key, least) : 0);
  const size = (key: string): number => (live ? numberField(fields, key, 'Double', 0) : 0);
  /** Storage that nobody reports counts as none. */
  const perhaps = (key: string): number => (live ? (optional(fields, key, wholeField) ?? 0) : 0);
  return {
    name,
    uuid: optional(fields, 'uuid', textField) ?? name,
    group,
    total_memory_mib: size('mtotal'),
    node_memory_mib: whole('mnode', 0),
    free_memory_mib: whole('mfree'),
    total_disk_mib: perhaps('dtotal'),
    free_disk_mib: perhaps('dfree'),
    total_cpus: size('ctotal'),
    node_cpus: whole('cnos', 0),
    cpu_speed: optional(params, 'cpu_speed', (from, key) => numberField(from, key, 'Double', 0)) ?? 1,
    offline,
    drained: flagField(fields, 'drained'),
    vm_capable,
    master: name === master,
    exclusive_storage,
    spindles: exclusive_storage ? whole('sptotal', 0) : wholeField(params, 'spindle_count', 0),
    free_spindles: perhaps('spfree'),
    tags: textsField(fields, 'tags'),
    failure_domains: [],
  };
}

function parseInstance(fields: Fields, node_at: ReadonlyMap<string, number>): PlacementInstance {
  const name = textField(fields, 'name');
  const beparams = childField(fields, 'beparams');
  const [secondary] = textsField(fields, 'snodes');
  const networks = optional(fields, 'nic.networks', listField) ?? [];
  return {
    name,
    uuid: optional(fields, 'uuid', textField) ?? name,
    memory_mib: memoryOf(fields, beparams),
    disk_mib: wholeField(fields, 'disk_usage', 0),
    disks: disksOf(fields),
    vcpus: wholeField(beparams, 'vcpus', 0),
    status: wordField(fields, 'status', 'InstanceStatus', run_statuses),
    auto_balance: flagField(beparams, 'auto_balance'),
    primary: nodeIndex(fields, name, textField(fields, 'pnode'), node_at),
    secondary: secondary === undefined ? -1 : nodeIndex(fields, name, secondary, node_at),
    template: wordField(fields, 'disk_template', 'DiskTemplate', disk_templates),
    tags: textsField(fields, 'tags'),
    spindle_use: wholeField(beparams, 'spindle_use', 0),
    forthcoming: optional(fields, 'forthcoming', flagField) ?? false,
    nic_count: (optional(fields, 'nic.macs', listField) ?? networks).length,
    networks: networks.filter((network) => typeof network === 'string'),
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
  };
}

/** What it has while it runs; what it is to have otherwise. */
function memoryOf(fields: Fields, beparams: Fields): number {
  const running = optional(fields, 'oper_ram', (from, key) => wholeField(from, key, 0));
  const wanted = running ?? optional(beparams, 'memory', (from, key) => wholeField(from, key, 0));
  return wanted ?? wholeField(beparams, 'maxmem', 0);
}

function disksOf(fields: Fields): readonly PlacementDisk[] {
  const spindles = optional(fields, 'disk.spindles', listField) ?? [];
  return listField(fields, 'disk.sizes').map((size_mib, at) => {
    if (typeof size_mib !== 'number' || size_mib < 0) {
      throw new InputError(
        fields.where,
        `key 'disk.sizes': Unable to read Int from ${short(size_mib)}`,
        'a list of sizes in MiB',
      );
    }
    const own = spindles[at];
    return { size_mib, spindles: typeof own === 'number' ? own : null };
  });
}

function nodeIndex(
  fields: Fields,
  instance: string,
  name: string,
  node_at: ReadonlyMap<string, number>,
): number {
  const at = node_at.get(name);
  if (at !== undefined) return at;
  throw new InputError(
    fields.where,
    `Unknown node ${quoted(name)} for instance ${instance}`,
    'the name of one of the nodes',
  );
}
