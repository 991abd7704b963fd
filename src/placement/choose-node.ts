/**
 * Which node an instance goes to: the one with the largest share of its memory still free afterwards.
 *
 * Pure: the same view and request give the same answer anywhere. Hard rules first, each with a text for the operator
 * that says by how much a node fell short; ties go to the first by name. Node groups: a preferred group before one of
 * last resort, an unallocable one only when the request names it (Ganeti's alloc_policy).
 */
import type { Instance, Node, NodeGroup } from '../config/model.ts';

/** What a node said of itself in its last lease renewal. */
export interface NodeResources {
  readonly total_memory_mib: number;
  readonly free_memory_mib: number;
  readonly free_disk_mib: number;
  /** Guests that its free memory accounts for already. */
  readonly guests: readonly { readonly uuid: string }[];
}

/** What an instance takes from the node that owns it once it runs. */
export interface PlacedInstance {
  readonly uuid: string;
  readonly node: string;
  readonly admin_state: Instance['admin_state'];
  readonly memory_mib: number;
}

export interface PlacementView {
  readonly nodes: readonly Node[];
  readonly groups: readonly NodeGroup[];
  readonly instances: readonly PlacedInstance[];
  /** undefined: nothing recent is known of the node. */
  live(node_uuid: string): NodeResources | undefined;
}

export interface PlacementRequest {
  /** null for an instance that does not exist yet. */
  readonly instance: string | null;
  readonly memory_mib: number;
  /** MiB that its disks take on the node itself; 0 for shared ones and none. */
  readonly local_disk_mib: number;
  readonly disk_template: string;
  /** The node that has the instance's disks, for templates that cannot leave it; null for a new instance. */
  readonly current_node: string | null;
  /** uuid of the only group that will do; null: any allocable one. */
  readonly group: string | null;
  /** uuids of nodes that will not do, with the reason to show. */
  readonly exclude: ReadonlyMap<string, string>;
}

export type RefusedFor =
  | 'excluded'
  | 'not-vm-capable'
  | 'offline'
  | 'drained'
  | 'not-well'
  | 'group'
  | 'disks-elsewhere'
  | 'no-live-data'
  | 'memory'
  | 'disk';

export interface NodeRefusal {
  readonly node: string;
  readonly name: string;
  readonly code: RefusedFor;
  /** E.g. `needs 2048 MiB of memory, has 512 MiB free (1536 MiB short)`. */
  readonly text: string;
}

export interface NodeFit {
  readonly node: string;
  readonly name: string;
  /** Free after placement, over all memory of the node. */
  readonly free_share: number;
  readonly free_memory_mib: number;
}

export interface Placement {
  /** null: no node will do. */
  readonly chosen: NodeFit | null;
  /** Every node that would do, best first. */
  readonly fits: readonly NodeFit[];
  /** By name. */
  readonly refused: readonly NodeRefusal[];
}

/** Templates whose data is on the primary node alone. */
const local_templates: ReadonlySet<string> = new Set(['file', 'plain']);
const policy_rank: Record<NodeGroup['alloc_policy'], number> = {
  preferred: 0,
  last_resort: 1,
  unallocable: 2,
};

export function chooseNode(view: PlacementView, request: PlacementRequest): Placement {
  const groups = new Map(view.groups.map((group) => [group.uuid, group]));
  const fits: (NodeFit & { readonly rank: number })[] = [];
  const refused: NodeRefusal[] = [];
  for (const node of view.nodes) {
    const group = groups.get(node.group);
    const refusal = forbidden(node, group, request) ?? fit(view, node, request);
    if ('code' in refusal) refused.push({ node: node.uuid, name: node.name, ...refusal });
    else
      fits.push({
        ...refusal,
        rank: group === undefined ? policy_rank.unallocable : policy_rank[group.alloc_policy],
      });
  }
  fits.sort((a, b) => a.rank - b.rank || b.free_share - a.free_share || byName(a, b));
  const ordered = fits.map(({ rank: _rank, ...rest }): NodeFit => rest);
  return { chosen: ordered[0] ?? null, fits: ordered, refused: refused.sort(byName) };
}

/** All refusals in one line, for an error message. */
export function explainRefusals(refused: readonly NodeRefusal[]): string {
  if (refused.length === 0) return 'the cluster has no nodes';
  return refused.map(({ name, text }) => `${name}: ${text}`).join('; ');
}

type Refusal = Pick<NodeRefusal, 'code' | 'text'>;

/** Rules that no figure can mend. */
function forbidden(node: Node, group: NodeGroup | undefined, request: PlacementRequest): Refusal | null {
  const excluded = request.exclude.get(node.uuid);
  if (excluded !== undefined) return { code: 'excluded', text: excluded === '' ? 'is excluded' : excluded };
  if (!node.vm_capable) return { code: 'not-vm-capable', text: 'is not vm_capable' };
  if (node.offline) return { code: 'offline', text: 'is offline' };
  if (node.drained) return { code: 'drained', text: 'is drained' };
  if (node.health !== 'member') return { code: 'not-well', text: `is ${node.health}` };
  if (request.group !== null && node.group !== request.group) {
    return { code: 'group', text: `is in group ${group?.name ?? node.group}, not in the one asked for` };
  }
  if (request.group === null && (group === undefined || group.alloc_policy === 'unallocable')) {
    return { code: 'group', text: `is in group ${group?.name ?? node.group}, which is unallocable` };
  }
  if (
    local_templates.has(request.disk_template) &&
    request.current_node !== null &&
    request.current_node !== node.uuid
  ) {
    return {
      code: 'disks-elsewhere',
      text: `does not have the disks: template ${request.disk_template} stays on its node`,
    };
  }
  return null;
}

function fit(view: PlacementView, node: Node, request: PlacementRequest): Refusal | NodeFit {
  const live = view.live(node.uuid);
  if (live === undefined || live.total_memory_mib <= 0) {
    return { code: 'no-live-data', text: 'has not reported its resources lately' };
  }
  const free_mib = live.free_memory_mib - promisedMemory(view, node, live, request);
  const left_mib = free_mib - request.memory_mib;
  if (left_mib < 0) {
    return {
      code: 'memory',
      text: `needs ${request.memory_mib} MiB of memory, has ${Math.max(0, free_mib)} MiB free (${-left_mib} MiB short)`,
    };
  }
  if (live.free_disk_mib < request.local_disk_mib) {
    const short_mib = request.local_disk_mib - live.free_disk_mib;
    return {
      code: 'disk',
      text: `needs ${request.local_disk_mib} MiB of disk, has ${live.free_disk_mib} MiB free (${short_mib} MiB short)`,
    };
  }
  return {
    node: node.uuid,
    name: node.name,
    free_share: left_mib / live.total_memory_mib,
    free_memory_mib: left_mib,
  };
}

/**
 * Memory of instances that the node owns and is to run but does not run yet: placed a moment ago, or about to start.
 * Without it a burst of placements would all see the same free memory and choose the same node.
 */
function promisedMemory(
  view: PlacementView,
  node: Node,
  live: NodeResources,
  request: PlacementRequest,
): number {
  const running = new Set(live.guests.map((guest) => guest.uuid));
  let promised_mib = 0;
  for (const placed of view.instances) {
    if (placed.node !== node.uuid || placed.admin_state !== 'up' || placed.uuid === request.instance)
      continue;
    if (!running.has(placed.uuid)) promised_mib += placed.memory_mib;
  }
  return promised_mib;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
