/**
 * A rolling maintenance as a list of steps, group after group: what each instance does while its node is rebooted, how
 * long each step takes, and how the rest of the cluster fares meanwhile. Plain data, to be printed or to be carried out
 * step by step; nothing in it refers to the run that made it.
 *
 * What an instance does depends on what its disks allow: one with a second copy, or with disks that every node reaches,
 * goes elsewhere, running where that is possible and stopped for a moment where it is not; one whose disks are on its
 * node only is stopped, or copied if that was asked for. Instances that are down stay where they are. Each step that is
 * less than one would wish for says why.
 */
import { type DiskTemplate, mirrorKind } from './cluster.ts';
import {
  bestNode,
  bestSecondary,
  type MaintenanceModel,
  maintenanceModel,
  moveRefusal,
  type PredictedLoad,
  predictedLoad,
  putBack,
  type Refusal,
  relocate,
  setAway,
  swapRefusal,
  takeOff,
} from './maintenance-model.ts';
import type { RebootGroup } from './reboot-groups.ts';
import { copyRules, type PlacementRules } from './rules.ts';
import type { Table } from './table.ts';

export interface MaintenanceOptions {
  /** Templates whose instances can be moved while they run. */
  readonly live_migration: ReadonlySet<DiskTemplate>;
  /** What becomes of a running instance whose disks are on its node only. */
  readonly local_disks: 'stop' | 'copy';
  /** Whatever runs on a node is stopped while that is rebooted, and nothing is moved. */
  readonly offline?: boolean;
  /** Second copies leave, too, so that none is without while a node is down. */
  readonly full_evacuation: boolean;
  /** Between any two nodes, for memory and disks. */
  readonly bandwidth_mib_s: number;
  readonly reboot_s: number;
  /** From the node's return until it is known to be well. */
  readonly check_s: number;
  /** Of one instance. */
  readonly stop_s: number;
  readonly start_s: number;
  readonly rules: PlacementRules | null;
}

/** By name for people, by uuid for what carries it out. */
export interface Named {
  readonly name: string;
  readonly uuid: string;
}

export type MaintenanceAction =
  /** No new instance comes there; or may come again. */
  | { readonly kind: 'drain' | 'undrain'; readonly node: Named }
  /** The node acts as master: another one is to. */
  | { readonly kind: 'hand-over'; readonly node: Named }
  /** migrate: it goes on running. failover: it is stopped, and started there. copy: its disks are copied in between. */
  | {
      readonly kind: 'migrate' | 'failover' | 'copy';
      readonly instance: Named;
      readonly from: Named;
      readonly to: Named;
    }
  /** A new second copy. */
  | { readonly kind: 'replace-secondary'; readonly instance: Named; readonly from: Named; readonly to: Named }
  | { readonly kind: 'stop' | 'start'; readonly instance: Named; readonly node: Named }
  /** check: it is there, and well. */
  | { readonly kind: 'reboot' | 'check'; readonly node: Named };

export interface MaintenanceStep {
  readonly action: MaintenanceAction;
  /** What goes over the network. */
  readonly mib: number;
  readonly seconds: number;
  /** How long its instance does not run for it. */
  readonly down_s: number;
  /** Why it is this and nothing better, or what to know of it; null: nothing. */
  readonly why: string | null;
  /** Once it is done. */
  readonly load: PredictedLoad;
}

export interface MaintenanceGroup {
  readonly nodes: readonly Named[];
  readonly steps: readonly MaintenanceStep[];
  /** With nodes at work at the same time, each on one step at a time. */
  readonly seconds: number;
}

export interface MaintenancePlan {
  readonly groups: readonly MaintenanceGroup[];
  readonly before: PredictedLoad;
  readonly mib: number;
  readonly seconds: number;
  /** Sums over all instances. */
  readonly down_s: number;
}

/** @param groups in this order; after each one everything is where it was before */
export function maintenancePlan(
  table: Table,
  groups: readonly RebootGroup[],
  options: MaintenanceOptions,
): MaintenancePlan {
  const rules = options.rules === null ? null : copyRules(options.rules);
  const planned: MaintenanceGroup[] = groups.map((group) => {
    const best = planGroup(maintenanceModel(table, rules), group, options, null);
    if (best.stranded === 0 || group.moves.length === 0) return best.group;
    // Instance by instance there was no room for some; the moves that made this a group may have it.
    const by_moves = planGroup(maintenanceModel(table, rules), group, options, group.moves);
    return by_moves.stranded < best.stranded ? by_moves.group : best.group;
  });
  const all = planned.flatMap(({ steps }) => steps);
  return {
    groups: planned,
    before: predictedLoad(maintenanceModel(table, rules)),
    mib: all.reduce((sum, { mib }) => sum + mib, 0),
    seconds: planned.reduce((sum, { seconds }) => sum + seconds, 0),
    down_s: all.reduce((sum, { down_s }) => sum + down_s, 0),
  };
}

