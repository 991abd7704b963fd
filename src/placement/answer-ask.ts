/**
 * Answers what is asked of placement inside a cluster: a node for a new instance, another one for an instance that has to
 * go elsewhere, whether an instance may be where somebody wants it.
 *
 * The choice is the engine's (allocate.ts), whose rules hold: of the nodes that have the room, the one that leaves the
 * cluster with the least score, and one after which any node may still die before one after which it may not. An
 * instance that has to be somewhere else is better off on a node beyond its soft limits than nowhere.
 */
import { type AllocationOptions, openPlacing, type Placing, settle, type Wanted } from './allocate.ts';
import { byScore, chooseGroup } from './allocate-group.ts';
import type { InstancePolicy, PlacementCluster, PlacementInstance } from './cluster.ts';
import { disk_templates } from './names.ts';
import { lossOf } from './node-loss.ts';
import type {
  AdmitAsk,
  AllocateAsk,
  NodeRefusal,
  PlacementAnswer,
  PlacementAsk,
  PlacementView,
  Refusal,
  RelocateAsk,
  WantedInstance,
} from './placement-ask.ts';
import { memoryRefusal, nodeRefusals, type Search } from './placement-refusals.ts';
import { isRedundant, openRedundancy, type Redundancy, type RedundancyOptions } from './redundancy.ts';
import { moveOut } from './residents.ts';
import { ruleFailures } from './rule-failures.ts';
import type { PlacementRules } from './rules.ts';
import {
  buildTable,
  commonLocations,
  FITS,
  lift,
  mark,
  mayMigrate,
  primaryFailure,
  removePrimary,
  type Table,
  undoTo,
} from './table.ts';
import { readRules } from './table-rules.ts';

export function answerAsk(view: PlacementView, ask: PlacementAsk): PlacementAnswer {
  switch (ask.type) {
    case 'allocate':
      return answerAllocate(view, ask);
    case 'relocate':
      return answerRelocate(view, ask);
    case 'admit':
      return answerAdmit(view, ask);
  }
}

function answerAllocate(given: PlacementView, ask: AllocateAsk): PlacementAnswer {
  const view = ask.check_policy ? given : { ...given, cluster: withoutPolicies(given.cluster) };
  const { cluster } = view;
  const instance = onNoNode(ask.instance);
  const table = buildTable(cluster, { waiting: [instance], rules: rulesWith(cluster, [instance]) });
  const index = cluster.instances.length;
  const wanted: Wanted = { index, instance, demand: table.demands[index]! };
  return search({
    view,
    placing: openPlacing(table),
    wanted,
    node_count: ask.node_count,
    group: ask.group,
    refusalOf: excluding(cluster, ask.exclude),
    admission: ask.admission,
    may_force: false,
  });
}

function answerRelocate(given: PlacementView, ask: RelocateAsk): PlacementAnswer {
  // It exists: whether a policy allows it was asked before.
  const view = { ...given, cluster: withoutPolicies(given.cluster) };
  const { cluster } = view;
  const index = cluster.instances.findIndex(({ uuid }) => uuid === ask.instance);
  const instance = cluster.instances[index];
  if (instance === undefined) return refusedBy([]);
  const table = buildTable(cluster, { rules: rulesIfSound(cluster) });
  const source = table.primary[index]!;
  const to = cluster.nodes.findIndex(({ uuid }) => uuid === ask.to);
  const group = cluster.nodes[to === -1 ? source : to]!.group;
  const answer = placeElsewhere(view, table, index, group, (node) => {
    if (ask.to !== null && node !== to) return { code: 'excluded', text: 'is not the one that is wanted' };
    return node !== source || ask.may_stay ? null : { code: 'excluded', text: 'owns it already' };
  });
  return ask.to === null
    ? answer
    : { ...answer, refused: answer.refused.filter(({ node }) => node === ask.to) };
}

/**
 * Where an instance of the table goes that has to leave its node; it is nowhere for as long as that is looked for, and
 * where it was afterwards.
 * @param view without the policies
 * @param group index of the one that is looked at
 * @param unwanted why a node will not do, whatever it has
 */
