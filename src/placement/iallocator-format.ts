/**
 * The request of Ganeti's IAllocator protocol, version 2: a cluster and what is asked of it.
 *
 * Groups, nodes and instances keep the order of the message, which decides between placements that are equally good.
 * Of policies only the groups' are read: they are complete, and the cluster's decides nothing.
 * What a node that is offline or not vm_capable says of its resources is ignored, as it was not asked for them. Every
 * refusal is an {@link InputError} with the field, the value and what was expected. Answers: `iallocator-answer.ts`.
 */
import type {
  InstancePolicy,
  PlacementCluster,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  RunStatus,
  Spec,
} from './cluster.ts';
import { default_policy } from './default-policy.ts';
import { InputError, quoted } from './input-error.ts';
import {
  childField,
  childrenField,
  entriesField,
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
import { alloc_policies, disk_templates } from './names.ts';
import { clusterDomain, shortName } from './short-names.ts';

export const evacuation_modes = ['primary-only', 'secondary-only', 'all'] as const;
export type EvacuationMode = (typeof evacuation_modes)[number];

/** An instance that does not exist yet. */
export interface WantedInstance {
  /** On no node: `primary` and `secondary` are -1. */
  readonly instance: PlacementInstance;
  /** 1, or 2 for one with a copy; whoever asks may ask for nonsense. */
  readonly node_count: number;
  /** Name or uuid of the only group that will do. */
  readonly group: string | null;
}

/** Instances, nodes and groups by their index in the cluster. */
export type AllocatorRequest =
  | {
      readonly type: 'allocate';
      readonly wanted: WantedInstance;
      /** Names of the only nodes that will do. */
      readonly restrict_to: readonly string[] | null;
    }
  | { readonly type: 'multi-allocate'; readonly wanted: readonly WantedInstance[] }
  | { readonly type: 'allocate-secondary'; readonly instance: number }
  | {
      readonly type: 'relocate';
      readonly instance: number;
      readonly node_count: number;
      readonly from: readonly number[];
    }
  | { readonly type: 'node-evacuate'; readonly instances: readonly number[]; readonly mode: EvacuationMode }
  | {
      readonly type: 'change-group';
      readonly instances: readonly number[];
      /** Empty: any group but theirs. */
      readonly target_groups: readonly number[];
    };

export interface AllocatorInput {
  readonly cluster: PlacementCluster;
  readonly request: AllocatorRequest;
}

export interface AllocatorInputOptions {
  /** Memory that a node with kvm needs itself, in place of what it reports; 0: what it reports. */
  readonly kvm_node_memory_mib?: number;
  /** A cluster to look at in place of the one in the message. */
  readonly cluster?: PlacementCluster;
}

/** Ganeti's default for `--static-kvm-node-memory`. */
export const default_kvm_node_memory_mib = 4096;

const hypervisors = ['kvm', 'xen-pvm', 'chroot', 'xen-hvm', 'lxc', 'fake'] as const;
const message_where = 'invalid iallocator message';
const request_where = 'invalid request dict';

/** Reads a message. Throws {@link InputError}. */
export function parseAllocatorInput(text: string, options: AllocatorInputOptions = {}): AllocatorInput {
  const message = fieldsOf(parseJson(text), message_where);
  const request = { where: request_where, object: childField(message, 'request').object };
  const in_message = readCluster(message, options);
  const cluster = options.cluster ?? in_message;
  return { cluster, request: readRequest(request, cluster) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const problem = error instanceof SyntaxError ? error.message : String(error);
    throw new InputError('Parsing input IAllocator message', `Invalid JSON: ${problem}`, 'one JSON object');
  }
}

function readCluster(message: Fields, options: AllocatorInputOptions): PlacementCluster {
  const groups = entriesField(message, 'nodegroups', (uuid) => `invalid data for group '${uuid}'`).map(
    ([uuid, fields]) => readGroup(uuid, fields),
  );
  const group_at = new Map(groups.map((group, at) => [group.uuid, at]));
  const enabled = wordsField(message, 'enabled_hypervisors', 'Hypervisor', hypervisors);
  const kvm_memory_mib = options.kvm_node_memory_mib ?? default_kvm_node_memory_mib;
  const own_memory_mib = enabled[0] === 'kvm' && kvm_memory_mib > 0 ? kvm_memory_mib : null;
  const nodes = entriesField(message, 'nodes', (name) => `invalid data for node '${name}'`).map(
    ([name, fields]) => readNode(name, fields, group_at, own_memory_mib),
  );
  const node_at = new Map(nodes.map((node, at) => [node.name, at]));
  const instances = entriesField(message, 'instances', (name) => `invalid data for instance '${name}'`).map(
    ([name, fields]) => readPlaced(name, fields, node_at),
  );
  return {
    groups,
    nodes,
    instances,
    tags: textsField(message, 'cluster_tags'),
    policy: default_policy,
  };
}

function readGroup(uuid: string, fields: Fields): PlacementGroup {
  return {
    name: textField(fields, 'name'),
    uuid,
    alloc_policy: wordField(fields, 'alloc_policy', 'AllocPolicy', alloc_policies),
    tags: textsField(fields, 'tags'),
    networks: textsField(fields, 'networks'),
    policy: readPolicy(fields, 'ipolicy'),
  };
}

function readPolicy(parent: Fields, key: string): InstancePolicy {
  const fields = childField(parent, key);
  return {
    std: readSpec(fields, 'std'),
    minmax: childrenField(fields, 'minmax').map((pair) => ({
      min: readSpec(pair, 'min'),
      max: readSpec(pair, 'max'),
    })),
    disk_templates: wordsField(fields, 'disk-templates', 'DiskTemplate', disk_templates),
    vcpu_ratio: numberField(fields, 'vcpu-ratio', 'Double', 0),
    spindle_ratio: numberField(fields, 'spindle-ratio', 'Double', 0),
    memory_ratio: optional(fields, 'memory-ratio', (one, name) => numberField(one, name, 'Double', 0)) ?? 1,
  };
}

function readSpec(parent: Fields, key: string): Spec {
  const fields = childField(parent, key);
  return {
    memory_mib: wholeField(fields, 'memory-size', 0),
    cpus: wholeField(fields, 'cpu-count', 0),
    disk_mib: wholeField(fields, 'disk-size', 0),
    disk_count: wholeField(fields, 'disk-count', 0),
    nic_count: wholeField(fields, 'nic-count', 0),
    spindle_use: wholeField(fields, 'spindle-use', 0),
  };
}

function readNode(
  name: string,
  fields: Fields,
  group_at: ReadonlyMap<string, number>,
  own_memory_mib: number | null,
): PlacementNode {
  const offline = flagField(fields, 'offline');
  const drained = flagField(fields, 'drained');
  const vm_capable = optional(fields, 'vm_capable', flagField) ?? true;
  const group_uuid = textField(fields, 'group');
  const group = group_at.get(group_uuid);
  if (group === undefined) {
    throw new InputError(
      fields.where,
      `Unknown group ${quoted(group_uuid)} for node ${name}`,
      'the uuid of one of the nodegroups',
    );
  }
  const parameters = childField(fields, 'ndparams');
  const exclusive_storage = flagField(parameters, 'exclusive_storage');
  const live = !offline && vm_capable;
  const size = (key: string): number => (live ? numberField(fields, key, 'Double', 0) : 0);
  const whole = (key: string, least?: number): number => (live ? wholeField(fields, key, least) : 0);
  return {
    name,
    uuid: name,
    group,
    total_memory_mib: size('total_memory'),
    node_memory_mib: own_memory_mib ?? whole('reserved_memory', 0),
    free_memory_mib: whole('free_memory'),
    total_disk_mib: size('total_disk'),
    free_disk_mib: whole('free_disk'),
    total_cpus: size('total_cpus'),
    node_cpus: whole('reserved_cpus', 0),
    cpu_speed: 1,
    offline,
    drained,
    vm_capable,
    master: false,
    exclusive_storage,
    spindles: exclusive_storage ? whole('total_spindles', 0) : wholeField(parameters, 'spindle_count', 0),
    free_spindles: whole('free_spindles'),
    tags: optional(fields, 'tags', textsField) ?? [],
    failure_domains: [],
  };
}

function readPlaced(name: string, fields: Fields, node_at: ReadonlyMap<string, number>): PlacementInstance {
  const instance = readInstance(name, fields);
  const names = listField(fields, 'nodes');
  if (names.length === 0) {
    throw new InputError(fields.where, `empty node list for instance ${name}`, 'its primary node first');
  }
  const indexOf = (node: unknown): number => {
    const at = typeof node === 'string' ? node_at.get(node) : undefined;
    if (at !== undefined) return at;
    const problem = `Unknown node ${quoted(String(node))} for instance ${name}`;
    throw new InputError(fields.where, problem, 'the name of one of the nodes');
  };
  return {
    ...instance,
    primary: indexOf(names[0]),
    secondary: names.length > 1 ? indexOf(names[1]) : -1,
  };
}

const statuses: { readonly [admin_state: string]: RunStatus } = {
  up: 'running',
  down: 'ADMIN_down',
  offline: 'ADMIN_offline',
};

const not_measured = { cpu: 1, memory: 1, disk: 1, net: 1 };

/** What instances and requests for one have in common. */
function readInstance(name: string, fields: Fields): PlacementInstance {
  const disks = childrenField(fields, 'disks').map((disk) => ({
    size_mib: wholeField(disk, 'size', 0),
    spindles: optional(disk, 'spindles', (one, key) => wholeField(one, key, 0)) ?? null,
  }));
  const nics = childrenField(fields, 'nics');
  for (const nic of nics) checkNicMode(name, nic);
  return {
    name,
    uuid: name,
    memory_mib: wholeField(fields, 'memory', 0),
    disk_mib: wholeField(fields, 'disk_space_total', 0),
    disks,
    vcpus: wholeField(fields, 'vcpus', 0),
    // Requests have none: what is made is started.
    status: statuses[String(fields.object['admin_state'])] ?? 'running',
    auto_balance: true,
    primary: -1,
    secondary: -1,
    template: wordField(fields, 'disk_template', 'DiskTemplate', disk_templates),
    tags: textsField(fields, 'tags'),
    spindle_use: wholeField(fields, 'spindle_use', 0),
    forthcoming: optional(fields, 'forthcoming', flagField) ?? false,
    nic_count: nics.length,
    networks: nics.flatMap((nic) => optional(nic, 'network', textField) ?? []),
    utilisation: not_measured,
  };
}

function checkNicMode(instance: string, nic: Fields): void {
  const mode = optional(nic, 'mode', textField);
  if (mode === undefined || nic_modes.includes(mode)) return;
  const problem = `invalid NIC mode in instance ${instance}: ${quoted(mode)}`;
  throw new InputError(nic.where, problem, nic_modes.join(' or '));
}

const nic_modes: readonly string[] = ['bridged', 'routed', 'openvswitch', 'ext'];

const request_types = [
  'allocate',
  'relocate',
  'node-evacuate',
  'change-group',
  'multi-allocate',
  'allocate-secondary',
] as const;

function readRequest(fields: Fields, cluster: PlacementCluster): AllocatorRequest {
  const text = textField(fields, 'type');
  const type = request_types.find((one) => one === text);
  switch (type) {
    case 'allocate':
      return {
        type,
        wanted: readWanted(fields),
        restrict_to: optional(fields, 'restrict-to-nodes', textsField) ?? null,
      };
    case 'multi-allocate': {
      const group = optional(fields, 'group_name', textField) ?? null;
      const wanted = childrenField(fields, 'instances').map((one) => readWanted(one, group));
      return { type, wanted };
    }
    case 'allocate-secondary':
      return { type, instance: knownInstance(cluster, textField(fields, 'name')) };
    case 'relocate':
      return {
        type,
        instance: knownInstance(cluster, textField(fields, 'name')),
        node_count: wholeField(fields, 'required_nodes'),
        from: lookup(textsField(fields, 'relocate_from'), nodeNames(cluster), 'a node'),
      };
    case 'node-evacuate':
      return {
        type,
        instances: lookup(textsField(fields, 'instances'), instanceNames(cluster), 'an instance'),
        mode: wordField(fields, 'evac_mode', 'EvacMode', evacuation_modes),
      };
    case 'change-group':
      return {
        type,
        instances: lookup(textsField(fields, 'instances'), instanceNames(cluster), 'an instance'),
        target_groups: lookup(
          textsField(fields, 'target_groups'),
          cluster.groups.map((group) => [group.name, group.uuid]),
          'a group',
        ),
      };
    default:
      throw new InputError(request_where, `Invalid request type ${quoted(text)}`, request_types.join(' or '));
  }
}

function readWanted(fields: Fields, outer_group: string | null = null): WantedInstance {
  const name = textField(fields, 'name');
  return {
    instance: readInstance(name, { where: `invalid data for instance '${name}'`, object: fields.object }),
    node_count: wholeField(fields, 'required_nodes'),
    group: optional(fields, 'group_name', textField) ?? outer_group,
  };
}

function knownInstance(cluster: PlacementCluster, name: string): number {
  const at = cluster.instances.findIndex((instance) => instance.name === name);
  if (at !== -1) return at;
  throw new InputError(request_where, `Unknown instance ${quoted(name)}`, 'the name of one of the instances');
}

/** Every name that each of them answers to: with the domain and without. */
function nodeNames(cluster: PlacementCluster): readonly (readonly string[])[] {
  const domain = clusterDomain(cluster);
  return cluster.nodes.map(({ name }) => [name, shortName(name, domain)]);
}

function instanceNames(cluster: PlacementCluster): readonly (readonly string[])[] {
  const domain = clusterDomain(cluster);
  return cluster.instances.map(({ name }) => [name, shortName(name, domain)]);
}

/** The index of what has each name. */
function lookup(
  names: readonly string[],
  all: readonly (readonly string[])[],
  what: string,
): readonly number[] {
  const by_name = new Map<string, number>();
  for (const [at, own] of all.entries()) {
    for (const name of own) by_name.set(name, by_name.has(name) && by_name.get(name) !== at ? -1 : at);
  }
  return names.map((name) => {
    const at = by_name.get(name) ?? -1;
    if (at !== -1) return at;
    throw new InputError(
      request_where,
      `Wrong number of elems found with name ${name}`,
      `the name of exactly one of them, ${what}`,
    );
  });
}
