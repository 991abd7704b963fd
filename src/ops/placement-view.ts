/**
 * The cluster as placement sees it: the replicated configuration, what the nodes said of themselves in their last lease
 * renewals, and what was chosen and is not owned yet ({@link Choice}). Pure: the same inputs give the same view.
 *
 * Memory is reckoned as Ganeti does: what a node reports as free counts its running guests; of instances that are to run
 * there and do not yet, what they will take is taken off. Without that a burst of placements would all see the same free
 * memory and choose the same node.
 *
 * A viewer keeps the rows that it made: as long as what a row is made of has not changed, the next view has the same
 * object, so that whoever holds a copy need only be sent the others.
 */
import type { StateView } from '../config/api.ts';
import { cluster_key } from '../config/keys.ts';
import type { Cluster, Disk, Node, NodeGroup } from '../config/model.ts';
import { fillBeParams, fillNdParams } from '../config/params.ts';
import type {
  DiskTemplate,
  PlacementGroup,
  PlacementInstance,
  PlacementNode,
  RunStatus,
} from '../placement/cluster.ts';
import type { PlacementView, Refusal, WantedInstance } from '../placement/placement-ask.ts';
import type { Choice, ChosenInstance } from './choices.ts';
import { instancePolicy } from './placement-policy.ts';
import type { LiveNode } from './types.ts';

export interface PlacementViewer {
  view(live: (node_uuid: string) => LiveNode | undefined, choices: readonly Choice[]): PlacementView;
}

/** Templates whose data is on the primary node alone. */
const local_templates: ReadonlySet<string> = new Set(['file', 'plain']);

interface InstanceEntry {
  readonly made_of: readonly unknown[];
  readonly row: PlacementInstance;
}

export function createPlacementViewer(state: StateView): PlacementViewer {
  let groups = new Map<string, { readonly made_of: readonly unknown[]; readonly row: PlacementGroup }>();
  let nodes = new Map<string, PlacementNode>();
  let instances = new Map<string, InstanceEntry>();

  return {
    view(live, choices) {
      const cluster = state.get('cluster', cluster_key);
      if (cluster === undefined) throw new Error('there is no cluster');
      const moves = new Map<string, string>();
      const making = new Map<string, { readonly starts: boolean; readonly disk_mib: number }>();
      const grown = new Map<string, ChosenInstance>();
      const fresh: Extract<Choice, { kind: 'new' }>[] = [];
      for (const choice of choices) {
        if (choice.kind === 'move') moves.set(choice.instance, choice.node);
        else if (choice.kind === 'making') making.set(choice.instance, choice);
        else if (choice.kind === 'grow') grown.set(choice.instance.uuid, choice.instance);
        else fresh.push(choice);
      }

      const group_list = state.list('groups');
      const group_at = new Map(group_list.map((group, at) => [group.uuid, at]));
      const next_groups: typeof groups = new Map();
      const group_rows = group_list.map((group) => {
        const before = groups.get(group.uuid);
        const made_of = [group, cluster];
        const entry =
          before && sameParts(before.made_of, made_of) ? before : { made_of, row: groupRow(cluster, group) };
        next_groups.set(group.uuid, entry);
        return entry.row;
      });

      // Of nodes that are equally good the last wins: the first by name, then.
      const node_list = state
        .list('nodes')
        .filter((node) => group_at.has(node.group))
        .sort((a, b) => (a.name < b.name ? 1 : -1));
      const node_at = new Map(node_list.map((node, at) => [node.uuid, at]));
      const reports = node_list.map((node) => live(node.uuid));
      const guests = reports.map(
        (report) => new Map(report?.guests.map((guest) => [guest.uuid, guest.memory_mib])),
      );
      const promised_mib = node_list.map(() => 0);
      const promised_disk_mib = node_list.map(() => 0);

      const next_instances: typeof instances = new Map();
      const instance_rows: PlacementInstance[] = [];
      const add = (
        instance: ChosenInstance,
        disks: readonly Pick<Disk, 'size'>[],
        node: string,
        starts: boolean,
        unmade_mib: number,
      ): void => {
        const primary = node_at.get(node);
        if (primary === undefined) return;
        const used_mib = guests[primary]!.get(instance.uuid);
        const status = statusOf(instance, used_mib !== undefined, starts);
        const before = instances.get(instance.uuid);
        const made_of = [instance, cluster, primary, status, ...disks];
        const entry =
          before && sameParts(before.made_of, made_of)
            ? before
            : {
                made_of,
                row: { ...wantedInstance(cluster, instance, disks, status), primary, secondary: -1 },
              };
        next_instances.set(instance.uuid, entry);
        instance_rows.push(entry.row);
        if (status === 'running')
          promised_mib[primary]! += Math.max(0, entry.row.memory_mib - (used_mib ?? 0));
        if (local_templates.has(instance.disk_template)) promised_disk_mib[primary]! += unmade_mib;
      };
      for (const instance of state.list('instances')) {
        const disks = instance.disks.flatMap((uuid) => state.get('disks', uuid) ?? []);
        const made = making.get(instance.uuid);
        const node = moves.get(instance.uuid) ?? instance.owner.node;
        add(grown.get(instance.uuid) ?? instance, disks, node, made?.starts ?? false, made?.disk_mib ?? 0);
      }
      for (const { instance, disks, node, starts } of fresh) {
        add(
          instance,
          disks,
          node,
          starts,
          disks.reduce((sum, { size }) => sum + size, 0),
        );
      }

      const next_nodes: typeof nodes = new Map();
      const node_refusals: (Refusal | null)[] = [];
      const node_rows = node_list.map((node, at) => {
        const report = reports[at];
        const refusal = standingRefusal(node, report, cluster.ha.lease_ms);
        node_refusals.push(refusal);
        const at_group = group_at.get(node.group)!;
        const row = nodeRow(cluster, group_list[at_group]!, node, report, {
          group: at_group,
          offline: refusal !== null,
          promised_mib: promised_mib[at]!,
          promised_disk_mib: promised_disk_mib[at]!,
        });
        const kept = same(nodes.get(node.uuid), row);
        next_nodes.set(node.uuid, kept);
        return kept;
      });

      groups = next_groups;
      nodes = next_nodes;
      instances = next_instances;
      return {
        cluster: {
          groups: group_rows,
          nodes: node_rows,
          instances: instance_rows,
          tags: cluster.tags,
          policy: instancePolicy(cluster, null),
        },
        refusals: node_refusals,
      };
    },
  };
}

