/**
 * hail: reads an IAllocator request and prints the answer. The exit status is 0 also where nothing was found: the answer
 * says so; 1 where the request or the cluster makes no sense.
 */
import { goesByLostAllocations, runAllocator } from '../../src/placement/allocator.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { currentCluster } from '../../src/placement/current-cluster.ts';
import { formatAnswer } from '../../src/placement/iallocator-answer.ts';
import {
  type AllocatorInput,
  type AllocatorInputOptions,
  parseAllocatorInput,
} from '../../src/placement/iallocator-format.ts';
import { inconsistencies } from '../../src/placement/inconsistencies.ts';
import { InputError } from '../../src/placement/input-error.ts';
import { buildTable, type Table } from '../../src/placement/table.ts';
import { aliasesOf, loadCluster, warn } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, listOf, optionsOf } from './options.ts';
import { listsOf, type NodeLists, nodeLists, printNodes, saveCluster } from './print.ts';
import { Failure, fileReason, type Program, type World } from './program.ts';

interface HailOptions extends CommonOptions {
  readonly restrict_to: readonly string[] | null;
}

export const hail: Program<HailOptions> = {
  name: 'hail',
  options: [
    ...optionsOf<HailOptions>([
      option.print_nodes,
      option.save,
      option.text_data,
      option.simulate,
      option.verbose,
      option.ignore_utilisation,
      option.ignore_soft_errors,
      option.no_capacity_checks,
    ]),
    {
      kind: 'required',
      long: 'restrict-allocation-to',
      value: 'NODE,...',
      help: 'Restrict allocations to the given set of nodes',
      completion: 'manynodes',
      apply: (options, value) => ({ ...options, restrict_to: listOf(value) }),
    },
    ...optionsOf<HailOptions>([option.mond, option.mond_xen, option.static_kvm_node_memory]),
  ],
  defaults: { ...common_defaults, restrict_to: null },
  argument_completion: ['file 1 1'],
  arguments: Number.POSITIVE_INFINITY,
  run,
};

async function run(options: HailOptions, world: World, files: readonly string[]): Promise<number> {
  const [file, ...more] = files;
  if (file === undefined) throw new Failure('This program needs an input file.');
  if (more.length > 0) throw new Failure('Only one argument is accepted (the input file)');
  const input = await readInput(options, world, file);
  const { cluster } = input;
  // A cluster may have it among its allocator's parameters: not a reason to place nothing.
  if (options.mond) world.err("Skein has no monitoring daemons: cpu-avg-load's data will be ignored.\n");
  describe(options, world, input);
  const nodes = [...cluster.nodes.keys()];
  const show = (title: string, table: Table, lists: NodeLists): void =>
    printNodes(world, title, table, nodes, lists, aliasesOf(cluster).nodes, options.print_nodes);
  // It runs many times a minute: what nobody has asked to see is not made.
  if (options.print_nodes !== null) {
    const before = buildTable(cluster);
    show('Initial cluster', before, nodeLists(before));
  }
  saveCluster(world, options.save, 'pre-ialloc', 'before iallocator run', () => cluster);
  const { answer, table, instances } = runAllocator(input, {
    ignore_soft_errors: options.ignore_soft_errors,
    capacity_checks: options.capacity_checks,
    restrict_to: options.restrict_to,
  });
  world.out(`${formatAnswer(answer)}\n`);
  if (options.print_nodes !== null) show('Final cluster', table, listsOf(nodes.length, instances));
  saveCluster(world, options.save, 'post-ialloc', 'after iallocator run', () => ({
    ...currentCluster(table, nodes, []),
    instances,
  }));
  return 0;
}

/** The request; and the cluster that it brings, or that of another source if the command line names one. */
async function readInput(options: HailOptions, world: World, file: string): Promise<AllocatorInput> {
  let text: string;
  try {
    text = world.readFile(file);
  } catch (error) {
    throw new Failure(`${file}: ${fileReason(error)}`);
  }
  const input = parse(text, { kvm_node_memory_mib: options.static_kvm_node_memory_mib });
  warn(world, inconsistencies(input.cluster));
  if (options.text_file === null && options.simulate.length === 0) return input;
  const { cluster } = await loadCluster({ ...options, mond: false }, world);
  return parse(text, { cluster });
}

function parse(text: string, options: AllocatorInputOptions): AllocatorInput {
  try {
    return parseAllocatorInput(text, options);
  } catch (error) {
    if (error instanceof InputError) throw new Failure(error.message);
    throw error;
  }
}

function describe(options: HailOptions, world: World, { cluster, request }: AllocatorInput): void {
  if (options.verbosity > 1) world.err(`Received request: ${JSON.stringify(request)}\n`);
  if (options.verbosity > 2) world.err(`Received cluster data: ${clusterText(cluster)}\n`);
  if (options.verbosity > 1 && goesByLostAllocations({ cluster, request })) {
    world.err('Allocation on a dedicated cluster; using lost-allocations metrics.\n');
  }
}

/** In the words of the original, so far as anybody looks for them. */
function clusterText({ groups, nodes, instances }: PlacementCluster): string {
  const shown = instances.map(({ name, status, memory_mib }) => {
    const state =
      status === 'ADMIN_down' ? 'StatusDown' : status === 'ADMIN_offline' ? 'StatusOffline' : 'Running';
    return `Instance {name = ${JSON.stringify(name)}, mem = ${memory_mib}, runSt = ${state}}`;
  });
  return `${groups.length} groups, ${nodes.length} nodes, [${shown.join(',')}]`;
}
