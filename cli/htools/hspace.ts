/**
 * hspace: how many more instances a cluster holds, for people or (`--machine-readable`) as a shell fragment of HTS_ keys
 * whose last one is HTS_OK; without it the figures are not to be relied on.
 */
import type { InstanceSize } from '../../src/placement/capacity.ts';
import type { DiskTemplate, PlacementInstance } from '../../src/placement/cluster.ts';
import {
  type CapacityResult,
  type ClusterCapacity,
  measureCapacity,
} from '../../src/placement/cluster-capacity.ts';
import { clusterStats } from '../../src/placement/cluster-stats.ts';
import { currentCluster } from '../../src/placement/current-cluster.ts';
import { fixed } from '../../src/placement/decimal.ts';
import { InputError } from '../../src/placement/input-error.ts';
import { disk_templates, known } from '../../src/placement/names.ts';
import { parseSize } from '../../src/placement/size-units.ts';
import type { Table } from '../../src/placement/table.ts';
import { BadValue } from './getopt.ts';
import {
  type ReportStyle,
  reportCluster,
  reportSize,
  reportStandard,
  reportTiered,
  type Way,
} from './hspace-report.ts';
import { aliasesOf, loadCluster, openTable, rulesOf } from './load.ts';
import * as option from './options.ts';
import { type CommonOptions, common_defaults, integerOf, optionsOf } from './options.ts';
import { formatTable, listsOf, metricTable, nodeLists, printKeys, printNodes, saveCluster } from './print.ts';
import { Failure, type Program, type World } from './program.ts';

interface HspaceOptions extends CommonOptions {
  readonly template: DiskTemplate | null;
  readonly spindle_use: number | null;
  readonly independent_groups: boolean;
  readonly accept_existing: boolean;
  readonly standard: InstanceSize | null;
  readonly tiered: InstanceSize | null;
}

const no_limit = -1;

export const hspace: Program<HspaceOptions> = {
  name: 'hspace',
  options: [
    ...optionsOf<HspaceOptions>([option.print_nodes, option.text_data]),
    {
      kind: 'required',
      long: 'disk-template',
      value: 'TEMPLATE',
      help: 'select the desired disk template',
      completion: 'choices=diskless,file,sharedfile,plain,blockdev,drbd,rbd,ext,gluster',
      apply: (options, value) => ({ ...options, template: parseTemplate(value) }),
    },
    {
      kind: 'required',
      long: 'spindle-use',
      value: 'SPINDLES',
      help: 'select how many virtual spindle instances use [default read from cluster]',
      completion: 'float',
      apply: (options, value) => ({ ...options, spindle_use: parseSpindleUse(value) }),
    },
    ...optionsOf<HspaceOptions>([
      option.simulate,
      option.rapi_master,
      option.luxi,
      option.iallocator_source,
      option.verbose,
      option.quiet,
    ]),
    {
      kind: 'flag',
      long: 'independent-groups',
      help: 'Consider groups independently',
      completion: 'none',
      apply: (options) => ({ ...options, independent_groups: true }),
    },
    {
      kind: 'flag',
      long: 'accept-existing-errors',
      help: "Accept existing N+1 violations; just don't add new ones",
      completion: 'none',
      apply: (options) => ({ ...options, accept_existing: true }),
    },
    ...optionsOf<HspaceOptions>([
      option.offline_node,
      option.no_capacity_checks,
      option.machine_readable,
      option.max_cpu,
      option.max_length,
      option.min_disk,
    ]),
    {
      kind: 'required',
      long: 'standard-alloc',
      value: 'STDSPEC',
      help: "enable standard specs allocation, given as 'disk,ram,cpu'",
      completion: 'string',
      apply: (options, value) => ({ ...options, standard: parseSpec('standard', value) }),
    },
    {
      kind: 'required',
      long: 'tiered-alloc',
      value: 'TSPEC',
      help: "enable tiered specs allocation, given as 'disk,ram,cpu'",
      completion: 'string',
      apply: (options, value) => ({ ...options, tiered: parseSpec('tiered', value) }),
    },
    ...optionsOf<HspaceOptions>([option.save, option.static_kvm_node_memory]),
  ],
  defaults: {
    ...common_defaults,
    template: null,
    spindle_use: null,
    independent_groups: false,
    accept_existing: false,
    standard: null,
    tiered: null,
  },
  argument_completion: [],
  arguments: 0,
  run,
};

function parseTemplate(text: string): DiskTemplate {
  const template = known(disk_templates, text);
  if (template !== undefined) return template;
  throw new BadValue(`Invalid string value for type DiskTemplate: ${JSON.stringify(text)}`);
}

function parseSpindleUse(text: string): number {
  const value = integerOf('parsing spindle-use', text);
  if (value < 0) throw new BadValue('Invalid value of the spindle-use (expected >= 0)');
  return value;
}

/** Spindles do not matter where storage is not exclusive, so they may be left out. */
function parseSpec(what: string, text: string): InstanceSize {
  const [disk = '', memory = '', cpus = '', spindles = '1', ...more] = text.split(',');
  if (cpus === '' || more.length > 0) {
    throw new BadValue(`Invalid ${what} specification: '${text}', expected disk,ram,cpu`);
  }
  return {
    disk_mib: sizeOf(`${what} specs disk`, disk),
    memory_mib: sizeOf(`${what} specs memory`, memory),
    vcpus: integerOf(`${what} specs cpus`, cpus),
    spindles: integerOf(`${what} specs spindles`, spindles),
  };
}

