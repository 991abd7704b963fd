/**
 * `hspace`: how many more instances a cluster holds, for people or (`--machine-readable`) as a shell fragment of HTS_
 * keys whose last one is HTS_OK; without it the figures are not to be relied on.
 */
import type { InstanceSize } from '../../src/placement/capacity.ts';
import type { DiskTemplate, PlacementCluster, PlacementInstance } from '../../src/placement/cluster.ts';
import {
  type CapacityResult,
  type ClusterCapacity,
  measureCapacity,
} from '../../src/placement/cluster-capacity.ts';
import { clusterStats } from '../../src/placement/cluster-stats.ts';
import { fixed } from '../../src/placement/decimal.ts';
import { listMetrics } from '../../src/placement/metric-list.ts';
import { disk_templates, known } from '../../src/placement/names.ts';
import { settledCluster, settledInstances } from '../../src/placement/settled-cluster.ts';
import { clusterDomain } from '../../src/placement/short-names.ts';
import { buildTable } from '../../src/placement/table.ts';
import { formatTable } from '../../src/placement/text-table.ts';
import {
  type CommonSettings,
  common_defaults,
  commonOptions,
  decimalNumber,
  htools_version,
  sizeValue,
  wholeNumber,
  yesOrNo,
} from './common-options.ts';
import { BadValue, type OptionSpec, type Program, parseCommandLine } from './getopt.ts';
import {
  keyLines,
  type ReportStyle,
  reportCluster,
  reportSize,
  reportStandard,
  reportTiered,
  type Way,
} from './hspace-report.ts';
import { loadCluster } from './load-cluster.ts';
import { maybeListNodes, maybeSave } from './report-cluster.ts';
import { runTool, ToolError, type ToolIo } from './tool-io.ts';

interface HspaceSettings extends CommonSettings {
  readonly template: DiskTemplate | null;
  readonly spindle_use: number | null;
  readonly rapi: string | null;
  readonly luxi: string | null;
  readonly allocator_file: string | null;
  readonly independent_groups: boolean;
  readonly accept_existing: boolean;
  readonly offline: readonly string[];
  readonly machine: boolean;
  readonly max_cpu: number | null;
  readonly limit: number;
  readonly min_disk: number;
  readonly standard: InstanceSize | null;
  readonly tiered: InstanceSize | null;
}

const no_limit = -1;
const common = commonOptions<HspaceSettings>();

const options: readonly OptionSpec<HspaceSettings>[] = [
  common.print_nodes,
  common.text_file,
  {
    kind: 'required',
    long: 'disk-template',
    value: 'TEMPLATE',
    help: 'select the desired disk template',
    completion: 'choices=diskless,file,sharedfile,plain,blockdev,drbd,rbd,ext,gluster',
    apply: (settings, value) => ({ ...settings, template: parseTemplate(value) }),
  },
  {
    kind: 'required',
    long: 'spindle-use',
    value: 'SPINDLES',
    help: 'select how many virtual spindle instances use [default read from cluster]',
    completion: 'float',
    apply: (settings, value) => ({ ...settings, spindle_use: parseSpindleUse(value) }),
  },
  common.simulate,
  {
    kind: 'required',
    short: 'm',
    long: 'master',
    value: 'ADDRESS',
    help: 'collect data via RAPI at the given ADDRESS',
    completion: 'host',
    apply: (settings, rapi) => ({ ...settings, rapi }),
  },
  {
    kind: 'optional',
    short: 'L',
    long: 'luxi',
    value: 'SOCKET',
    help: 'collect data via Luxi, optionally using the given SOCKET path [/var/run/ganeti/socket/ganeti-query]',
    completion: 'file',
    apply: (settings, value) => ({ ...settings, luxi: value ?? '/var/run/ganeti/socket/ganeti-query' }),
  },
  {
    kind: 'required',
    short: 'I',
    long: 'ialloc-src',
    value: 'FILE',
    help: 'Specify an iallocator spec as the cluster data source',
    completion: 'file',
    apply: (settings, allocator_file) => ({ ...settings, allocator_file }),
  },
  common.verbose,
  common.quiet,
  {
    kind: 'flag',
    long: 'independent-groups',
    help: 'Consider groups independently',
    completion: 'none',
    apply: (settings) => ({ ...settings, independent_groups: true }),
  },
  {
    kind: 'flag',
    long: 'accept-existing-errors',
    help: "Accept existing N+1 violations; just don't add new ones",
    completion: 'none',
    apply: (settings) => ({ ...settings, accept_existing: true }),
  },
  {
    kind: 'required',
    short: 'O',
    long: 'offline',
    value: 'NODE',
    help: 'set node as offline',
    completion: 'onenode',
    apply: (settings, node) => ({ ...settings, offline: [node, ...settings.offline] }),
  },
  common.capacity_checks,
  {
    kind: 'optional',
    long: 'machine-readable',
    value: 'CHOICE',
    help: "enable machine readable output (pass either 'yes' or 'no' to explicitly control the flag, or without an argument defaults to yes)",
    completion: 'choices=yes,no',
    apply: (settings, value) => ({ ...settings, machine: yesOrNo(value) }),
  },
  {
    kind: 'required',
    long: 'max-cpu',
    value: 'RATIO',
    help: 'maximum virtual-to-physical cpu ratio for nodes (from 0 upwards) [default read from cluster]',
    completion: 'float',
    apply: (settings, value) => ({ ...settings, max_cpu: parseMaxCpu(value) }),
  },
  {
    kind: 'required',
    short: 'l',
    long: 'max-length',
    value: 'N',
    help: 'cap the solution at this many balancing or allocation rounds (useful for very unbalanced clusters or empty clusters)',
    completion: 'integer',
    apply: (settings, value) => ({ ...settings, limit: wholeNumber('max solution length', value) }),
  },
  {
    kind: 'required',
    long: 'min-disk',
    value: 'RATIO',
    help: 'minimum free disk space for nodes (between 0 and 1) [0]',
    completion: 'float',
    apply: (settings, value) => ({ ...settings, min_disk: decimalNumber('min free disk space', value) }),
  },
  {
    kind: 'required',
    long: 'standard-alloc',
    value: 'STDSPEC',
    help: "enable standard specs allocation, given as 'disk,ram,cpu'",
    completion: 'string',
    apply: (settings, value) => ({ ...settings, standard: parseSpec('standard', value) }),
  },
  {
    kind: 'required',
    long: 'tiered-alloc',
    value: 'TSPEC',
    help: "enable tiered specs allocation, given as 'disk,ram,cpu'",
    completion: 'string',
    apply: (settings, value) => ({ ...settings, tiered: parseSpec('tiered', value) }),
  },
  common.save,
  common.kvm_node_memory_mib,
];

