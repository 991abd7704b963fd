/**
 * An empty cluster from a few figures for each group (`--simulate`): `policy,nodes,disk,memory,cpus[,spindles]`. The
 * policy may be shortened: p, l (or a, as the htools have it), u.
 */
import type { AllocPolicy, PlacementCluster, PlacementNode } from './cluster.ts';
import { default_policy } from './default-policy.ts';
import { InputError, quoted } from './input-error.ts';
import { alloc_policies } from './names.ts';
import { parseSize } from './size-units.ts';

/** One group for each of `specs`. Throws {@link InputError}. */
export function simulateCluster(specs: readonly string[]): PlacementCluster {
  const groups = specs.map((spec, at) => parseGroup(spec, at + 1));
  return {
    groups: groups.map(({ alloc_policy }, at) => ({
      name: `group-${padded(at + 1, 2)}`,
      uuid: `fake-uuid-${padded(at + 1, 2)}`,
      alloc_policy,
      tags: [],
      networks: [],
      policy: default_policy,
    })),
    nodes: groups
      .flatMap(({ nodes }) => nodes)
      // Somebody has to be.
      .map((node, at) => (at === 0 ? { ...node, master: true } : node)),
    instances: [],
    tags: [],
    policy: default_policy,
  };
}

interface SimulatedGroup {
  readonly alloc_policy: AllocPolicy;
  readonly nodes: readonly PlacementNode[];
}

function parseGroup(spec: string, number: number): SimulatedGroup {
  const parts = spec.split(',');
  const [policy = '', count = '', disk = '', memory = '', cpus = '', spindles = '1'] = parts;
  if (parts.length < 5 || parts.length > 6) {
    throw new InputError(
      'Invalid cluster specification',
      `${parts.length} comma-separated sections: ${quoted(spec)}`,
      '5 or 6 (allocation policy, node count, disk size, memory size, number of CPUs, spindles)',
    );
  }
  const node = {
    group: number - 1,
    total_disk_mib: parseSize('disk size', disk),
    total_memory_mib: parseSize('memory size', memory),
    total_cpus: whole('cpu count', cpus),
    spindles: whole('spindles', spindles),
  };
  const alloc_policy = parsePolicy(policy);
  return {
    alloc_policy,
    nodes: Array.from({ length: whole('node count', count) }, (_, at): PlacementNode => {
      const name = `node-${padded(number, 2)}-${padded(at + 1, 3)}`;
      return { ...blank_node, ...node, name, uuid: name, ...freeOf(node) };
    }),
  };
}

function freeOf(node: Pick<PlacementNode, 'total_disk_mib' | 'total_memory_mib'>) {
  return { free_disk_mib: node.total_disk_mib, free_memory_mib: node.total_memory_mib };
}

const blank_node: Omit<
  PlacementNode,
  'name' | 'uuid' | 'group' | 'total_disk_mib' | 'total_memory_mib' | 'total_cpus' | 'spindles'
> = {
  node_memory_mib: 0,
  free_memory_mib: 0,
  free_disk_mib: 0,
  node_cpus: 1,
  cpu_speed: 1,
  offline: false,
  drained: false,
  vm_capable: true,
  master: false,
  exclusive_storage: false,
  free_spindles: 0,
  tags: [],
  failure_domains: [],
};

function parsePolicy(text: string): AllocPolicy {
  const policy = text === 'a' ? 'last_resort' : alloc_policies.find((one) => one === text || one[0] === text);
  if (policy !== undefined) return policy;
  throw new InputError(
    'allocation policy',
    `Invalid string value for type AllocPolicy: ${quoted(text)}`,
    `${alloc_policies.join(' or ')}, or its first letter`,
  );
}

function whole(what: string, text: string): number {
  if (/^\s*\d+\s*$/.test(text)) return Number(text);
  throw new InputError(what, `cannot parse string ${quoted(text)}`, 'a whole number from 0');
}

function padded(value: number, width: number): string {
  return String(value).padStart(width, '0');
}
