/** hinfo: what a cluster is like. */
import { instancesOn, nodesOfGroup } from '../../src/placement/balance.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { fixed } from '../../src/placement/decimal.ts';
import { instancesTouching, nodesFailingN1 } from '../../src/placement/node-health.ts';
import { clusterScore } from '../../src/placement/score.ts';
import type { Table } from '../../src/placement/table.ts';
import { aliasesOf, loadCluster, openTable, rulesOf } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, optionsOf } from './options.ts';
import { formatTable, metricTable, nodeLists, printInstances, printNodes } from './print.ts';
import type { Program, World } from './program.ts';
import { shownPolicy } from './show-policy.ts';

export const hinfo: Program<CommonOptions> = {
  name: 'hinfo',
  options: optionsOf([
    option.print_nodes,
    option.print_instances,
    option.text_data,
    option.rapi_master,
    option.luxi,
    option.iallocator_source,
    option.verbose,
    option.quiet,
    option.offline_node,
    option.ignore_utilisation,
    option.mond,
    option.mond_data,
    option.static_kvm_node_memory,
  ]),
  defaults: common_defaults,
  argument_completion: [],
  arguments: 0,
  run,
};

async function run(options: CommonOptions, world: World): Promise<number> {
  const { cluster } = await loadCluster(options, world);
  world.out(`Loaded cluster tags: ${cluster.tags.join(',')}\n`);
  if (options.verbosity > 2) world.out(`Loaded cluster ipolicy: ${shownPolicy(cluster.policy)}\n`);
  const table = openTable(cluster, options, rulesOf(world, cluster));
  const aliases = aliasesOf(cluster);
  if (cluster.instances.length === 0 && options.verbosity > 1) world.out('Cluster is empty.\n');
  const { nodes, instances, groups } = cluster;
  world.out(
    `Loaded ${counted(nodes.length, 'node')}, ${counted(instances.length, 'instance')}, ` +
      `${counted(groups.length, 'node group')}\n`,
  );
  if (aliases.domain !== '' && options.verbosity > 2) {
    world.out(`Note: Stripping common suffix of '${aliases.domain}' from names\n`);
  }
  describeSplit(options, world, cluster);
  describeGroups(options, world, table);
  const all_nodes = nodes.map((_, at) => at);
  printInstances(
    world,
    options.print_instances,
    'Instances',
    table,
    instances.map((_, at) => at),
  );
  printNodes(world, 'Cluster', table, all_nodes, nodeLists(table), aliases.nodes, options.print_nodes);
  world.out(`Cluster coefficients:\n${metricTable(table, all_nodes)}`);
  world.out(`Cluster score: ${fixed(clusterScore(table, all_nodes), 8)}\n`);
  return 0;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function describeSplit(options: CommonOptions, world: World, cluster: PlacementCluster): void {
  const split = cluster.instances.filter(
    ({ primary, secondary }) =>
      secondary >= 0 && cluster.nodes[primary]!.group !== cluster.nodes[secondary]!.group,
  );
  if (split.length > 0) {
    world.out('Found instances belonging to multiple node groups:\n');
    for (const { name } of split) world.err(`  ${name}\n`);
  } else if (options.verbosity > 1) {
    world.out('No split instances found\n');
  }
}

function describeGroups(options: CommonOptions, world: World, table: Table): void {
  let happy = true;
  const rows: string[][] = [];
  for (const [at, group] of table.cluster.groups.entries()) {
    const nodes = nodesOfGroup(table, at);
    if (nodes.length === 0) continue;
    const bad = nodesFailingN1(table, nodes);
    happy &&= bad.length === 0;
    rows.push([
      group.name,
      String(nodes.length),
      String(instancesOn(table, nodes).length),
      String(bad.length),
      String(instancesTouching(table, bad).length),
      bad.length === 0 ? 'True' : 'False',
      fixed(clusterScore(table, nodes), 8),
    ]);
  }
  if (options.verbosity > 1) {
    const titles = ['Group', 'Nodes', 'Instances', 'Bad_Nodes', 'Bad_Instances', 'N+1', 'Score'];
    const numeric = [false, true, true, true, true, false, true];
    world.out(`Node group information:\n${formatTable('  ', titles, rows, numeric)}`);
  }
  world.out(`Cluster is N+1 ${happy ? 'happy' : 'unhappy'}\n`);
}