export function placeElsewhere(
  view: PlacementView,
  table: Table,
  index: number,
  group: number,
  unwanted: (node: number) => Refusal | null,
): PlacementAnswer {
  const { cluster } = view;
  const instance = cluster.instances[index]!;
  const start = mark(table);
  const placing = openPlacing(table);
  const wanted: Wanted = { index, instance, demand: table.demands[index]! };
  const source = table.primary[index]!;
  moveOut(placing.residents, source, instance);
  removePrimary(table, source, wanted.demand, commonLocations(table, source, -1));
  lift(table, index);
  const refusalOf = (node: number): Refusal | null => {
    const refusal = unwanted(node);
    if (node === source || refusal !== null) return refusal;
    if (wanted.demand.local) {
      const { template } = instance;
      return {
        code: 'disks-elsewhere',
        text: `does not have the disks: template ${template} stays on its node`,
      };
    }
    if (mayMigrate(table, source, node)) return null;
    return {
      code: 'tags',
      text: `does not take instances of ${cluster.nodes[source]!.name}, by their migration tags`,
    };
  };
  const answer = search({
    view,
    placing,
    wanted,
    node_count: 1,
    group: cluster.groups[group]!.uuid,
    refusalOf,
    // It is in the cluster already.
    admission: 'warn',
    may_force: true,
  });
  undoTo(table, start);
  return answer;
}

/** Unlike the htools: what is lost in a cluster that lives cannot go to a node that is off, or drained. */
const live_redundancy: RedundancyOptions = { only_online: true };

interface Found {
  readonly primary: number;
  readonly secondary: number;
  readonly score: number;
}

function search(asked: Search): PlacementAnswer {
  const { placing, wanted, admission } = asked;
  const attempt = (capacity_checks: boolean, force: boolean) =>
    find(asked, { capacity_checks, force, redundancy: live_redundancy });
  let forced = false;
  let found = admission === 'off' ? null : attempt(true, false);
  let unsafe: string | null = null;
  if (found === null) {
    found = attempt(false, false);
    if (found === null && asked.may_force) {
      found = attempt(false, true);
      forced = found !== null;
    }
    if (found !== null && admission !== 'off') unsafe = newlyUnsafe(placing, wanted, found);
  }
  if (found === null) return refusedBy(nodeRefusals(asked));
  if (unsafe !== null && admission === 'refuse') return { ...refusedBy([]), unsafe };
  const { cluster } = asked.view;
  const nodes = [found.primary, found.secondary]
    .filter((node) => node >= 0)
    .map((node) => ({ node: cluster.nodes[node]!.uuid, name: cluster.nodes[node]!.name }));
  return { nodes, score: found.score, refused: [], unsafe, forced };
}

/** In the group asked for, of which only its own nodes count in the score then; or in the best of those allocable. */
function find(asked: Search, options: AllocationOptions): Found | null {
  const { placing, wanted, node_count, view, refusalOf } = asked;
  const { cluster } = view;
  const names = new Set(
    cluster.nodes.flatMap((node, at) =>
      view.refusals[at] === null && refusalOf(at) === null ? [node.name] : [],
    ),
  );
  if (asked.group === null) {
    const method = byScore(placing, wanted, node_count, names, options);
    const { chosen } = chooseGroup(cluster, wanted.instance, null, method);
    return chosen?.allocation.solution ?? null;
  }
  const group = cluster.groups.findIndex(({ uuid }) => uuid === asked.group);
  const nodes = placing.nodes.filter((node) => cluster.nodes[node]!.group === group);
  const outcome = byScore({ ...placing, nodes }, wanted, node_count, names, options).tryGroup(group);
  return typeof outcome === 'string' ? null : outcome.solution;
}

function answerAdmit(view: PlacementView, ask: AdmitAsk): PlacementAnswer {
  const cluster = withoutPolicies(view.cluster);
  const node = cluster.nodes.findIndex(({ uuid }) => uuid === ask.node);
  if (node === -1) return refusedBy([]);
  const named = { node: ask.node, name: cluster.nodes[node]!.name };
  // Nothing is known of it yet: it is asked itself before anything is made there.
  if (view.refusals[node]?.code === 'no-live-data')
    return { nodes: [named], score: null, refused: [], unsafe: null, forced: false };
  const instance = onNoNode(ask.instance);
  const index = cluster.instances.findIndex(({ uuid }) => uuid === instance.uuid);
  // Where it is already, its rules were kept or not.
  const rules = index === -1 ? rulesWith(cluster, [instance]) : null;
  const table = buildTable(cluster, { waiting: [instance], rules });
  const placing = openPlacing(table);
  // What it is now goes, and before that the cluster is judged.
  const before = ask.admission === 'off' ? null : judged(placing);
  const safe = before !== null && isRedundant(before);
  if (index !== -1) {
    moveOut(placing.residents, table.primary[index]!, cluster.instances[index]!);
    removePrimary(table, table.primary[index]!, table.demands[index]!, 0);
  }
  const waiting = cluster.instances.length;
  const wanted: Wanted = { index: waiting, instance, demand: table.demands[waiting]! };
  const broken = table.rules === null ? [] : ruleFailures(table.rules.rules, waiting, node, -1);
  if (broken.length > 0) return refusedBy([{ ...named, code: 'rules', text: broken[0]!.text }]);
  if (primaryFailure(table, node, wanted.demand, true) !== FITS) {
    const refusal = memoryRefusal(table, node, wanted);
    if (refusal !== null) return refusedBy([{ ...named, ...refusal }]);
  }
  const solution = { primary: node, secondary: -1, score: 0 };
  const unsafe = safe ? firstLoss(placing, wanted, solution) : null;
  if (unsafe !== null && ask.admission === 'refuse') return { ...refusedBy([]), unsafe };
  return { nodes: [named], score: null, refused: [], unsafe, forced: false };
}

