/** The list of nodes that the htools print with `-p`: which fields there are, and what they show. */
import { fixed, shortestDecimal } from './decimal.ts';
import { nodeValue } from './score.ts';
import { clusterDomain, shortName } from './short-names.ts';
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
} from './table.ts';
import { printedTable } from './text-table.ts';

/** An instance that is on the table's nodes without being one of the table's own. */
export interface ExtraInstance {
  readonly primary: number;
  readonly secondary: number;
}

interface Shown {
  readonly table: Table;
  readonly domain: string;
  readonly on: { readonly primaries: readonly number[][]; readonly secondaries: readonly number[][] };
}

interface Field {
  readonly title: string;
  readonly numeric: boolean;
  readonly show: (shown: Shown, node: number) => string;
}

const text = (title: string, show: Field['show']): Field => ({ title, numeric: false, show });
const figure = (title: string, show: Field['show']): Field => ({ title, numeric: true, show });
const state = (figure_at: number, width: number) => (shown: Shown, node: number) =>
  String(shown.table.state[node * STRIDE + figure_at]!).padStart(width);
const decimal = (value: number, digits: number, width: number): string =>
  fixed(value, digits).padStart(width);
const load =
  (figure_at: number) =>
  ({ table }: Shown, node: number): string =>
    decimal(table.state[node * STRIDE + figure_at]!, 3, 5);

const fields: { readonly [name: string]: Field } = {
  idx: figure('Index', (_, node) => String(node).padStart(4)),
  name: text('Name', ({ table, domain }, node) => shortName(table.cluster.nodes[node]!.name, domain)),
  fqdn: text('Name', ({ table }, node) => table.cluster.nodes[node]!.name),
  status: text('F', ({ table }, node) =>
    table.offline[node] === 1 ? '-' : table.state[node * STRIDE + FAILS_N1] === 1 ? '*' : ' ',
  ),
  tmem: figure('t_mem', ({ table }, node) => decimal(table.total_memory[node]!, 0, 5)),
  nmem: figure('n_mem', ({ table }, node) => String(table.cluster.nodes[node]!.node_memory_mib).padStart(5)),
  imem: figure('i_mem', state(INSTANCE_MEMORY, 5)),
  xmem: figure('x_mem', ({ table }, node) => String(table.missing_memory[node]!).padStart(5)),
  fmem: figure('f_mem', ({ table }, node) => String(table.cluster.nodes[node]!.free_memory_mib).padStart(5)),
  umem: figure('u_mem', ({ table }, node) => String(unallocatedMemory(table, node)).padStart(5)),
  rmem: figure('r_mem', state(RESERVED_MEMORY, 5)),
  amem: figure('a_mem', ({ table }, node) => {
    const available = unallocatedMemory(table, node) - table.state[node * STRIDE + RESERVED_MEMORY]!;
    return String(Math.max(0, available)).padStart(5);
  }),
  tdsk: figure('t_dsk', ({ table }, node) => decimal(table.total_disk[node]! / 1024, 0, 5)),
  fdsk: figure('f_dsk', ({ table }, node) =>
    String(Math.floor(table.state[node * STRIDE + FREE_DISK]! / 1024)).padStart(5),
  ),
  tcpu: figure('pcpu', ({ table }, node) => decimal(table.total_cpus[node]!, 0, 4)),
  ucpu: figure('vcpu', state(USED_CPUS, 4)),
  pcnt: figure('pcnt', state(PRIMARIES, 3)),
  scnt: figure('scnt', state(SECONDARIES, 3)),
  plist: figure('primaries', ({ on }, node) => `[${on.primaries[node]!.join(',')}]`),
  slist: figure('secondaries', ({ on }, node) => `[${on.secondaries[node]!.join(',')}]`),
  pfmem: figure('p_fmem', ({ table }, node) => decimal(nodeValue(table, 0, node), 4, 6)),
  pfdsk: figure('p_fdsk', ({ table }, node) => decimal(nodeValue(table, 1, node), 4, 6)),
  rcpu: figure('r_cpu', ({ table }, node) =>
    decimal(table.state[node * STRIDE + USED_CPUS]! / table.total_cpus[node]!, 2, 5),
  ),
  cload: figure('lCpu', load(CPU_LOAD)),
  mload: figure('lMem', load(MEMORY_LOAD)),
  dload: figure('lDsk', load(DISK_LOAD)),
  nload: figure('lNet', load(NET_LOAD)),
  ptags: text('PrimaryTags', ({ table }, node) => exclusionTags(table, node)),
  peermap: text('PeerMap', ({ table }, node) => peerMap(table, node)),
  spindle_count: figure('NodeSpindles', ({ table }, node) => String(table.total_spindles[node]!)),
  hi_spindles: figure('MaxSpindles', ({ table }, node) => shortestDecimal(table.high_spindles[node]!)),
  inst_spindles: figure('InstSpindles', ({ table }, node) =>
    shortestDecimal(table.state[node * STRIDE + INSTANCE_SPINDLES]!),
  ),
};

