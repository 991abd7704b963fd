/**
 * A rolling maintenance of a cluster that lives: which nodes go together, and what each group does, as far as this
 * version can carry it out. Pure; the input is not changed.
 */
import { mirrorKind, type PlacementCluster } from './cluster.ts';
import { type MaintenanceOptions, type MaintenancePlan, maintenancePlan } from './maintenance-plan.ts';
import type { PlacementView } from './placement-ask.ts';
import { type RebootGroup, rebootGroups } from './reboot-groups.ts';
import { compileRules } from './rules.ts';
import { buildTable } from './table.ts';

export interface RebootPlanRequest {
  /** uuids of the nodes to be rebooted. */
  readonly nodes: readonly string[];
  /** They are one group as they are. Otherwise groups are found. */
  readonly together: boolean;
  /** At most so many nodes in a group; null: a tenth of the cluster, or one. */
  readonly at_once: number | null;
  /** What runs on them is stopped, and nothing is moved. */
  readonly offline: boolean;
}

export type RebootPlanAnswer = MaintenancePlan | { readonly problem: string };

/** What is assumed of a machine of our days; a plan's times are for the order of magnitude. */
const assumed: Omit<MaintenanceOptions, 'rules' | 'offline'> = {
  live_migration: new Set(),
  local_disks: 'stop',
  full_evacuation: false,
  bandwidth_mib_s: 100,
  reboot_s: 300,
  check_s: 30,
  stop_s: 30,
  start_s: 10,
};

export function rebootPlan(view: PlacementView, request: RebootPlanRequest): RebootPlanAnswer {
  const wanted = new Set(request.nodes);
  const unwell = view.cluster.nodes.flatMap(({ uuid, name }, at) => {
    const refusal = view.refusals[at] ?? null;
    if (!wanted.has(uuid) || refusal === null || may_reboot.has(refusal.code)) return [];
    return [`node ${name} ${refusal.text}`];
  });
  if (unwell.length > 0) return { problem: unwell.join(', ') };
  const cluster = withNodesThere(view.cluster, wanted);
  const only = new Set(cluster.nodes.flatMap(({ uuid }, at) => (wanted.has(uuid) ? [at] : [])));
  if (only.size === 0) return { problem: 'there is no node to reboot' };
  const table = buildTable(cluster);
  const compiled = compileRules(cluster);
  if ('errors' in compiled)
    return { problem: `the rules in the tags contradict each other: ${compiled.errors[0]!.text}` };
  const groups = request.together ? [{ nodes: [...only], moves: [] }] : groupsOf(cluster, only, request);
  if ('problem' in groups) return groups;
  const { offline } = request;
  return maintenancePlan(table, groups, { ...assumed, offline, rules: compiled.rules });
}

/** What speaks against new instances and not against a reboot. */
const may_reboot: ReadonlySet<string> = new Set(['drained', 'not-vm-capable']);

/** A view has as offline what takes no instances; a node that is to be rebooted is there all the same. */
function withNodesThere(cluster: PlacementCluster, uuids: ReadonlySet<string>): PlacementCluster {
  return {
    ...cluster,
    nodes: cluster.nodes.map((node) => (uuids.has(node.uuid) ? { ...node, offline: false } : node)),
  };
}

function groupsOf(
  cluster: PlacementCluster,
  only: ReadonlySet<number>,
  { offline, at_once }: RebootPlanRequest,
): readonly RebootGroup[] | { readonly problem: string } {
  // What has its disks on its node is stopped with it, wherever there may be room.
  const movable = cluster.instances.filter(({ template }) => mirrorKind[template] !== 'none');
  const some = { ...cluster, instances: movable };
  const compiled = compileRules(some);
  const found = rebootGroups(buildTable(some), {
    only,
    group: null,
    node_tags: null,
    offline_maintenance: offline,
    full_evacuation: false,
    non_redundant: offline ? 'ignore' : 'move',
    rules: 'errors' in compiled ? null : compiled.rules,
  });
  // What could go down together is not all to go at once: another host may be lost meanwhile.
  const most = at_once ?? Math.max(1, Math.floor(cluster.nodes.length / 10));
  if (!('failure' in found)) return found.groups.flatMap((group) => inParts(group, most));
  switch (found.failure) {
    case 'no-nodes':
      return { problem: 'none of the nodes is there and online' };
    case 'non-redundant':
    case 'migrate':
    case 'secondaries':
      return {
        problem:
          'there is not room enough elsewhere for what runs on the nodes, not even for one node at a time: stop some of it, or ask for an offline maintenance',
      };
    default:
      return found.failure satisfies never;
  }
}

function inParts({ nodes, moves }: RebootGroup, most: number): readonly RebootGroup[] {
  const parts = Math.ceil(nodes.length / most);
  return Array.from({ length: parts }, (_, part) => ({
    nodes: nodes.slice(part * most, (part + 1) * most),
    moves,
  }));
}
