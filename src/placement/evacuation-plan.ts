/**
 * Where everything goes that has its primary on one node of a cluster that lives. Pure; the input is not changed.
 *
 * Each instance is placed as a failover of it alone would be (answer-ask.ts), and sees where those before it went; those
 * that hard rules bind to each other's node go together. The largest are placed first, while there is room. The node
 * itself takes none of them, whether it is drained or not.
 */
import { placeElsewhere, rulesIfSound, withoutPolicies } from './answer-ask.ts';
import { isRunning, mirrorKind, type PlacementCluster } from './cluster.ts';
import { inTurn } from './evacuate.ts';
import type { MoveStep } from './iallocator-answer.ts';
import type { Named } from './maintenance-plan.ts';
import type { NodeRefusal, PlacementView, Refusal } from './placement-ask.ts';
import { addPrimary, buildTable, commonLocations, place, removePrimary, type Table } from './table.ts';

export interface EvacuationRequest {
  /** uuid of the node to be left. */
  readonly node: string;
  /** uuid of the only node that will do; null: any of its group. */
  readonly to: string | null;
}

export interface EvacuationMove {
  readonly instance: Named;
  readonly to: Named;
  /** It runs: it is stopped and started there, for want of live migration. */
  readonly restarts: boolean;
  /** What there is to say of the place that was found; null: nothing. */
  readonly warning: string | null;
}

export interface EvacuationPlan {
  readonly moves: readonly EvacuationMove[];
  /** What cannot leave; the moves are those of the others. */
  readonly stuck: readonly { readonly instance: Named; readonly reason: string }[];
}

export function evacuationPlan(given: PlacementView, { node, to }: EvacuationRequest): EvacuationPlan {
  // They exist: whether a policy allows them was asked before.
  const view = { ...given, cluster: withoutPolicies(given.cluster) };
  const { cluster } = view;
  const source = cluster.nodes.findIndex(({ uuid }) => uuid === node);
  const table = buildTable(cluster, { rules: rulesIfSound(cluster) });
  const warnings = new Map<number, string>();

  const leaveOne = (index: number, allowed: (primary: number) => boolean): readonly MoveStep[] | string => {
    const { template } = cluster.instances[index]!;
    if (mirrorKind[template] !== 'external') return `Instances of type ${template} cannot be relocated`;
    const unwanted = (at: number): Refusal | null => {
      if (at === source) return { code: 'excluded', text: 'is the node to be left' };
      if (to !== null && cluster.nodes[at]!.uuid !== to)
        return { code: 'excluded', text: 'is not the node asked for' };
      if (allowed(at)) return null;
      return { code: 'rules', text: 'does not take all that have to stay on one node' };
    };
    const { nodes, refused, unsafe, forced } = placeElsewhere(
      view,
      table,
      index,
      cluster.nodes[source]!.group,
      unwanted,
    );
    const found = nodes?.[0];
    if (found === undefined) return refusalText(refused);
    const target = cluster.nodes.findIndex(({ uuid }) => uuid === found.node);
    move(table, index, target);
    const warning = [
      ...(forced ? [`node ${found.name} takes it beyond its soft limits`] : []),
      ...(unsafe === null ? [] : [`any one node could be lost before, and not any more: ${unsafe}`]),
    ].join('; ');
    if (warning === '') warnings.delete(index);
    else warnings.set(index, warning);
    return [{ kind: 'take-over', node: target }];
  };

  const { moved, failed } = inTurn(table, primariesOf(cluster, source), leaveOne);
  return {
    moves: moved.map(({ instance, nodes }) => ({
      instance: named(cluster.instances[instance]!),
      to: named(cluster.nodes[nodes[0]!]!),
      restarts: isRunning(cluster.instances[instance]!.status),
      warning: warnings.get(instance) ?? null,
    })),
    stuck: failed.map(({ instance, reason }) => ({
      instance: named(cluster.instances[instance]!),
      reason,
    })),
  };
}

function named({ name, uuid }: Named): Named {
  return { name, uuid };
}

/** What takes memory first, the largest before the others. */
function primariesOf({ instances }: PlacementCluster, node: number): readonly number[] {
  const size = (at: number): number => (isRunning(instances[at]!.status) ? instances[at]!.memory_mib : -1);
  return [...instances.keys()]
    .filter((at) => instances[at]!.primary === node && !instances[at]!.forthcoming)
    .sort((a, b) => size(b) - size(a) || (instances[a]!.name < instances[b]!.name ? -1 : 1));
}

function move(table: Table, index: number, target: number): void {
  const source = table.primary[index]!;
  const demand = table.demands[index]!;
  removePrimary(table, source, demand, commonLocations(table, source, -1));
  addPrimary(table, target, demand, commonLocations(table, target, -1));
  place(table, index, target, -1);
}

/** A cluster may have hundreds of nodes, all with a reason. */
const most_told = 5;

function refusalText(refused: readonly NodeRefusal[]): string {
  const told = refused.filter(({ code }) => code !== 'excluded');
  if (told.length === 0) return 'there is no other node in its group';
  const shown = told.slice(0, most_told).map(({ name, text }) => `${name}: ${text}`);
  return [...shown, ...(told.length > most_told ? [`and ${told.length - most_told} more nodes`] : [])].join(
    '; ',
  );
}