const unknown = text('<unknown field>', () => '<unknown field>');

const default_fields =
  'status,name,tmem,nmem,imem,xmem,fmem,umem,rmem,tdsk,fdsk,tcpu,ucpu,pcnt,scnt,pfmem,pfdsk,rcpu,cload,mload,dload,nload'.split(
    ',',
  );

/**
 * @param names of the fields; empty: the usual ones; a first `+`: the usual ones and those that follow
 * @param extra instances beyond the table's own, numbered after them
 */
export function listNodes(
  table: Table,
  names: readonly string[],
  extra: readonly ExtraInstance[] = [],
): string {
  const wanted =
    names.length === 0 ? default_fields : names[0] === '+' ? [...default_fields, ...names.slice(1)] : names;
  const shown = wanted.map((name) => (Object.hasOwn(fields, name) ? fields[name]! : unknown));
  const context: Shown = { table, domain: clusterDomain(table.cluster), on: instancesOn(table, extra) };
  const rows = table.cluster.nodes.map((_, node) => shown.map((field) => field.show(context, node)));
  return printedTable(
    '',
    shown.map(({ title }) => title),
    rows,
    shown.map(({ numeric }) => numeric),
  );
}

/** By number, the newest first. */
function instancesOn(table: Table, extra: readonly ExtraInstance[]): Shown['on'] {
  const primaries: number[][] = table.cluster.nodes.map(() => []);
  const secondaries: number[][] = table.cluster.nodes.map(() => []);
  const count = table.cluster.instances.length;
  for (const [at, { forthcoming }] of table.cluster.instances.entries()) {
    if (forthcoming) continue;
    primaries[table.primary[at]!]!.unshift(at);
    secondaries[table.secondary[at]!]?.unshift(at);
  }
  for (const [at, { primary, secondary }] of extra.entries()) {
    primaries[primary]!.unshift(count + at);
    secondaries[secondary]?.unshift(count + at);
  }
  return { primaries, secondaries };
}

function exclusionTags(table: Table, node: number): string {
  const { exclusion_names } = table.tags;
  const row = node * exclusion_names.length;
  return exclusion_names
    .flatMap((name, tag) => {
      const count = table.tag_counts[row + tag]!;
      return count > 0 ? [`${name}=${count}`] : [];
    })
    .sort()
    .join(',');
}

/** The nodes for which memory is kept here, the most first. */
function peerMap(table: Table, node: number): string {
  const row = table.peers.subarray(node * table.node_count, (node + 1) * table.node_count);
  const kept = [...row]
    .map((memory, peer) => ({ memory, peer }))
    .filter(({ memory }) => memory > 0)
    .sort((a, b) => b.memory - a.memory);
  return `[${kept.map(({ memory, peer }) => `(${peer},${memory})`).join(',')}]`;
}