const program: Program<HspaceSettings> = {
  name: 'hspace',
  version: htools_version,
  options,
  defaults: {
    ...common_defaults,
    template: null,
    spindle_use: null,
    rapi: null,
    luxi: null,
    allocator_file: null,
    independent_groups: false,
    accept_existing: false,
    offline: [],
    machine: false,
    max_cpu: null,
    limit: no_limit,
    min_disk: 0,
    standard: null,
    tiered: null,
  },
  argument_completion: [],
};

function parseTemplate(text: string): DiskTemplate {
  const template = known(disk_templates, text);
  if (template !== undefined) return template;
  throw new BadValue(`Invalid string value for type DiskTemplate: ${JSON.stringify(text)}`);
}

function parseSpindleUse(text: string): number {
  const value = wholeNumber('parsing spindle-use', text);
  if (value < 0) throw new BadValue('Invalid value of the spindle-use (expected >= 0)');
  return value;
}

function parseMaxCpu(text: string): number {
  const value = decimalNumber('parsing max-cpu', text);
  if (value <= 0) throw new BadValue('Invalid value of the max-cpu ratio, expected >0');
  return value;
}

/** Spindles do not matter where storage is not exclusive, so they may be left out. */
function parseSpec(what: string, text: string): InstanceSize {
  const [disk = '', memory = '', cpus = '', spindles = '1', ...more] = text.split(',');
  if (cpus === '' || more.length > 0) {
    throw new BadValue(`Invalid ${what} specification: '${text}', expected disk,ram,cpu`);
  }
  return {
    disk_mib: sizeValue(`${what} specs disk`, disk),
    memory_mib: sizeValue(`${what} specs memory`, memory),
    vcpus: wholeNumber(`${what} specs cpus`, cpus),
    spindles: wholeNumber(`${what} specs spindles`, spindles),
  };
}

/** @returns the exit code */
export function runHspace(line: readonly string[], io: ToolIo): number {
  const parsed = parseCommandLine(program, line);
  if (parsed.done) {
    io.out(parsed.output);
    io.err(parsed.error);
    return parsed.exit;
  }
  return runTool(io, () => {
    if (parsed.arguments.length > 0) throw new ToolError("Error: This program doesn't take any arguments.");
    return measure(io, parsed.settings);
  });
}

