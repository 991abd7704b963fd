/**
 * `hail`: reads an IAllocator request and prints the answer. Exit code 0 also where nothing was found: the answer says
 * so; 1 where the request or the cluster makes no sense.
 */
import { runAllocator } from '../../src/placement/allocator.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { formatAnswer } from '../../src/placement/iallocator-answer.ts';
import {
  type AllocatorInput,
  type AllocatorInputOptions,
  parseAllocatorInput,
} from '../../src/placement/iallocator-format.ts';
import { settledCluster } from '../../src/placement/settled-cluster.ts';
import { buildTable } from '../../src/placement/table.ts';
import {
  type CommonSettings,
  common_defaults,
  commonOptions,
  htools_version,
  yesOrNo,
} from './common-options.ts';
import { type OptionSpec, type Program, parseCommandLine } from './getopt.ts';
import { loadCluster, warnOfMissingFigures } from './load-cluster.ts';
import { maybeListNodes, maybeSave } from './report-cluster.ts';
import { reasonOf, runTool, ToolError, type ToolIo } from './tool-io.ts';

interface HailSettings extends CommonSettings {
  readonly ignore_soft_errors: boolean;
  readonly restrict_to: readonly string[] | null;
  readonly mond: boolean;
}

const common = commonOptions<HailSettings>();

const options: readonly OptionSpec<HailSettings>[] = [
  common.print_nodes,
  common.save,
  common.text_file,
  common.simulate,
  common.verbose,
  {
    kind: 'flag',
    long: 'ignore-dynu',
    help: 'Ignore any dynamic utilisation information',
    completion: 'none',
    // A request has none.
    apply: (settings) => settings,
  },
  {
    kind: 'flag',
    long: 'ignore-soft-errors',
    help: 'Ignore any soft restrictions in balancing',
    completion: 'none',
    apply: (settings) => ({ ...settings, ignore_soft_errors: true }),
  },
  common.capacity_checks,
  {
    kind: 'required',
    long: 'restrict-allocation-to',
    value: 'NODE,...',
    help: 'Restrict allocations to the given set of nodes',
    completion: 'manynodes',
    apply: (settings, value) => ({ ...settings, restrict_to: value.split(',') }),
  },
  {
    kind: 'optional',
    long: 'mond',
    value: 'CHOICE',
    help: "pass either 'yes' or 'no' to query all monDs",
    completion: 'choices=yes,no',
    apply: (settings, value) => ({ ...settings, mond: yesOrNo(value) }),
  },
  {
    kind: 'flag',
    long: 'mond-xen',
    help: 'also consider xen-specific collectors in MonD queries',
    completion: 'none',
    apply: (settings) => settings,
  },
  common.kvm_node_memory_mib,
];

const program: Program<HailSettings> = {
  name: 'hail',
  version: htools_version,
  options,
  defaults: { ...common_defaults, ignore_soft_errors: false, restrict_to: null, mond: false },
  argument_completion: ['file 1 1'],
};

/** @returns the exit code */
export function runHail(line: readonly string[], io: ToolIo): number {
  const parsed = parseCommandLine(program, line);
  if (parsed.done) {
    io.out(parsed.output);
    io.err(parsed.error);
    return parsed.exit;
  }
  return runTool(io, () => answer(io, parsed.settings, parsed.arguments));
}

function answer(io: ToolIo, settings: HailSettings, files: readonly string[]): number {
  const [file, ...more] = files;
  if (file === undefined) throw new ToolError('Error: This program needs an input file.');
  if (more.length > 0) throw new ToolError('Error: Only one argument is accepted (the input file)');
  const input = readInput(io, settings, file);
  const { verbose, print_nodes, save } = settings;
  if (settings.mond) {
    io.err('MonDs are not asked yet: what they know of CPU load is ignored.\n');
  }
  if (verbose > 1) io.err(`Received request: ${JSON.stringify(input.request)}\n`);
  if (verbose > 2) io.err(`Received cluster data: ${describeCluster(input.cluster)}\n`);
  maybeListNodes(io, print_nodes, 'Initial cluster', buildTable(input.cluster));
  maybeSave(io, save, 'pre-ialloc', 'before iallocator run', () => input.cluster);
  const outcome = runAllocator(input, {
    ignore_soft_errors: settings.ignore_soft_errors,
    capacity_checks: settings.capacity_checks,
    restrict_to: settings.restrict_to,
    like_htools: true,
  });
  if (verbose > 1 && outcome.dedicated) {
    io.err('Allocation on a dedicated cluster; using lost-allocations metrics.\n');
  }
  io.out(`${formatAnswer(outcome.answer)}\n`);
  maybeListNodes(io, print_nodes, 'Final cluster', outcome.table);
  maybeSave(io, save, 'post-ialloc', 'after iallocator run', () =>
    settledCluster(outcome.table, outcome.instances),
  );
  return 0;
}

function readInput(io: ToolIo, settings: HailSettings, file: string): AllocatorInput {
  let text: string;
  try {
    text = io.read(file);
  } catch (error) {
    throw new ToolError(`hail: ${reasonOf(error, file)}`);
  }
  const in_message = parse(text, { kvm_node_memory_mib: settings.kvm_node_memory_mib });
  warnOfMissingFigures(io, in_message.cluster);
  if (settings.text_file === null && settings.simulate.length === 0) return in_message;
  return parse(text, { cluster: loadCluster(io, settings) });
}

function parse(text: string, parse_options: AllocatorInputOptions): AllocatorInput {
  try {
    return parseAllocatorInput(text, parse_options);
  } catch (error) {
    throw new ToolError(`Error: ${reasonOf(error, '')}`);
  }
}

/** In the words of the original, so far as anybody looks for them. */
function describeCluster(cluster: PlacementCluster): string {
  const instances = cluster.instances.map(({ name, status, memory_mib }) => {
    const state =
      status === 'ADMIN_down' ? 'StatusDown' : status === 'ADMIN_offline' ? 'StatusOffline' : 'Running';
    return `Instance {name = ${JSON.stringify(name)}, mem = ${memory_mib}, runSt = ${state}}`;
  });
  return `${cluster.groups.length} groups, ${cluster.nodes.length} nodes, [${instances.join(',')}]`;
}
