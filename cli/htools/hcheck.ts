/** hcheck: is a cluster well, and what would be left after balancing? */
import { balance, instancesOn, nodesOfGroup } from '../../src/placement/balance.ts';
import { fixed } from '../../src/placement/decimal.ts';
import { nodesFailingN1 } from '../../src/placement/node-health.ts';
import { openRedundancy, survives } from '../../src/placement/redundancy.ts';
import { readResidents } from '../../src/placement/residents.ts';
import { clusterScore } from '../../src/placement/score.ts';
import { PRIMARIES, STRIDE, TAG_CONFLICTS, type Table } from '../../src/placement/table.ts';
import { balanceOptions } from './hbal.ts';
import { type Loaded, loadCluster, openTable, rulesOf } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, optionsOf } from './options.ts';
import { printKeys } from './print.ts';
import type { Program, World } from './program.ts';

export const hcheck: Program<CommonOptions> = {
  name: 'hcheck',
  options: optionsOf([
    option.text_data,
    option.no_disk_moves,
    option.utilisation_file,
    option.ignore_utilisation,
    option.evac_mode,
    option.exclude_instances,
    option.exclusion_tags,
    option.iallocator_source,
    option.no_instance_moves,
    option.luxi,
    option.machine_readable,
    option.max_cpu,
    option.max_length,
    option.min_disk,
    option.min_gain,
    option.min_gain_limit,
    option.min_score,
    option.ignore_soft_errors,
    option.no_simulation,
    option.offline_node,
    option.quiet,
    option.rapi_master,
    option.select_instances,
    option.no_capacity_checks,
    option.verbose,
  ]),
  defaults: common_defaults,
  argument_completion: [],
  arguments: 0,
  run,
};

/** What is counted, for scripts and for people. */
type Title = readonly [key: string, text: string];

function titles(options: CommonOptions): readonly Title[] {
  return [
    ['N1_FAIL', 'Nodes not N+1 happy'],
    ['CONFLICT_TAGS', 'Nodes with conflicting instances'],
    ['OFFLINE_PRI', 'Instances having the primary node offline'],
    ['OFFLINE_SEC', 'Instances having a secondary node offline'],
    ...(options.capacity_checks ? [['GN1_FAIL', 'Nodes not directly evacuateable'] as const] : []),
  ];
}

/** The counts of a group, in that order, and its score. */
interface Health {
  readonly group: number;
  readonly counts: readonly number[];
  readonly score: number;
}

async function run(options: CommonOptions, world: World): Promise<number> {
  const loaded = await loadCluster(options, world);
  const table = openTable(loaded.cluster, options, rulesOf(world, loaded.cluster));
  const { groups } = table.cluster;
  if (options.machine_readable) {
    printKeys(
      world,
      'HCHECK',
      groups.map(({ uuid }, at) => [`GROUP_UUID_${at}`, uuid] as const),
    );
  }
  const inhabited = groups.flatMap((_, at) => (nodesOfGroup(table, at).length > 0 ? [at] : []));
  const before = inhabited.map((group) => healthOf(options, table, group));
  const needed = totals(before).some((count) => count > 0);
  if (options.verbosity >= 1 && !options.machine_readable) world.out(`${verdict(options, needed)}\n`);
  show(options, world, table, before, 'initially', needed);
  const simulated = options.simulation && needed;
  if (simulated) for (const group of inhabited) simulate(options, loaded, table, group);
  if (simulated || options.machine_readable) {
    const after = inhabited.map((group) => healthOf(options, table, group));
    show(options, world, table, after, 'after rebalancing', needed);
  }
  if (options.machine_readable) printKeys(world, 'HCHECK', [['OK', '1']]);
  return !options.simulation || !needed ? 0 : 1;
}

function verdict(options: CommonOptions, needed: boolean): string {
  if (!options.simulation) return 'Running in no-simulation mode.';
  return needed ? 'Cluster needs rebalancing.' : 'No need to rebalance cluster, no problems found.';
}

function healthOf(options: CommonOptions, table: Table, group: number): Health {
  const nodes = nodesOfGroup(table, group);
  const offline = nodes.filter((node) => table.offline[node] === 1);
  const figure = (node: number, which: number): number => table.state[node * STRIDE + which]!;
  const conflicting = nodes.filter((node) => figure(node, TAG_CONFLICTS) > 0);
  return {
    group,
    counts: [
      nodesFailingN1(table, nodes).length,
      conflicting.length,
      offline.reduce((sum, node) => sum + figure(node, PRIMARIES), 0),
      // As in the htools: the nodes, whatever the title says.
      offline.length,
      ...(options.capacity_checks ? [lostNodes(table, nodes)] : []),
    ],
    score: clusterScore(table, nodes),
  };
}

/** Nodes whose instances could not all be restarted elsewhere in the group. */
function lostNodes(table: Table, nodes: readonly number[]): number {
  const redundancy = openRedundancy(table, readResidents(table), nodes);
  return nodes.filter((node) => !survives(redundancy, node)).length;
}

/** Of all groups; none if there is no group with nodes. */
function totals(healths: readonly Health[]): readonly number[] {
  const [first] = healths;
  return (first?.counts ?? []).map((_, at) => healths.reduce((sum, { counts }) => sum + counts[at]!, 0));
}

function simulate(options: CommonOptions, loaded: Loaded, table: Table, group: number): void {
  const nodes = nodesOfGroup(table, group);
  if (instancesOn(table, nodes).length === 0) return;
  for (const _step of balance(table, nodes, balanceOptions(options, loaded)));
}

/**
 * Titles and values side by side, as far as there are values: where no group has nodes, the verdict goes with the first
 * title, as in the htools.
 * @param needed whether the cluster needed balancing when it was read; that is what both phases show
 */
function show(
  options: CommonOptions,
  world: World,
  table: Table,
  healths: readonly Health[],
  phase: 'initially' | 'after rebalancing',
  needed: boolean,
): void {
  const of_group: readonly Title[] = [...titles(options), ['SCORE', 'Group score']];
  const of_cluster: readonly Title[] = [...titles(options), ['NEED_REBALANCE', 'Cluster is not healthy']];
  const groupValues = ({ counts, score }: Health): readonly string[] => [
    ...counts.map(String),
    fixed(score, 8),
  ];
  const sums = totals(healths).map(String);
  if (options.machine_readable) {
    const prefix = `HCHECK_${phase === 'initially' ? 'INIT' : 'FINAL'}`;
    const keys = (named: readonly Title[], values: readonly string[]): (readonly [string, string])[] =>
      values.map((value, at) => [named[at]![0], value]);
    for (const health of healths) {
      printKeys(world, `${prefix}_GROUP_${health.group}`, keys(of_group, groupValues(health)));
    }
    printKeys(world, `${prefix}_CLUSTER`, keys(of_cluster, [...sums, needed ? '1' : '0']));
    return;
  }
  if (options.verbosity < 1) return;
  const lines = (named: readonly Title[], values: readonly string[]): string =>
    values.map((value, at) => `    ${named[at]![1]}: ${value}\n`).join('');
  for (const health of healths) {
    const { name } = table.cluster.groups[health.group]!;
    world.out(`\nStatistics for group ${name} ${phase}\n${lines(of_group, groupValues(health))}`);
  }
  const verdict_lines = lines(of_cluster, [...sums, needed ? 'True' : 'False']);
  world.out(`\nCluster statistics ${phase}\n${verdict_lines}`);
}
