/**
 * The spread of what each node has, as the search for moves needs it: one column for each metric that is a standard
 * deviation, with what one unit of an instance's demand changes on each node.
 *
 * Metrics that cannot differ (in a cluster without reservations, most `…_forth` are their plain ones; with all loads at
 * 1 those of CPU, memory and network are one) share a column. Values are scaled by weight / √nodes and taken from their
 * mean, so that a column's share of the score is √(squares - sums² / nodes).
 */
import { metrics, nodeValue } from './score.ts';
import type { Demand, Table } from './table.ts';

/** What an instance takes with it: its primary role, or a copy of its disks whatever the role. */
export type Part = 'primary' | 'copy';

export interface Columns {
  readonly count: number;
  /** The metrics of each column, by index; the first one stands for all. */
  readonly metrics: readonly (readonly number[])[];
  /** [node × count + column] */
  readonly value: Float64Array;
  /** What a demand of 1 adds to the value. */
  readonly unit: Float64Array;
  /** The same for a demand of one spindle, on nodes with exclusive storage; null where there are none. */
  readonly spindle_unit: Float64Array | null;
  /** [instance × count + column] */
  readonly amount: Float64Array;
  readonly spindles: Float64Array | null;
  /** Over all nodes. */
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

interface Source {
  readonly metric: number;
  readonly part: Part;
  /** Of an instance, in the units of its demand. */
  amount(demand: Demand): number;
  /** What one unit adds to the metric's value on a node. */
  unit(table: Table, node: number): number;
}

const perMemory = (table: Table, node: number): number => -1 / table.total_memory[node]!;
const perCpu = (table: Table, node: number): number => 1 / (table.total_cpus[node]! * table.cpu_speed[node]!);
const perSpindle = (table: Table, node: number): number =>
  table.exclusive[node] === 1 ? 0 : 1 / table.high_spindles[node]!;
const perDisk = (table: Table, node: number): number =>
  table.exclusive[node] === 1 || table.total_disk[node] === 0 ? 0 : -1 / table.total_disk[node]!;
const each = (): number => 1;
const real = (demand: Demand, amount: number): number => (demand.forthcoming ? 0 : amount);

const sources: readonly Source[] = [
  {
    metric: 0,
    part: 'primary',
    amount: (demand) => (demand.uses_memory ? demand.memory : 0),
    unit: perMemory,
  },
  { metric: 13, part: 'primary', amount: (demand) => demand.memory, unit: perMemory },
  {
    metric: 6,
    part: 'primary',
    amount: (demand) => real(demand, demand.uses_cpus ? demand.vcpus : 0),
    unit: perCpu,
  },
  {
    metric: 15,
    part: 'primary',
    amount: (demand) => (demand.uses_cpus ? demand.vcpus : 0),
    unit: perCpu,
  },
  { metric: 7, part: 'primary', amount: (demand) => real(demand, demand.cpu_load), unit: each },
  { metric: 8, part: 'primary', amount: (demand) => real(demand, demand.memory_load), unit: each },
  { metric: 10, part: 'primary', amount: (demand) => real(demand, demand.net_load), unit: each },
  {
    metric: 1,
    part: 'copy',
    amount: (demand) => real(demand, demand.local ? demand.disk : 0),
    unit: perDisk,
  },
  { metric: 14, part: 'copy', amount: (demand) => (demand.local ? demand.disk : 0), unit: perDisk },
  {
    metric: 12,
    part: 'copy',
    amount: (demand) => real(demand, demand.local ? demand.spindle_use : 0),
    unit: perSpindle,
  },
  {
    metric: 16,
    part: 'copy',
    amount: (demand) => (demand.local ? demand.spindle_use : 0),
    unit: perSpindle,
  },
  { metric: 9, part: 'copy', amount: (demand) => real(demand, demand.disk_load), unit: each },
];

/** Spindles that a copy takes where storage is exclusive, for the metrics that count them there. */
function spindlesOf(source: Source, demand: Demand): number {
  if (source.metric !== 1 && source.metric !== 14) return 0;
  const known = Math.max(0, demand.spindles);
  return source.metric === 1 ? real(demand, known) : known;
}

/** @param nodes online ones; @param instances those that may move, the only ones that have amounts */
export function buildColumns(
  table: Table,
  part: Part,
  nodes: readonly number[],
  instances: readonly number[],
): Columns {
  const kept: { readonly source: Source; readonly metrics: number[] }[] = [];
  for (const source of sources) {
    if (source.part !== part) continue;
    const same = kept.find((column) => alike(table, column.source, source, nodes, instances));
    if (same === undefined) kept.push({ source, metrics: [source.metric] });
    else same.metrics.push(source.metric);
  }
  const count = kept.length;
  const exclusive = part === 'copy' && nodes.some((node) => table.exclusive[node] === 1);
  const columns: Columns = {
    count,
    metrics: kept.map((column) => column.metrics),
    value: new Float64Array(table.node_count * count),
    unit: new Float64Array(table.node_count * count),
    spindle_unit: exclusive ? new Float64Array(table.node_count * count) : null,
    amount: new Float64Array(table.demands.length * count),
    spindles: exclusive ? new Float64Array(table.demands.length * count) : null,
    sums: new Float64Array(count),
    squares: new Float64Array(count),
  };
  for (const [column, { source }] of kept.entries()) {
    const scale = scaleOf(columns, column, nodes.length);
    for (const node of nodes) {
      const at = node * count + column;
      columns.unit[at] = scale * source.unit(table, node);
      if (columns.spindle_unit !== null && spindleMetric(source) && table.exclusive[node] === 1) {
        const spindles = table.total_spindles[node]!;
        columns.spindle_unit[at] = spindles === 0 ? 0 : -scale / spindles;
      }
    }
    for (const instance of instances) {
      const at = instance * count + column;
      columns.amount[at] = source.amount(table.demands[instance]!);
      if (columns.spindles !== null) columns.spindles[at] = spindlesOf(source, table.demands[instance]!);
    }
  }
  fillColumns(columns, table, nodes);
  return columns;
}

function spindleMetric(source: Source): boolean {
  return source.metric === 1 || source.metric === 14;
}

function scaleOf(columns: Columns, column: number, node_count: number): number {
  const weight = columns.metrics[column]!.reduce((sum, metric) => sum + metrics[metric]!.weight, 0);
  return weight / Math.sqrt(node_count);
}

/** Takes the values anew from the table. */
export function fillColumns(columns: Columns, table: Table, nodes: readonly number[]): void {
  const { count, value } = columns;
  for (let column = 0; column < count; column++) {
    const metric = columns.metrics[column]![0]!;
    const scale = scaleOf(columns, column, nodes.length);
    let mean = 0;
    for (const node of nodes) mean += nodeValue(table, metric, node);
    mean /= nodes.length;
    let sum = 0;
    let squares = 0;
    for (const node of nodes) {
      const off = scale * (nodeValue(table, metric, node) - mean);
      value[node * count + column] = off;
      sum += off;
      squares += off * off;
    }
    columns.sums[column] = sum;
    columns.squares[column] = squares;
  }
}

/** Equal at all nodes now, and for ever, since every instance changes both alike. */
function alike(
  table: Table,
  one: Source,
  other: Source,
  nodes: readonly number[],
  instances: readonly number[],
): boolean {
  return (
    nodes.every(
      (node) =>
        nodeValue(table, one.metric, node) === nodeValue(table, other.metric, node) &&
        one.unit(table, node) === other.unit(table, node),
    ) &&
    instances.every((instance) => {
      const demand = table.demands[instance]!;
      // A reservation of which nobody knows the spindles: see `unforeseeable` in the trial of instances.
      if (demand.forthcoming && demand.spindles < 0 && spindleMetric(one)) return false;
      return (
        one.amount(demand) === other.amount(demand) && spindlesOf(one, demand) === spindlesOf(other, demand)
      );
    })
  );
}
