/**
 * The tables that several htools print: nodes, instances, metrics; and warnings. All byte for byte as Ganeti's.
 */
import type { Step } from '../../src/placement/balance.ts';
import { isRunning, type PlacementCluster, type PlacementInstance } from '../../src/placement/cluster.ts';
import { fixed, shortestDecimal } from '../../src/placement/decimal.ts';
import { FAILOVER_TO_ANY } from '../../src/placement/moves.ts';
import { metrics, metricValues, nodeValue } from '../../src/placement/score.ts';
import {
  CPU_LOAD,
  DISK_LOAD,
  FAILS_N1,
  FREE_DISK,
  INSTANCE_MEMORY,
  INSTANCE_SPINDLES,
  MEMORY_LOAD,
  NET_LOAD,
  PRIMARIES,
  RESERVED_MEMORY,
  SECONDARIES,
  STRIDE,
  type Table,
  USED_CPUS,
  unallocatedMemory,
} from '../../src/placement/table.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import type { World } from './program.ts';

/** Aligned columns, numbers to the right; each line begins with `prefix` and a blank, and ends with a newline. */
export function formatTable(
  prefix: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
  numeric: readonly boolean[],
): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) => {
      const cells = row.map((cell, column) =>
        numeric[column] === true ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      );
      return `${prefix} ${cells.join(' ')}\n`;
    })
    .join('');
}

/** Which instances are on which node, the latest first; only for the fields that list them. */
export interface NodeLists {
  readonly primaries: readonly (readonly number[])[];
  readonly secondaries: readonly (readonly number[])[];
}

/** As they are listed when read. */
export function nodeLists(table: Table): NodeLists {
  return listsOf(table.cluster.nodes.length, table.cluster.instances);
}

/** Of instances by their place, each new one first. */
export function listsOf(
  node_count: number,
  instances: readonly Pick<PlacementInstance, 'primary' | 'secondary' | 'forthcoming'>[],
): NodeLists {
  const primaries: number[][] = Array.from({ length: node_count }, () => []);
  const secondaries: number[][] = Array.from({ length: node_count }, () => []);
  for (const [at, instance] of instances.entries()) {
    if (instance.forthcoming) continue;
    primaries[instance.primary]!.push(at);
    if (instance.secondary >= 0) secondaries[instance.secondary]!.push(at);
  }
  for (const list of [...primaries, ...secondaries]) list.reverse();
  return { primaries, secondaries };
}

/** As they are listed after a move. */
export function nodeListsAfter(table: Table, lists: NodeLists, step: Step): NodeLists {
  if (table.demands[step.instance]!.forthcoming) return lists;
  const without = (list: readonly number[]): readonly number[] => list.filter((at) => at !== step.instance);
  const primaries = lists.primaries.map((list, node) => (node === step.old_primary ? without(list) : list));
  const keeps_secondary = step.kind === FAILOVER_TO_ANY;
  const secondaries = lists.secondaries.map((list, node) =>
    node === step.old_secondary && !keeps_secondary ? without(list) : list,
  );
  return {
    primaries: primaries.map((list, node) => (node === step.primary ? [step.instance, ...list] : list)),
    secondaries: secondaries.map((list, node) =>
      node === step.secondary && !keeps_secondary ? [step.instance, ...list] : list,
    ),
  };
}

/** What fields are made of. */
interface NodeView {
  readonly table: Table;
  readonly lists: NodeLists;
  readonly node: number;
  readonly alias: string;
}

interface Field {
  readonly title: string;
  readonly numeric: boolean;
  show(view: NodeView): string;
}

function integer(title: string, width: number, value: (table: Table, node: number) => number): Field {
  return {
    title,
    numeric: true,
    show: ({ table, node }) => String(value(table, node)).padStart(width),
  };
}

function decimal(
  title: string,
  width: number,
  digits: number,
  value: (table: Table, node: number) => number,
): Field {
  return {
    title,
    numeric: true,
    show: ({ table, node }) => fixed(value(table, node), digits).padStart(width),
  };
}

function text(title: string, numeric: boolean, show: (view: NodeView) => string): Field {
  return { title, numeric, show };
}

const figure =
  (which: number) =>
  (table: Table, node: number): number =>
    table.state[node * STRIDE + which]!;

