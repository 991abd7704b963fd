/**
 * Clusters in Ganeti's text format, drawn from a seed: what the shipped samples are too few and too small for. The same
 * parameters give the same text.
 */

export interface ClusterShape {
  readonly seed: number;
  readonly nodes: number;
  readonly instances: number;
  /** Drawn from for each instance. */
  readonly templates: readonly string[];
  readonly groups: number;
  /** Share of nodes that are offline. */
  readonly offline: number;
  /** Share of the nodes' memory that instances take, about. */
  readonly fill: number;
  /** Share of instances that are down. */
  readonly down: number;
  /** Tags drawn from for each node; about half of the nodes have each. */
  readonly node_tags: readonly string[];
}

export const plain_shape: ClusterShape = {
  seed: 1,
  nodes: 20,
  instances: 200,
  templates: ['drbd'],
  groups: 1,
  offline: 0,
  fill: 0.4,
  down: 0,
  node_tags: [],
};

/** Numbers from 0 to 1 (mulberry32). */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const mirrored: ReadonlySet<string> = new Set(['drbd']);
const local: ReadonlySet<string> = new Set(['drbd', 'plain']);

export function generatedCluster(shape: ClusterShape): string {
  const random = numbersFrom(shape.seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const total_mib = 65_536;
  const disk_mib = 2_097_152;
  const memory_mib = Math.max(128, Math.floor((shape.fill * total_mib * shape.nodes) / shape.instances));
  const used_mib = new Array<number>(shape.nodes).fill(0);
  const used_disk = new Array<number>(shape.nodes).fill(0);
  const group_of = Array.from({ length: shape.nodes }, (_, at) => at % shape.groups);
  const instances: string[] = [];
  for (let at = 0; at < shape.instances; at++) {
    const template = shape.templates[below(shape.templates.length)]!;
    const memory = Math.max(128, Math.floor(memory_mib * (0.5 + random())));
    const disk = 1_024 * (1 + below(8));
    const pick = (not: number): number => {
      const peers = group_of.flatMap((group, node) =>
        node !== not &&
        (not < 0 || group === group_of[not]) &&
        used_mib[node]! + memory < total_mib - 2_048 &&
        used_disk[node]! + disk < disk_mib - 1
          ? [node]
          : [],
      );
      return peers.length === 0 ? -1 : peers[below(peers.length)]!;
    };
    const primary = pick(-1);
    if (primary < 0) continue;
    const secondary = mirrored.has(template) ? pick(primary) : -1;
    if (mirrored.has(template) && secondary < 0) continue;
    const down = random() < shape.down;
    if (!down) used_mib[primary]! += memory;
    if (local.has(template)) used_disk[primary]! += disk;
    if (secondary >= 0) used_disk[secondary]! += disk;
    instances.push(
      [
        `inst${at}`,
        memory,
        disk,
        1 + below(4),
        down ? 'ADMIN_down' : 'running',
        'Y',
        nodeName(primary),
        secondary < 0 ? '' : nodeName(secondary),
        template,
        '',
        1,
      ].join('|'),
    );
  }
  const nodes = used_mib.map((used, at) => {
    const status = at === shape.nodes - 1 ? 'M' : random() < shape.offline ? 'Y' : 'N';
    const tags = shape.node_tags.filter(() => random() < 0.5).join(',');
    return [
      nodeName(at),
      total_mib,
      1_024,
      total_mib - 1_024 - used,
      disk_mib,
      disk_mib - used_disk[at]!,
      16,
      status,
      uuidOf(group_of[at]!),
      1,
      tags,
    ].join('|');
  });
  const groups = Array.from({ length: shape.groups }, (_, at) => `group${at}|${uuidOf(at)}|preferred||`);
  const policy =
    '128,1,1024,1,1,1|128,1,1024,1,1,1;65536,16,2097152,16,8,12|diskless,file,sharedfile,plain,blockdev,drbd,rbd,ext|16.0|64.0';
  const policies = [`|${policy}`, ...groups.map((group) => `${group.split('|')[0]}|${policy}`)];
  return `${[groups, nodes, instances, [], policies].map((lines) => lines.map((line) => `${line}\n`).join('')).join('\n')}`;
}

function nodeName(at: number): string {
  return `node${at}`;
}

function uuidOf(group: number): string {
  return `uuid-${group}`;
}