function measure(io: ToolIo, settings: HspaceSettings): number {
  const { verbose, machine, print_nodes } = settings;
  const cluster = loadCluster(io, settings);
  const request = {
    ...settings,
    offline: nodesNamed(cluster, settings.offline),
    limit: settings.limit === no_limit ? null : Math.max(0, settings.limit),
  };
  const capacity = measureCapacity(cluster, request);
  const domain = clusterDomain(cluster);
  if (domain !== '' && verbose > 1) io.err(`Note: Stripping common suffix of '${domain}' from names\n`);
  const table = typeof capacity === 'string' ? buildTable(cluster, request) : capacity.table;
  const before = clusterStats(table);
  const style: ReportStyle = { machine, exclusive: cluster.nodes.some((node) => node.exclusive_storage) };
  maybeListNodes(io, print_nodes, 'Initial cluster', table);
  if (verbose > 2) {
    const nodes = cluster.nodes.map((_, node) => node);
    io.err(`Initial coefficients: overall ${fixed(before.score, 8)}\n${listMetrics(table, nodes, '  ')}`);
  }
  io.out(reportCluster(style, before, cluster.nodes.length));
  if (typeof capacity === 'string') throw new ToolError(`Error: ${capacity}`);
  if (verbose > 3) explainCandidates(io, cluster, capacity);
  const run = (way: Way, result: CapacityResult): void => {
    io.out(reportSize(style, way, result.size, capacity.template));
    explainResult(io, settings, way, result, capacity.template, style.exclusive);
  };
  run('tiered', capacity.tiered);
  io.out(reportTiered(style, before, clusterStats(capacity.tiered.table), capacity.tiered));
  run('standard', capacity.standard);
  const after = clusterStats(capacity.standard.table);
  io.out(reportStandard(style, before, after, capacity.standard, cluster.instances.length));
  if (machine) io.out(keyLines([['OK', '1']]));
  return 0;
}

/** By their names, or by the beginning of one, up to a dot. */
function nodesNamed(cluster: PlacementCluster, names: readonly string[]): ReadonlySet<number> {
  const wrong: string[] = [];
  const found = names.flatMap((name) => {
    const exact = cluster.nodes.findIndex((node) => node.name === name);
    if (exact !== -1) return [exact];
    const partial = cluster.nodes.flatMap((node, at) => (node.name.startsWith(`${name}.`) ? [at] : []));
    if (partial.length !== 1) wrong.push(name);
    return partial;
  });
  if (wrong.length > 0) {
    throw new ToolError(`Error: wrong node name(s) set as offline: ${wrong.join(',')}\n`);
  }
  return new Set(found);
}

function explainCandidates(io: ToolIo, cluster: PlacementCluster, capacity: ClusterCapacity): void {
  const { bad_nodes, bad_groups, candidates } = capacity;
  const names = (all: readonly string[]): string => `[${all.map((name) => JSON.stringify(name)).join(',')}]`;
  if (bad_nodes.length > 0)
    io.err(`Bad nodes: ${names(bad_nodes.map((node) => cluster.nodes[node]!.name))}\n`);
  if (bad_groups.length > 0) {
    io.err(`Bad groups: ${names(bad_groups.map((group) => cluster.groups[group]!.name))}\n`);
  }
  const { primaries, secondariesOf } = candidates;
  const shown =
    secondariesOf === null
      ? `Left [${primaries.join(',')}]`
      : `Right [${primaries.map((node) => `(${node},[${secondariesOf(node).join(',')}])`).join(',')}]`;
  io.err(`Allocatable nodes: ${shown}\n`);
}

function explainResult(
  io: ToolIo,
  { verbose, print_nodes, save }: HspaceSettings,
  way: Way,
  result: CapacityResult,
  template: DiskTemplate,
  exclusive: boolean,
): void {
  const { table, placed } = result;
  const description = `${way === 'tiered' ? 'Tiered' : 'Standard'} allocation`;
  if (verbose > 1) {
    const rows = placedRows(result, exclusive);
    const lines = formatTable(rows, [false, false, false, true, true, true, true]);
    io.err(`${description} map\n${lines.map((line) => ` ${line}\n`).join('')}`);
  }
  maybeListNodes(io, print_nodes, description, table, placed);
  maybeSave(io, save, way, `after ${description.toLowerCase()}`, () =>
    settledCluster(table, [...settledInstances(table), ...placedInstances(result, template)]),
  );
}

function placedRows({ table, placed }: CapacityResult, exclusive: boolean): readonly (readonly string[])[] {
  const nameOf = (node: number): string => table.cluster.nodes[node]?.name ?? '';
  return placed.map(({ size, primary, secondary }, at) => [
    `new-${at}`,
    nameOf(primary),
    nameOf(secondary),
    String(size.memory_mib),
    String(size.disk_mib),
    String(size.vcpus),
    exclusive ? String(size.spindles) : '',
  ]);
}

/** As they are saved. */
function placedInstances(
  { placed, spindle_use }: CapacityResult,
  template: DiskTemplate,
): readonly PlacementInstance[] {
  return placed.map(({ size, primary, secondary }, at) => ({
    name: `new-${at}`,
    uuid: `new-${at}`,
    memory_mib: size.memory_mib,
    disk_mib: size.disk_mib,
    disks: [{ size_mib: size.disk_mib, spindles: size.spindles }],
    vcpus: size.vcpus,
    status: 'running',
    auto_balance: true,
    primary,
    secondary,
    template,
    tags: [],
    spindle_use,
    forthcoming: false,
    nic_count: 0,
    networks: [],
    utilisation: { cpu: 1, memory: 1, disk: 1, net: 1 },
  }));
}