const fields: ReadonlyMap<string, Field> = new Map([
  ['idx', integer('Index', 4, (_, node) => node)],
  ['name', text('Name', false, ({ alias }) => alias)],
  ['fqdn', text('Name', false, ({ table, node }) => table.cluster.nodes[node]!.name)],
  ['status', text('F', false, ({ table, node }) => statusOf(table, node))],
  ['tmem', decimal('t_mem', 5, 0, (table, node) => table.total_memory[node]!)],
  ['nmem', integer('n_mem', 5, (table, node) => table.cluster.nodes[node]!.node_memory_mib)],
  ['imem', integer('i_mem', 5, figure(INSTANCE_MEMORY))],
  ['xmem', integer('x_mem', 5, (table, node) => table.missing_memory[node]!)],
  ['fmem', integer('f_mem', 5, (table, node) => table.cluster.nodes[node]!.free_memory_mib)],
  ['umem', integer('u_mem', 5, unallocatedMemory)],
  ['rmem', integer('r_mem', 5, figure(RESERVED_MEMORY))],
  [
    'amem',
    integer('a_mem', 5, (table, node) =>
      Math.max(0, unallocatedMemory(table, node) - figure(RESERVED_MEMORY)(table, node)),
    ),
  ],
  ['tdsk', decimal('t_dsk', 5, 0, (table, node) => table.total_disk[node]! / 1024)],
  ['fdsk', integer('f_dsk', 5, (table, node) => Math.floor(figure(FREE_DISK)(table, node) / 1024))],
  ['tcpu', decimal('pcpu', 4, 0, (table, node) => table.total_cpus[node]!)],
  ['ucpu', integer('vcpu', 4, figure(USED_CPUS))],
  ['pcnt', integer('pcnt', 3, figure(PRIMARIES))],
  ['scnt', integer('scnt', 3, figure(SECONDARIES))],
  ['plist', text('primaries', true, ({ lists, node }) => `[${lists.primaries[node]!.join(',')}]`)],
  ['slist', text('secondaries', true, ({ lists, node }) => `[${lists.secondaries[node]!.join(',')}]`)],
  ['pfmem', decimal('p_fmem', 6, 4, (table, node) => nodeValue(table, 0, node))],
  ['pfdsk', decimal('p_fdsk', 6, 4, (table, node) => nodeValue(table, 1, node))],
  ['rcpu', decimal('r_cpu', 5, 2, (table, node) => figure(USED_CPUS)(table, node) / table.total_cpus[node]!)],
  ['cload', decimal('lCpu', 5, 3, figure(CPU_LOAD))],
  ['mload', decimal('lMem', 5, 3, figure(MEMORY_LOAD))],
  ['dload', decimal('lDsk', 5, 3, figure(DISK_LOAD))],
  ['nload', decimal('lNet', 5, 3, figure(NET_LOAD))],
  ['ptags', text('PrimaryTags', false, ({ table, node }) => tagsOf(table, node))],
  ['peermap', text('PeerMap', false, ({ table, node }) => peersOf(table, node))],
  ['spindle_count', integer('NodeSpindles', 0, (table, node) => table.total_spindles[node]!)],
  [
    'hi_spindles',
    text('MaxSpindles', true, ({ table, node }) => shortestDecimal(table.high_spindles[node]!)),
  ],
  [
    'inst_spindles',
    text('InstSpindles', true, ({ table, node }) => shortestDecimal(figure(INSTANCE_SPINDLES)(table, node))),
  ],
]);

const unknown: Field = { title: '<unknown field>', numeric: false, show: () => '<unknown field>' };

const usual_fields = [
  'status',
  'name',
  'tmem',
  'nmem',
  'imem',
  'xmem',
  'fmem',
  'umem',
  'rmem',
  'tdsk',
  'fdsk',
  'tcpu',
  'ucpu',
  'pcnt',
  'scnt',
  'pfmem',
  'pfdsk',
  'rcpu',
  'cload',
  'mload',
  'dload',
  'nload',
];

function statusOf(table: Table, node: number): string {
  if (table.offline[node] === 1) return '-';
  return figure(FAILS_N1)(table, node) === 1 ? '*' : ' ';
}

function tagsOf(table: Table, node: number): string {
  const { exclusion_names } = table.tags;
  const row = node * exclusion_names.length;
  return exclusion_names
    .map((name, tag) => ({ name, count: table.tag_counts[row + tag]! }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, count }) => `${name}=${count}`)
    .join(',');
}