function sameParts(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((part, at) => part === b[at]);
}

/** The first of the two if all their fields are the same. */
function same<T extends object>(before: T | undefined, now: T): T {
  const keys = Object.keys(now) as (keyof T)[];
  return before !== undefined && keys.every((key) => before[key] === now[key]) ? before : now;
}

function groupRow(cluster: Cluster, group: NodeGroup): PlacementGroup {
  const { name, uuid, alloc_policy, tags } = group;
  return { name, uuid, alloc_policy, tags, networks: [], policy: instancePolicy(cluster, group) };
}

/** Why nothing new may be put on a node, whatever its figures are. */
function standingRefusal(node: Node, report: LiveNode | undefined, lease_ms: number): Refusal | null {
  if (!node.vm_capable) return { code: 'not-vm-capable', text: 'is not vm_capable' };
  if (node.offline) return { code: 'offline', text: 'is offline' };
  if (node.drained) return { code: 'drained', text: 'is drained' };
  if (node.health !== 'member') return { code: 'not-well', text: `is ${node.health}` };
  if (report === undefined || report.total_memory_mib <= 0 || report.age_ms > lease_ms) {
    return { code: 'no-live-data', text: 'has not reported its resources lately' };
  }
  return null;
}

interface NodePlace {
  readonly group: number;
  readonly offline: boolean;
  /** Of instances that are to run there and do not yet. */
  readonly promised_mib: number;
  /** Of disks that are to be made there. */
  readonly promised_disk_mib: number;
}

const no_domains: readonly string[] = [];

function nodeRow(
  cluster: Cluster,
  group: NodeGroup,
  node: Node,
  report: LiveNode | undefined,
  place: NodePlace,
): PlacementNode {
  const nd = fillNdParams(cluster, group, node);
  const spindles = Number(nd['spindle_count'] ?? 1);
  const total_memory_mib = report?.total_memory_mib ?? 0;
  const reported_mib = report?.free_memory_mib ?? 0;
  const guests_mib = report?.guests.reduce((sum, { memory_mib }) => sum + memory_mib, 0) ?? 0;
  return {
    name: node.name,
    uuid: node.uuid,
    group: place.group,
    total_memory_mib,
    // What is neither free nor a guest's.
    node_memory_mib: Math.max(0, total_memory_mib - reported_mib - guests_mib),
    free_memory_mib: reported_mib - place.promised_mib,
    total_disk_mib: report?.total_disk_mib ?? 0,
    free_disk_mib: (report?.free_disk_mib ?? 0) - place.promised_disk_mib,
    total_cpus: report?.cpus ?? 0,
    node_cpus: 0,
    cpu_speed: Number(nd['cpu_speed'] ?? 1),
    offline: place.offline,
    drained: node.drained,
    vm_capable: node.vm_capable,
    master: false,
    exclusive_storage: nd['exclusive_storage'] === true,
    spindles,
    free_spindles: spindles,
    tags: node.tags,
    failure_domains: no_domains,
  };
}

function statusOf(instance: ChosenInstance, runs: boolean, starts: boolean): RunStatus {
  if (instance.admin_state === 'up' || starts) return 'running';
  if (runs) return 'ERROR_up';
  if (instance.admin_state === 'offline') return 'ADMIN_offline';
  return instance.admin_state_source === 'user' ? 'USER_down' : 'ADMIN_down';
}

const no_networks: readonly string[] = [];
const one_each = { cpu: 1, memory: 1, disk: 1, net: 1 };

/** What an instance takes: its backend parameters filled, its disks, its tags. */
export function wantedInstance(
  cluster: Cluster,
  instance: ChosenInstance,
  disks: readonly Pick<Disk, 'size'>[],
  status: RunStatus,
): WantedInstance {
  const { maxmem, vcpus, auto_balance, spindle_use } = fillBeParams(cluster, instance);
  const { name, uuid, disk_template, tags, nics } = instance;
  return {
    name,
    uuid,
    memory_mib: maxmem,
    disk_mib: disks.reduce((sum, { size }) => sum + size, 0),
    disks: disks.map(({ size }) => ({ size_mib: size, spindles: null })),
    vcpus,
    status,
    auto_balance,
    template: disk_template as DiskTemplate,
    tags,
    spindle_use,
    forthcoming: false,
    nic_count: nics?.length ?? 0,
    networks: no_networks,
    utilisation: one_each,
    local_disk: local_templates.has(disk_template),
  };
}
