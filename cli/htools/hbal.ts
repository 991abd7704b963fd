/** hbal: which moves would balance a group of nodes. */
import {
  type BalanceOptions,
  balance,
  instancesOn,
  nodesOfGroup,
  type Step,
} from '../../src/placement/balance.ts';
import { failureName, type PlacementCluster } from '../../src/placement/cluster.ts';
import { currentCluster } from '../../src/placement/current-cluster.ts';
import { fixed } from '../../src/placement/decimal.ts';
import { moveCommands, moveText, splitJobsets } from '../../src/placement/jobsets.ts';
import { instancesTouching, nodesFailingN1, policyBreach } from '../../src/placement/node-health.ts';
import { clusterScore, leastScore } from '../../src/placement/score.ts';
import { searchBalance } from '../../src/placement/search-balance.ts';
import { FREE_DISK, STRIDE, type Table, unallocatedMemory } from '../../src/placement/table.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import { type Aliases, aliasesOf, type Loaded, loadCluster, openTable, rulesOf } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, optionsOf } from './options.ts';
import { metricTable, nodeLists, nodeListsAfter, printInstances, printNodes } from './print.ts';
import { Failure, type Program, type World } from './program.ts';
import { shownPolicy } from './show-policy.ts';

export const hbal: Program<CommonOptions> = {
  name: 'hbal',
  options: optionsOf([
    option.print_nodes,
    option.print_instances,
    option.print_commands,
    option.text_data,
    option.evac_mode,
    option.restricted_migration,
    option.rapi_master,
    option.luxi,
    option.iallocator_source,
    option.execute,
    option.allow_restart,
    option.first_job_group,
    option.reason,
    option.group,
    option.max_length,
    option.verbose,
    option.quiet,
    option.offline_node,
    option.static_kvm_node_memory,
    option.min_score,
    option.max_cpu,
    option.min_disk,
    option.min_gain,
    option.min_gain_limit,
    option.no_disk_moves,
    option.select_instances,
    option.no_instance_moves,
    option.ignore_soft_errors,
    option.utilisation_file,
    option.ignore_utilisation,
    option.mond,
    option.mond_data,
    option.mond_exit_on_missing,
    option.mond_xen,
    option.exclusion_tags,
    option.exclude_instances,
    option.save,
    option.priority,
    option.search,
  ]),
  defaults: common_defaults,
  argument_completion: [],
  arguments: 0,
  run,
};

/** A group of nodes with its instances, by index. */
interface Group {
  readonly name: string;
  readonly nodes: readonly number[];
  readonly instances: readonly number[];
}

async function run(options: CommonOptions, world: World): Promise<number> {
  if (options.search_s !== null && options.evacuate) {
    throw new Failure(
      '--search and --evac-mode: an evacuation has nothing to search for, expected one of them',
    );
  }
  const loaded = await loadCluster(options, world);
  const { cluster } = loaded;
  if (options.verbosity > 1) {
    world.out(`Loaded cluster tags: ${cluster.tags.join(',')}\n`);
    world.out(`Loaded cluster ipolicy: ${shownPolicy(cluster.policy)}\n`);
  }
  const table = openTable(cluster, options, rulesOf(world, cluster));
  const aliases = aliasesOf(cluster);
  if (cluster.instances.length === 0) {
    world.out('Cluster is empty, exiting.\n');
    return 0;
  }
  describeCluster(options, world, cluster, aliases);
  saveCluster(options, world, 'original', 'before balancing', cluster);
  const group = chooseGroup(options, world, table);
  describeGroup(options, world, table, group);
  const before = resources(table, group.nodes);
  const lists = nodeLists(table);
  printInstances(world, options.print_instances, 'Initial', table, group.instances);
  printNodes(world, 'Initial cluster', table, group.nodes, lists, aliases.nodes, options.print_nodes);
  const initial = clusterScore(table, group.nodes);
  describeScore(options, world, table, group, 'Initial', initial);
  const least = leastScore(table, group.nodes);
  if (initial - least < options.min_score) {
    world.out(
      `Cluster is already well balanced (initial score ${general(initial)},\n` +
        `optimum score due to N+1 reservations ${general(least)},\n` +
        `minimum score ${general(options.min_score)}).\nNothing to do, exiting\n`,
    );
    return 0;
  }
  world.out('Trying to minimize the CV...\n');
  const steps = balanceAloud(options, world, table, group, loaded, aliases);
  const final = steps.at(-1)?.score ?? initial;
  if (steps.length === 0) world.out('No solution found\n');
  else if (options.verbosity > 2) describeScore(options, world, table, group, 'Final', final);
  else world.out(`Cluster score improved from ${fixed(initial, 8)} to ${fixed(final, 8)}\n`);
  if (options.verbosity >= 1) world.out(`Solution length=${steps.length}\n`);
  writeCommands(options, world, table, aliases, steps);
  saveCluster(
    options,
    world,
    'balanced',
    'after balancing',
    currentCluster(table, group.nodes, group.instances),
  );
  printInstances(world, options.print_instances, 'Final', table, group.instances);
  const final_lists =
    options.print_nodes === null
      ? lists
      : steps.reduce((now, step) => nodeListsAfter(table, now, step), lists);
  printNodes(world, 'Final cluster', table, group.nodes, final_lists, aliases.nodes, options.print_nodes);
  if (options.verbosity > 3) {
    world.out(`Original: ${before}\nFinal:    ${resources(table, group.nodes)}\n`);
  }
  if (!options.execute || steps.length === 0) return 0;
  if (options.luxi === null) throw new Failure('hbal: Execution of commands possible only on LUXI');
  return (await import('./execute-plan.ts')).executePlan(options, options.luxi, world, table, steps);
}

