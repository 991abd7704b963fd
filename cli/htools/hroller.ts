/** hroller: which nodes can be rebooted together, and where their instances go meanwhile. */
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { colourClasses, colourCount } from '../../src/placement/graph-colour.ts';
import type { RebootGraph } from '../../src/placement/reboot-graph.ts';
import {
  type NamedColouring,
  type RebootFailure,
  type RebootGroup,
  rebootGroups,
} from '../../src/placement/reboot-groups.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import type { OptionSpec } from './getopt.ts';
import { loadCluster, openTable, rulesOf } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, listOf, optionsOf } from './options.ts';
import { Failure, type Program, type World } from './program.ts';

export interface HrollerOptions extends CommonOptions {
  readonly offline_maintenance: boolean;
  readonly headers: boolean;
  readonly node_tags: readonly string[] | null;
  readonly print_moves: boolean;
  readonly full_evacuation: boolean;
  readonly skip_non_redundant: boolean;
  readonly ignore_non_redundant: boolean;
  readonly force: boolean;
  readonly one_step_only: boolean;
}

function flag(long: string, help: string, changes: Partial<HrollerOptions>): OptionSpec<HrollerOptions> {
  return { kind: 'flag', long, help, completion: 'none', apply: (options) => ({ ...options, ...changes }) };
}

const node_tags: OptionSpec<HrollerOptions> = {
  kind: 'required',
  long: 'node-tags',
  value: 'TAG,...',
  help: 'Restrict to nodes with the given tags',
  completion: 'string',
  apply: (options, value) => ({ ...options, node_tags: listOf(value) }),
};

export const hroller: Program<HrollerOptions> = {
  name: 'hroller',
  options: [
    ...optionsOf<HrollerOptions>([
      option.luxi,
      option.rapi_master,
      option.text_data,
      option.iallocator_source,
      option.offline_node,
    ]),
    flag(
      'offline-maintenance',
      'Schedule offline maintenance, i.e., pretend that all instance are offline.',
      {
        offline_maintenance: true,
      },
    ),
    ...optionsOf<HrollerOptions>([option.verbose, option.quiet]),
    flag('no-headers', 'do not show a header line', { headers: false }),
    node_tags,
    ...optionsOf<HrollerOptions>([option.save, option.group]),
    flag('print-moves', 'print the moves of the instances', { print_moves: true }),
    flag('full-evacuation', 'fully evacuate the nodes to be rebooted', { full_evacuation: true }),
    flag('skip-non-redundant', 'Skip nodes that host a non-redundant instance', { skip_non_redundant: true }),
    flag('ignore-non-redundant', 'Pretend that there are no non-redundant instances in the cluster', {
      ignore_non_redundant: true,
    }),
    {
      ...flag('force', 'force the execution of this program, even if warnings would otherwise prevent it', {
        force: true,
      }),
      short: 'f',
    },
    flag('one-step-only', 'Only do the first step', { one_step_only: true }),
    ...optionsOf<HrollerOptions>([option.static_kvm_node_memory]),
  ],
  defaults: {
    ...common_defaults,
    offline_maintenance: false,
    headers: true,
    node_tags: null,
    print_moves: false,
    full_evacuation: false,
    skip_non_redundant: false,
    ignore_non_redundant: false,
    force: false,
    one_step_only: false,
  },
  argument_completion: [],
  arguments: 0,
  run,
};

const failures: Readonly<Record<RebootFailure, string>> = {
  'no-nodes': 'Cannot create node graph',
  'non-redundant': 'Not enough capacity to move non-redundant instances',
  migrate: 'Failed to migrate instances off nodes',
  secondaries: 'Not enough capacity to move secondaries',
};