function sizeOf(what: string, text: string): number {
  try {
    return parseSize(what, text);
  } catch (error) {
    throw error instanceof InputError ? new BadValue(error.message) : error;
  }
}

async function run(options: HspaceOptions, world: World): Promise<number> {
  const { verbosity, print_nodes } = options;
  const { cluster } = await loadCluster(options, world);
  const table = openTable(cluster, options, rulesOf(world, cluster));
  const capacity = measureCapacity(table, {
    template: options.template,
    spindle_use: options.spindle_use,
    standard: options.standard,
    tiered: options.tiered,
    limit: options.max_length === no_limit ? null : Math.max(0, options.max_length),
    independent_groups: options.independent_groups,
    accept_existing: options.accept_existing,
    capacity_checks: options.capacity_checks,
  });
  const { domain, nodes: aliases } = aliasesOf(cluster);
  if (domain !== '' && verbosity > 1) {
    world.err(`Note: Stripping common suffix of '${domain}' from names\n`);
  }
  const nodes = [...cluster.nodes.keys()];
  const before = clusterStats(table);
  const exclusive = cluster.nodes.some((node) => node.exclusive_storage);
  const style: ReportStyle = { machine: options.machine_readable, exclusive };
  printNodes(world, 'Initial cluster', table, nodes, nodeLists(table), aliases, print_nodes);
  if (verbosity > 2) {
    world.err(`Initial coefficients: overall ${fixed(before.score, 8)}\n${metricTable(table, nodes)}`);
  }
  world.out(reportCluster(style, before, nodes.length));
  if (typeof capacity === 'string') throw new Failure(capacity);
  if (verbosity > 3) explainCandidates(world, table, capacity);
  const report = (way: Way, result: CapacityResult): void => {
    world.out(reportSize(style, way, result.size, capacity.template));
    explainResult(options, world, way, result, capacity.template, aliases);
  };
  report('tiered', capacity.tiered);
  world.out(reportTiered(style, before, clusterStats(capacity.tiered.table), capacity.tiered));
  report('standard', capacity.standard);
  const after = clusterStats(capacity.standard.table);
  world.out(reportStandard(style, before, after, capacity.standard, cluster.instances.length));
  if (options.machine_readable) printKeys(world, 'HTS', [['OK', '1']]);
  return 0;
}

function explainCandidates(world: World, { cluster }: Table, capacity: ClusterCapacity): void {
  const { bad_nodes, bad_groups, candidates } = capacity;
  const names = (all: readonly string[]): string => `[${all.map((name) => JSON.stringify(name)).join(',')}]`;
  if (bad_nodes.length > 0) {
    world.err(`Bad nodes: ${names(bad_nodes.map((node) => cluster.nodes[node]!.name))}\n`);
  }
  if (bad_groups.length > 0) {
    world.err(`Bad groups: ${names(bad_groups.map((group) => cluster.groups[group]!.name))}\n`);
  }
  const { primaries, secondariesOf } = candidates;
  const shown =
    secondariesOf === null
      ? `Left [${primaries.join(',')}]`
      : `Right [${primaries.map((node) => `(${node},[${secondariesOf(node).join(',')}])`).join(',')}]`;
  world.err(`Allocatable nodes: ${shown}\n`);
}

function explainResult(
  { verbosity, print_nodes, save }: HspaceOptions,
  world: World,
  way: Way,
  result: CapacityResult,
  template: DiskTemplate,
  aliases: readonly string[],
): void {
  const { table } = result;
  const description = `${way === 'tiered' ? 'Tiered' : 'Standard'} allocation`;
  const nodes = [...table.cluster.nodes.keys()];
  const placed = placedInstances(result, template);
  if (verbosity > 1) world.err(`${description} map\n${placementMap(table, placed)}`);
  const lists = listsOf(nodes.length, [...table.cluster.instances, ...placed]);
  printNodes(world, description, table, nodes, lists, aliases, print_nodes);
  saveCluster(world, save, way, `after ${description.toLowerCase()}`, () => {
    const current = currentCluster(table, nodes, [...table.cluster.instances.keys()]);
    return { ...current, instances: [...current.instances, ...placed] };
  });
}

/** A table without a head. */
function placementMap({ cluster }: Table, placed: readonly PlacementInstance[]): string {
  const exclusive = cluster.nodes.some((node) => node.exclusive_storage);
  const [first, ...others] = placed.map(
    ({ name, primary, secondary, memory_mib, disk_mib, vcpus, disks }) => [
      name,
      cluster.nodes[primary]!.name,
      cluster.nodes[secondary]?.name ?? '',
      String(memory_mib),
      String(disk_mib),
      String(vcpus),
      exclusive ? String(disks[0]?.spindles ?? '?') : '',
    ],
  );
  return first === undefined
    ? ''
    : formatTable('', first, others, [false, false, false, true, true, true, true]);
}

/** As they are shown and saved. */
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