function describeCluster(
  options: CommonOptions,
  world: World,
  cluster: PlacementCluster,
  aliases: Aliases,
): void {
  const split = cluster.instances.filter(
    ({ primary, secondary }) =>
      secondary >= 0 && cluster.nodes[primary]!.group !== cluster.nodes[secondary]!.group,
  );
  if (split.length > 0 && options.verbosity > 1) {
    world.err('Found instances belonging to multiple node groups:\n');
    for (const { name } of split) world.err(`  ${name}\n`);
    world.err('These instances will not be moved.\n');
  }
  world.out(`Loaded ${cluster.nodes.length} nodes, ${cluster.instances.length} instances\n`);
  if (aliases.domain !== '' && options.verbosity > 1) {
    world.out(`Note: Stripping common suffix of '${aliases.domain}' from names\n`);
  }
}

function chooseGroup(options: CommonOptions, world: World, table: Table): Group {
  const { groups, nodes } = table.cluster;
  const names = (wanted: readonly number[]): string => wanted.map((at) => `  ${groups[at]!.name}\n`).join('');
  const inhabited = groups.flatMap((_, at) => (nodes.some((node) => node.group === at) ? [at] : []));
  if (options.group === null) {
    const [only, ...others] = inhabited;
    if (others.length > 0) {
      world.err(`Found multiple node groups:\n${names(inhabited)}`);
      throw new Failure('Aborting.');
    }
    if (only === undefined) throw new Failure('No groups found by splitCluster?!');
    return groupOf(table, only);
  }
  const at = groups.findIndex(({ name, uuid }) => name === options.group || uuid === options.group);
  if (at === -1) {
    world.err(
      `Node group ${options.group} not found. Node group list is:\n${names(groups.map((_, place) => place))}`,
    );
    throw new Failure('Aborting.');
  }
  return groupOf(table, at);
}

function groupOf(table: Table, at: number): Group {
  const nodes = nodesOfGroup(table, at);
  return { name: table.cluster.groups[at]!.name, nodes, instances: instancesOn(table, nodes) };
}

function describeGroup(options: CommonOptions, world: World, table: Table, group: Group): void {
  const { nodes, instances } = group;
  world.out(`Group size ${nodes.length} nodes, ${instances.length} instances\n`);
  world.out(`Selected node group: ${group.name}\n`);
  const bad = nodesFailingN1(table, nodes);
  const bad_instances = instancesTouching(table, bad);
  if (options.verbosity >= 1) {
    world.out(`Initial check done: ${bad.length} bad nodes, ${bad_instances.length} bad instances.\n`);
  }
  const others = nodes.filter((node) => !bad.includes(node));
  const breaches = others.map((node) => policyBreach(table, node));
  const nameOf = (node: number): string => JSON.stringify(table.cluster.nodes[node]!.name);
  if (options.verbosity > 4) {
    const status = others.map((node, at) => {
      const breach = breaches[at]!;
      return `(${nameOf(node)},${breach === null ? 'Ok ()' : `Bad ${failureName[breach]}`})`;
    });
    world.out(`Bad nodes: [${bad.map(nameOf).join(',')}]\n`);
    world.out(`N+1 happy nodes: [${others.map(nameOf).join(',')}]\n`);
    world.out(`Node policy status: [${status.join(',')}]\n`);
  }
  if (bad.length > 0) {
    world.out('Cluster is not N+1 happy, continuing but no guarantee that the cluster will end N+1 happy.\n');
  }
  const breached = breaches.filter((breach) => breach !== null).length;
  if (breached > 0) {
    world.out(`The cluster contains ${breached} policy-violating nodes.\n`);
    world.out(
      options.ignore_soft_errors
        ? 'Continuing, ignoring soft errors.\n'
        : 'Continuing, but the set of moves might be too restricted; consider using the --ignore-soft-errors option.\n',
    );
  }
}

function describeScore(
  options: CommonOptions,
  world: World,
  table: Table,
  group: Group,
  when: 'Initial' | 'Final',
  score: number,
): void {
  if (options.verbosity > 2) {
    const title = `${when} coefficients:`.padEnd(when === 'Final' ? 21 : 0);
    world.out(`${title} overall ${fixed(score, 8)}\n${metricTable(table, group.nodes)}`);
  } else {
    world.out(`${when} score: ${fixed(score, 8)}\n`);
  }
}