function peersOf(table: Table, node: number): string {
  const row = table.peers.subarray(node * table.node_count, (node + 1) * table.node_count);
  const kept = Array.from(row, (memory, other) => ({ memory, other }))
    .filter(({ memory }) => memory > 0)
    .sort((a, b) => b.memory - a.memory || b.other - a.other);
  return `[${kept.map(({ memory, other }) => `(${other},${memory})`).join(',')}]`;
}

/**
 * A table of nodes.
 * @param wanted names of fields; none: the usual ones; `+` first: those and more
 */
export function nodeTable(
  table: Table,
  nodes: readonly number[],
  lists: NodeLists,
  aliases: readonly string[],
  wanted: readonly string[],
): string {
  const names =
    wanted.length === 0 ? usual_fields : wanted[0] === '+' ? [...usual_fields, ...wanted.slice(1)] : wanted;
  const columns = names.map((name) => fields.get(name) ?? unknown);
  return formatTable(
    '',
    columns.map(({ title }) => title),
    nodes.map((node) => columns.map((column) => column.show({ table, lists, node, alias: aliases[node]! }))),
    columns.map(({ numeric }) => numeric),
  );
}

const instance_titles = [
  'F',
  'Name',
  'Pri_node',
  'Sec_node',
  'Auto_bal',
  'vcpu',
  'mem',
  'dsk',
  'lCpu',
  'lMem',
  'lDsk',
  'lNet',
];

/** A table of instances, where they are now. */
export function instanceTable(table: Table, instances: readonly number[]): string {
  const rows = instances.map((at) => {
    const instance = table.cluster.instances[at]!;
    const { cpu, memory, disk, net } = instance.utilisation;
    return [
      isRunning(instance.status) ? 'R' : ' ',
      instance.name,
      table.cluster.nodes[table.primary[at]!]!.name,
      table.cluster.nodes[table.secondary[at]!]?.name ?? '',
      instance.auto_balance ? 'Y' : 'N',
      String(instance.vcpus).padStart(3),
      String(instance.memory_mib).padStart(5),
      String(Math.floor(instance.disk_mib / 1024)).padStart(5),
      ...[cpu, memory, disk, net].map((load) => fixed(load, 3)),
    ];
  });
  return formatTable(
    '',
    instance_titles,
    rows,
    instance_titles.map((_, column) => column > 4),
  );
}

/** A table of the metrics, with their weights. */
export function metricTable(table: Table, nodes: readonly number[]): string {
  const values = metricValues(table, nodes);
  return formatTable(
    '  ',
    ['Field', 'Value', 'Weight'],
    Array.from(values, (value, at) => [
      metrics[at]!.name,
      fixed(value, 8),
      `x${fixed(metrics[at]!.weight, 2)}`,
    ]),
    [false, true, true],
  );
}

/** To standard error, if fields were asked for. */
export function printNodes(
  world: World,
  title: string,
  table: Table,
  nodes: readonly number[],
  lists: NodeLists,
  aliases: readonly string[],
  wanted: readonly string[] | null,
): void {
  if (wanted === null) return;
  world.err(`\n${title} status:\n${nodeTable(table, nodes, lists, aliases, wanted)}\n`);
}

/** To standard error, if they were asked for. */
export function printInstances(
  world: World,
  wanted: boolean,
  title: string,
  table: Table,
  instances: readonly number[],
): void {
  if (wanted) world.err(`\n${title} instance map:\n${instanceTable(table, instances)}`);
}

export function printKeys(world: World, prefix: string, pairs: readonly KeyValue[]): void {
  world.out(keyLines(prefix, pairs));
}

export type KeyValue = readonly [key: string, value: string];

/** `PREFIX_KEY=value` for scripts; values with anything but letters, digits and `.` in them are quoted. */
export function keyLines(prefix: string, pairs: readonly KeyValue[]): string {
  return pairs
    .map(([key, value]) => {
      const shown = /^[A-Za-z0-9.]*$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
      return `${prefix}_${key.toUpperCase()}=${shown}\n`;
    })
    .join('');
}

/** Into a file of its own, if saving was asked for. @param when told in the message, e.g. `before balancing` */
export function saveCluster(
  world: World,
  save: string | null,
  extension: string,
  when: string,
  cluster: () => PlacementCluster,
): void {
  if (save === null) return;
  const path = `${save}.${extension}`;
  world.writeFile(path, formatTextCluster(cluster()));
  world.err(`The cluster state ${when} has been written to file '${path}'\n`);
}