/** A group in the making. */
interface Making {
  readonly model: MaintenanceModel;
  readonly options: MaintenanceOptions;
  readonly away: ReadonlySet<number>;
  readonly steps: MaintenanceStep[];
  /** Seconds that each node has been at work in this phase. */
  busy_s: Float64Array;
  /** Of the phases that are over. */
  seconds: number;
  /** How to undo what was done, the last thing first. */
  readonly back: (() => void)[];
  /** Instances that have to be stopped for want of room. */
  stranded: number;
}

function planGroup(
  model: MaintenanceModel,
  { nodes }: RebootGroup,
  options: MaintenanceOptions,
  moves: RebootGroup['moves'] | null,
): { readonly group: MaintenanceGroup; readonly stranded: number } {
  const { table } = model;
  const making: Making = {
    model,
    options,
    away: new Set(nodes),
    steps: [],
    busy_s: new Float64Array(table.node_count),
    seconds: 0,
    back: [],
    stranded: 0,
  };
  const targets = new Map(moves?.map(({ instance, primary }) => [instance, primary]));
  for (const node of nodes) add(making, { kind: 'drain', node: nodeAt(table, node) }, {});
  for (const node of nodes) {
    if (!table.cluster.nodes[node]!.master) continue;
    add(making, { kind: 'hand-over', node: nodeAt(table, node) }, { why: 'it acts as master' });
  }
  const running = instancesOn(table, table.primary, nodes).filter((i) => table.demands[i]!.uses_memory);
  takeOff(model, running);
  // Those first that have one place to go to only.
  const with_choice = (instance: number): number => (table.secondary[instance]! < 0 ? 1 : 0);
  for (const instance of running.toSorted((a, b) => with_choice(a) - with_choice(b)))
    leaveNode(making, instance, targets.get(instance) ?? null);
  if (options.full_evacuation)
    for (const instance of instancesOn(table, table.secondary, nodes)) leaveSecondary(making, instance);
  endPhase(making);

  setAway(model, nodes, true);
  for (const node of nodes) {
    const left = instancesOn(table, table.secondary, [node]).length;
    const why =
      left === 0
        ? null
        : `${left} ${left === 1 ? 'instance has' : 'instances have'} no second copy meanwhile`;
    add(
      making,
      { kind: 'reboot', node: nodeAt(table, node) },
      { seconds: options.reboot_s, why, at: [node] },
    );
  }
  setAway(model, nodes, false);
  for (const node of nodes)
    add(making, { kind: 'check', node: nodeAt(table, node) }, { seconds: options.check_s, at: [node] });
  endPhase(making);

  for (const undo of making.back.reverse()) undo();
  for (const node of nodes) add(making, { kind: 'undrain', node: nodeAt(table, node) }, {});
  endPhase(making);
  return {
    group: { nodes: nodes.map((node) => nodeAt(table, node)), steps: making.steps, seconds: making.seconds },
    stranded: making.stranded,
  };
}

/** What a running instance does while its node is rebooted. @param wanted the node to go to; null: the best one */
function leaveNode(making: Making, instance: number, wanted: number | null): void {
  const { model, options, away } = making;
  const { table } = model;
  const { template } = table.cluster.instances[instance]!;
  if (options.offline) {
    stopMeanwhile(making, instance, 'nothing is moved in an offline maintenance', false);
    return;
  }
  const live = options.live_migration.has(template);
  const not_live = live ? null : `live migration of ${template} is not there yet`;
  const primary = table.primary[instance]!;
  const secondary = table.secondary[instance]!;
  if (secondary >= 0) {
    const refusal = away.has(secondary)
      ? `its secondary ${nodeAt(table, secondary).name} is rebooted at the same time`
      : swapRefusal(model, instance, live);
    if (refusal !== null) stopMeanwhile(making, instance, refusal);
    else hop(making, instance, live ? 'migrate' : 'failover', secondary, primary, not_live);
    return;
  }
  const kind = mirrorKind[template] === 'external' ? (live ? 'migrate' : 'failover') : 'copy';
  if (kind === 'copy' && options.local_disks === 'stop') {
    const why = `the disks of template ${template} are on this node only`;
    stopMeanwhile(making, instance, why, false);
    return;
  }
  const usable = wanted !== null && moveRefusal(model, instance, wanted, kind === 'migrate') === null;
  const found = usable ? wanted : bestNode(model, instance, away, kind === 'migrate');
  const why = kind === 'copy' ? `the disks of template ${template} are on this node only` : not_live;
  if (typeof found === 'number') hop(making, instance, kind, found, -1, why);
  else stopMeanwhile(making, instance, found.refused);
}