async function run(options: HrollerOptions, world: World): Promise<number> {
  const { cluster } = await loadCluster(options, world);
  checkMaster(options, world, cluster);
  const table = openTable(cluster, options, null);
  saveOriginal(options, world, cluster);
  const found = rebootGroups(table, {
    group: wantedGroup(options, cluster),
    node_tags: options.node_tags,
    offline_maintenance: options.offline_maintenance,
    full_evacuation: options.full_evacuation,
    non_redundant: options.skip_non_redundant ? 'skip' : options.ignore_non_redundant ? 'ignore' : 'move',
    rules: rulesOf(world, cluster),
  });
  if (options.verbosity > 2 && found.graph !== null) world.out(`Node Graph: ${shownGraph(found.graph)}\n`);
  if ('failure' in found) throw new Failure(failures[found.failure]);
  if (options.verbosity > 1) world.out(`${shownColourings(found.colourings)}\n`);
  if (options.headers) {
    world.out(options.one_step_only ? "'First Reboot Group'\n" : "'Node Reboot Groups'\n");
  }
  const shown = options.one_step_only ? found.groups.slice(0, 1) : found.groups;
  world.out(shown.map((group) => shownGroup(options, cluster, group)).join(''));
  return 0;
}

function checkMaster(options: HrollerOptions, world: World, cluster: PlacementCluster): void {
  const masters = cluster.nodes.filter(({ master }) => master).map(({ name }) => name);
  if (masters.length > 1) throw new Failure(`Found more than one master node: ${JSON.stringify(masters)}`);
  if (masters.length === 1) return;
  const text = 'No master node found (maybe not supported by backend).';
  if (!options.force) throw new Failure(text);
  world.err(`Warning: ${text}\n`);
}

function saveOriginal(options: HrollerOptions, world: World, cluster: PlacementCluster): void {
  if (options.save === null) return;
  const path = `${options.save}.original`;
  world.writeFile(path, formatTextCluster(cluster));
  world.err(`The cluster state before hroller run has been written to file '${path}'\n`);
}

function wantedGroup(options: HrollerOptions, { groups }: PlacementCluster): number | null {
  if (options.group === null) return null;
  const at = groups.findIndex(({ name, uuid }) => name === options.group || uuid === options.group);
  if (at < 0) throw new Failure('Cannot find target group.');
  return at;
}

function shownGroup(
  options: HrollerOptions,
  { nodes, instances }: PlacementCluster,
  group: RebootGroup,
): string {
  const names = group.nodes.map((node) => nodes[node]!.name);
  const moves = group.moves.map(({ instance, primary, secondary }) => {
    const where = secondary < 0 ? '' : ` ${nodes[secondary]!.name}`;
    return `  ${instances[instance]!.name} ${nodes[primary]!.name}${where}\n`;
  });
  const head = options.one_step_only ? names.join('\n') : names.join(',');
  return `${head}\n${options.print_moves ? moves.join('') : ''}`;
}

/** As a Haskell array of lists, the latest edge first. */
function shownGraph({ graph, first }: RebootGraph): string {
  const rows = Array.from({ length: graph.size }, (_, vertex) => {
    const edges = graph.neighbours.subarray(graph.start[vertex]!, graph.start[vertex + 1]!);
    return `(${vertex + first},[${Array.from(edges, (other) => other + first)
      .reverse()
      .join(',')}])`;
  });
  return `array (${first},${first + graph.size - 1}) [${rows.join(',')}]`;
}

/** The best first, and of those with as many colours the last tried first. */
function shownColourings(colourings: readonly NamedColouring[]): string {
  const best_first = colourings.toSorted((a, b) => colourCount(b.colours) - colourCount(a.colours)).reverse();
  let text = '';
  let before = 0;
  for (const { name, colours } of best_first) {
    const sizes = colourClasses(colours).map((vertices) => vertices.length);
    const verdict = text === '' ? '' : sizes.length === before ? ' TIE ' : ' LOOSE ';
    text += `${verdict}${name}: ${sizes.length} (${sizes.join(',')})`;
    before = sizes.length;
  }
  return text;
}