/** What no instance has, of all nodes. */
function resources(table: Table, nodes: readonly number[]): string {
  const memory = nodes.reduce((sum, node) => sum + unallocatedMemory(table, node), 0);
  const disk = nodes.reduce((sum, node) => sum + table.state[node * STRIDE + FREE_DISK]!, 0);
  return `mem=${memory} disk=${disk}`;
}

/** Balances, and prints each step when it is found; after a search, when all are. */
function balanceAloud(
  options: CommonOptions,
  world: World,
  table: Table,
  group: Group,
  loaded: Loaded,
  aliases: Aliases,
): readonly Step[] {
  const width = Math.max(0, ...group.instances.map((at) => aliases.instances[at]!.length));
  const node_width = Math.max(0, ...group.nodes.map((at) => aliases.nodes[at]!.length));
  const steps: Step[] = [];
  for (const step of stepsOf(options, world, table, group, balanceOptions(options, loaded))) {
    steps.push(step);
    const nodeName = (node: number): string => aliases.nodes[node]!;
    const pair = (primary: number, secondary: number): string =>
      secondary < 0 ? nodeName(primary) : `${nodeName(primary)}:${nodeName(secondary)}`;
    const from = pair(step.old_primary, step.old_secondary).padEnd(2 * node_width + 1);
    const to = pair(step.primary, step.secondary).padEnd(2 * node_width + 1);
    const number = String(steps.length).padStart(3);
    const name = aliases.instances[step.instance]!.padEnd(width);
    const score = fixed(step.score, 8).padStart(12);
    world.out(`  ${number}. ${name} ${from} => ${to} ${score} a=${moveText(step, nodeName)}\n`);
  }
  return steps;
}

function stepsOf(
  { search_s, verbosity }: CommonOptions,
  world: World,
  table: Table,
  { nodes }: Group,
  rules: BalanceOptions,
): Iterable<Step> {
  if (search_s === null) return balance(table, nodes, rules);
  const time = { now_ms: () => world.now_ms(), budget_ms: search_s * 1000, seed: 1 };
  const { steps, greedy_score, greedy_steps } = searchBalance(table, nodes, rules, time);
  if (verbosity >= 1) {
    world.out(`Without a search: ${fixed(greedy_score, 8)} after ${greedy_steps} moves\n`);
  }
  return steps;
}

/** What a command line says of how to balance. */
export function balanceOptions(options: CommonOptions, { fixed: stay }: Loaded): BalanceOptions {
  return {
    disk_moves: options.disk_moves,
    instance_moves: options.instance_moves,
    restricted_migration: options.restricted_migration,
    ignore_soft_errors: options.ignore_soft_errors,
    max_moves: options.max_length,
    min_score: options.min_score,
    min_gain: options.min_gain,
    min_gain_limit: options.min_gain_limit,
    evacuate: options.evacuate,
    fixed: stay,
  };
}

/** What the file of commands begins with. */
const script_head = `#!/bin/sh

# Auto-generated script for executing cluster rebalancing

# To stop, touch the file /tmp/stop-htools

set -e

check() {
  if [ -f /tmp/stop-htools ]; then
    echo 'Stop requested, exiting'
    exit 0
  fi
}

`;

function writeCommands(
  options: CommonOptions,
  world: World,
  { cluster, rules }: Table,
  aliases: Aliases,
  steps: readonly Step[],
): void {
  if (options.print_commands === null) return;
  const all = splitJobsets(steps, rules?.rules ?? null);
  const sets = options.first_job_group ? all.slice(0, 1) : all;
  const lines = sets.flatMap((set, at) => [
    '',
    `echo jobset ${at + 1}, ${set.length} jobs`,
    ...set.flatMap((step, place) => [
      `  echo job ${at + 1}/${place + 1}`,
      '  check',
      ...moveCommands(
        step,
        cluster.instances[step.instance]!.status,
        aliases.instances[step.instance]!,
        (node) => aliases.nodes[node]!,
      ).map((command) => `  gnt-instance ${command}`),
    ]),
  ]);
  if (options.print_commands === '-') {
    const title = options.first_job_group
      ? 'First set of jobs:'
      : 'Commands to run to reach the above solution:';
    const shown = lines.filter((line) => line !== '  check').map((line) => `  ${line}\n`);
    world.out(`\n${title}\n${shown.join('')}`);
    return;
  }
  world.writeFile(options.print_commands, script_head + lines.map((line) => `${line}\n`).join(''));
  world.out(`The commands have been written to file '${options.print_commands}'\n`);
}

function saveCluster(
  options: CommonOptions,
  world: World,
  extension: string,
  when: string,
  cluster: PlacementCluster,
): void {
  if (options.save === null) return;
  const path = `${options.save}.${extension}`;
  world.writeFile(path, formatTextCluster(cluster));
  world.err(`The cluster state ${when} has been written to file '${path}'\n`);
}

/** With six digits after the point; with an exponent below 0.1 and from 10,000,000 on. */
function general(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= 0.1 && size < 1e7)) return fixed(value, 6);
  return value.toExponential(6).replace('e+', 'e');
}