/** Of a cluster that has new instances, too. @throws Error when the rules in the tags contradict each other */
function rulesWith(cluster: PlacementCluster, waiting: readonly PlacementInstance[]): PlacementRules | null {
  const read = readRules({ ...cluster, instances: [...cluster.instances, ...waiting] });
  if ('errors' in read)
    throw new Error(`the rules in the tags contradict each other: ${read.errors[0]!.text}`);
  return read.rules;
}

/** What has to go elsewhere is not held up by tags that contradict each other. */
export function rulesIfSound(cluster: PlacementCluster): PlacementRules | null {
  const read = readRules(cluster);
  return 'errors' in read ? null : read.rules;
}

function refusedBy(refused: readonly NodeRefusal[]): PlacementAnswer {
  return { nodes: null, score: null, refused, unsafe: null, forced: false };
}

function onNoNode(instance: WantedInstance): PlacementInstance {
  return { ...instance, primary: -1, secondary: -1 };
}

function excluding(
  cluster: PlacementCluster,
  exclude: readonly (readonly [string, string])[],
): (node: number) => Refusal | null {
  const texts = new Map(exclude);
  return (node) => {
    const text = texts.get(cluster.nodes[node]!.uuid);
    return text === undefined ? null : { code: 'excluded', text: text === '' ? 'is excluded' : text };
  };
}

const none = { memory_mib: 0, cpus: 0, disk_mib: 0, disk_count: 0, nic_count: 0, spindle_use: 0 };
const endless = Number.POSITIVE_INFINITY;
const any = {
  memory_mib: endless,
  cpus: endless,
  disk_mib: endless,
  disk_count: endless,
  nic_count: endless,
  spindle_use: endless,
};
/** Every size and template is allowed; the ratios stay. */
export function withoutPolicies(cluster: PlacementCluster): PlacementCluster {
  const open = (policy: InstancePolicy): InstancePolicy => ({
    ...policy,
    minmax: [{ min: none, max: any }],
    disk_templates,
  });
  return {
    ...cluster,
    policy: open(cluster.policy),
    groups: cluster.groups.map((group) => ({ ...group, policy: open(group.policy) })),
  };
}

function judged({ table, residents, nodes }: Placing): Redundancy {
  return openRedundancy(table, residents, nodes, live_redundancy);
}

/** What a place breaks that was whole before; null: nothing. */
function newlyUnsafe(placing: Placing, wanted: Wanted, found: Found): string | null {
  return isRedundant(judged(placing)) ? firstLoss(placing, wanted, found) : null;
}

/** With the instance in its place: the first node, by name, whose loss could not be made up for. */
function firstLoss(placing: Placing, wanted: Wanted, found: Found): string | null {
  const { table } = placing;
  settle(placing, wanted, found);
  const redundancy = judged(placing);
  const by_name = [...redundancy.judged].sort((a, b) => (nameOf(table, a) < nameOf(table, b) ? -1 : 1));
  for (const node of by_name) {
    // One node alone was never to be made up for: nothing is lost by using it.
    if (
      !redundancy.group_nodes[groupOf(table, node)]!.some((other) => other !== node && isOnline(table, other))
    )
      continue;
    const { homeless } = lossOf(redundancy, node);
    const [first] = homeless;
    if (first === undefined) continue;
    const others = homeless.length === 1 ? '' : ` (and ${homeless.length - 1} more)`;
    return `if node ${nameOf(table, node)} were lost, ${first.text}${others}`;
  }
  return null;
}

function groupOf(table: Table, node: number): number {
  return table.cluster.nodes[node]!.group;
}

function isOnline(table: Table, node: number): boolean {
  return table.offline[node] === 0;
}

function nameOf(table: Table, node: number): string {
  return table.cluster.nodes[node]!.name;
}
