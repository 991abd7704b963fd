/**
 * Clusters to measure and to compare with: the same for the same request, on every machine.
 *
 * They are lopsided on purpose (the first nodes hold more), but sound: nothing is overfull, no node fails N+1 at the
 * start unless so much was asked for that there is no other way. Used by the benchmarks, by the comparison with Ganeti's
 * htools, and by the property tests of `src/placement`.
 *
 *     node bench/placement/generate.ts '{"nodes":80,"instances":800}' > FILE     # in Ganeti's text format
 */
import { pathToFileURL } from 'node:url';
import type {
  DiskTemplate,
  PlacementCluster,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  RunStatus,
} from '../../src/placement/cluster.ts';
import { default_policy } from '../../src/placement/default-policy.ts';
import { randomFrom } from '../../src/placement/random.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';

export interface ClusterRequest {
  readonly nodes: number;
  readonly instances: number;
  readonly seed?: number;
  readonly groups?: number;
  /** One is drawn for each instance. */
  readonly templates?: readonly DiskTemplate[];
  /** Share of the nodes; the ones of a group are its last. */
  readonly offline?: number;
  /** Nodes of three sizes, and of two speeds. */
  readonly mixed_nodes?: boolean;
  /** Instances without any two of one size. */
  readonly odd_sizes?: boolean;
  /** Share of the instances that are down, not balanced, or reservations. */
  readonly down?: number;
  readonly unbalanced?: number;
  readonly forthcoming?: number;
  /** Services of which no two instances should share a node. */
  readonly exclusion?: boolean;
  /** Racks; and wishes for one. */
  readonly locations?: boolean;
  readonly desired?: boolean;
  /** Half of the nodes have a newer hypervisor. */
  readonly migration?: boolean;
  /** Share of the memory of all nodes that instances take, in 0 … 1. */
  readonly fill?: number;
}

const cpus_per_node = 32;
const largest_mib = 65536;
const sizes_mib = [1024, 2048, 2048, 4096, 4096, 8192];

/** What is left on each node while instances are placed. */
interface Room {
  readonly memory: number[];
  readonly disk: number[];
}

export function generateCluster(request: ClusterRequest): PlacementCluster {
  const random = randomFrom(request.seed ?? 1);
  const group_count = request.groups ?? 1;
  const groups = Array.from(
    { length: group_count },
    (_, at): PlacementGroup => ({
      name: `group-${pad(at + 1, 2)}`,
      uuid: `fake-uuid-${pad(at + 1, 2)}`,
      alloc_policy: 'preferred',
      tags: [],
      networks: [],
      policy: default_policy,
    }),
  );
  const nodes = Array.from({ length: request.nodes }, (_, at) => generateNode(request, at, group_count));
  const memory = nodes.reduce((sum, node) => sum + node.total_memory_mib - node.node_memory_mib, 0);
  const mean_mib = (memory * (request.fill ?? 0.4)) / Math.max(1, request.instances);
  const room: Room = {
    memory: nodes.map((node) => node.total_memory_mib - node.node_memory_mib),
    disk: nodes.map((node) => node.total_disk_mib),
  };
  const instances: PlacementInstance[] = [];
  for (let at = 0; at < request.instances; at++) {
    instances.push(generateInstance(request, random, nodes, room, at, mean_mib));
  }
  return {
    groups,
    nodes: nodes.map((node, at) => ({
      ...node,
      free_memory_mib: Math.max(0, room.memory[at]!),
      free_disk_mib: room.disk[at]!,
    })),
    instances,
    tags: clusterTags(request),
    policy: default_policy,
  };
}

function clusterTags(request: ClusterRequest): readonly string[] {
  const tags: string[] = [];
  if (request.exclusion === true) tags.push('htools:iextags:service');
  if (request.locations === true || request.desired === true) tags.push('htools:nlocation:rack');
  if (request.desired === true) tags.push('htools:desiredlocation:rack');
  if (request.migration === true) tags.push('htools:migration:hv', 'htools:allowmigration:hv:old::hv:new');
  return tags;
}