/** There, and back when all is done. */
function hop(
  making: Making,
  instance: number,
  kind: 'migrate' | 'failover' | 'copy',
  to: number,
  secondary: number,
  why: string | null,
): void {
  const { model, options } = making;
  const { table } = model;
  const { memory_mib, disk_mib } = table.cluster.instances[instance]!;
  const from = table.primary[instance]!;
  const old_secondary = table.secondary[instance]!;
  const mib = kind === 'migrate' ? memory_mib : kind === 'copy' ? disk_mib : 0;
  const copy_s = mib / options.bandwidth_mib_s;
  const seconds = kind === 'migrate' ? copy_s : options.stop_s + copy_s + options.start_s;
  const down_s = kind === 'migrate' ? 0 : seconds;
  const go = (a: number, b: number, b_secondary: number): void => {
    relocate(model, instance, b, b_secondary);
    const action = {
      kind,
      instance: instanceAt(table, instance),
      from: nodeAt(table, a),
      to: nodeAt(table, b),
    };
    add(making, action, { mib, seconds, down_s, why, at: [a, b] });
  };
  go(from, to, secondary);
  making.back.push(() => go(to, from, old_secondary));
}

/** @param stranded whether it is for want of room */
function stopMeanwhile(making: Making, instance: number, why: Refusal, stranded = true): void {
  const { model, options } = making;
  const { table } = model;
  if (stranded) making.stranded += 1;
  putBack(model, instance);
  const node = table.primary[instance]!;
  const named = { instance: instanceAt(table, instance), node: nodeAt(table, node) };
  // Until it is started again, which is when the node is well again.
  const down_s = options.stop_s + options.reboot_s + options.check_s + options.start_s;
  add(making, { kind: 'stop', ...named }, { seconds: options.stop_s, down_s, why, at: [node] });
  making.back.push(() => {
    add(making, { kind: 'start', ...named }, { seconds: options.start_s, at: [node] });
  });
}

/** A second copy goes elsewhere, and comes back when all is done. */
function leaveSecondary(making: Making, instance: number): void {
  const { model, options, away } = making;
  const { table } = model;
  const found = bestSecondary(model, instance, away);
  const from = table.secondary[instance]!;
  // The reboot says of how many there is one copy only.
  if (typeof found !== 'number') return;
  const primary = table.primary[instance]!;
  const mib = table.cluster.instances[instance]!.disk_mib;
  const go = (a: number, b: number): void => {
    relocate(model, instance, primary, b);
    const named = { instance: instanceAt(table, instance), from: nodeAt(table, a), to: nodeAt(table, b) };
    const seconds = mib / options.bandwidth_mib_s;
    add(making, { kind: 'replace-secondary', ...named }, { mib, seconds, at: [primary, b] });
  };
  go(from, found);
  making.back.push(() => go(found, from));
}

interface Details {
  readonly mib?: number;
  readonly seconds?: number;
  readonly down_s?: number;
  readonly why?: string | null;
  /** Nodes that are at work on it. */
  readonly at?: readonly number[];
}

function add(making: Making, action: MaintenanceAction, details: Details): void {
  const { mib = 0, seconds = 0, down_s = 0, why = null, at = [] } = details;
  making.steps.push({ action, mib, seconds, down_s, why, load: predictedLoad(making.model) });
  for (const node of at) making.busy_s[node]! += seconds;
}

function endPhase(making: Making): void {
  making.seconds += making.busy_s.reduce((most, busy_s) => Math.max(most, busy_s), 0);
  making.busy_s.fill(0);
}

/** Of the real ones, in the order of the nodes. */
function instancesOn(table: Table, where: Int32Array, nodes: readonly number[]): readonly number[] {
  return nodes.flatMap((node) =>
    [...where.keys()].filter((i) => where[i] === node && !table.demands[i]!.forthcoming),
  );
}

function nodeAt(table: Table, node: number): Named {
  const { name, uuid } = table.cluster.nodes[node]!;
  return { name, uuid };
}

function instanceAt(table: Table, instance: number): Named {
  const { name, uuid } = table.cluster.instances[instance]!;
  return { name, uuid };
}