function generateNode(request: ClusterRequest, at: number, group_count: number): PlacementNode {
  const per_group = Math.ceil(request.nodes / group_count);
  const group = Math.min(group_count - 1, Math.floor(at / per_group));
  const in_group = Math.min(per_group, request.nodes - group * per_group);
  const offline = at - group * per_group >= in_group - Math.round(in_group * (request.offline ?? 0));
  const scale = request.mixed_nodes === true ? [1, 1.5, 2][at % 3]! : 1;
  const tags: string[] = [];
  if (request.locations === true || request.desired === true) tags.push(`rack:${at % 4}`);
  if (request.migration === true) tags.push(at % 2 === 0 ? 'hv:new' : 'hv:old');
  return {
    name: `node-${pad(group + 1, 2)}-${pad(at + 1, 3)}`,
    uuid: `node-${at}`,
    group,
    total_memory_mib: 131072 * scale,
    node_memory_mib: 2048,
    free_memory_mib: 0,
    total_disk_mib: 4194304 * scale,
    free_disk_mib: 0,
    total_cpus: cpus_per_node * scale,
    node_cpus: 1,
    cpu_speed: request.mixed_nodes === true && at % 2 === 1 ? 1.5 : 1,
    offline,
    drained: false,
    vm_capable: true,
    master: at === 0,
    exclusive_storage: false,
    spindles: 12,
    free_spindles: 0,
    tags,
    failure_domains: [],
  };
}

function generateInstance(
  request: ClusterRequest,
  random: () => number,
  nodes: readonly PlacementNode[],
  room: Room,
  at: number,
  mean_mib: number,
): PlacementInstance {
  const templates = request.templates ?? ['drbd'];
  const template = templates[Math.floor(random() * templates.length)] ?? 'drbd';
  const drawn = sizes_mib[Math.floor(random() * sizes_mib.length)]! / 3584;
  const odd = request.odd_sizes === true ? at % 97 : 0;
  // No instance is larger than half a node: few instances do not fill a cluster.
  const wanted_mib = Math.max(128, Math.round((drawn * mean_mib) / 128) * 128);
  const drawn_mib = Math.min(largest_mib, wanted_mib) + odd;
  const disk_mib = 10240 * (1 + Math.floor(random() * 4)) + odd;
  const status: RunStatus = random() < (request.down ?? 0) ? 'ADMIN_down' : 'running';
  const auto_balance = random() >= (request.unbalanced ?? 0);
  const forthcoming = random() < (request.forthcoming ?? 0);
  const local = template === 'drbd' || template === 'plain';
  const primary = choose(random, nodes, room, drawn_mib, local ? disk_mib : 0, -1);
  // Where it fits nowhere it is smaller, unless more was asked for than there is.
  const fits = room.memory[primary]! > drawn_mib || (request.fill ?? 0) > 1;
  const memory_mib = fits ? drawn_mib : Math.max(128, Math.floor(room.memory[primary]! / 2));
  const secondary = template === 'drbd' ? choose(random, nodes, room, 0, disk_mib, primary) : -1;
  if (status === 'running' && !forthcoming) room.memory[primary]! -= memory_mib;
  if (local && !forthcoming) room.disk[primary]! -= disk_mib;
  if (secondary >= 0 && !forthcoming) room.disk[secondary]! -= disk_mib;
  const tags: string[] = [];
  if (request.exclusion === true && at % 3 === 0) tags.push(`service:${Math.floor(at / 24)}`);
  if (request.desired === true && at % 5 === 0) tags.push(`rack:${at % 4}`);
  return {
    name: `inst-${pad(at + 1, 4)}`,
    uuid: `inst-${at}`,
    memory_mib,
    disk_mib,
    disks: [{ size_mib: disk_mib, spindles: null }],
    vcpus: 1 + Math.floor(random() * 4),
    status,
    auto_balance,
    primary,
    secondary,
    template,
    tags,
    spindle_use: 1,
    forthcoming,
    nic_count: 0,
    networks: [],
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
  };
}

/** One with room, rather an early one; the secondary in the group of the primary. The roomiest if chance finds none. */
function choose(
  random: () => number,
  nodes: readonly PlacementNode[],
  room: Room,
  memory_mib: number,
  disk_mib: number,
  primary: number,
): number {
  const fits = (at: number): boolean =>
    at !== primary &&
    (primary === -1 || nodes[at]!.group === nodes[primary]!.group) &&
    room.memory[at]! > memory_mib &&
    room.disk[at]! > disk_mib;
  for (let tries = 0; tries < 20; tries++) {
    const at = Math.floor(random() ** 1.3 * nodes.length);
    if (fits(at)) return at;
  }
  const others = nodes.map((_, at) => at).filter(fits);
  const candidates = others.length > 0 ? others : nodes.map((_, at) => at).filter((at) => at !== primary);
  return candidates.reduce((best, at) => (room.memory[at]! > room.memory[best]! ? at : best));
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const request = JSON.parse(process.argv[2] ?? '{"nodes":20,"instances":200}') as ClusterRequest;
  process.stdout.write(formatTextCluster(generateCluster(request)));
}
