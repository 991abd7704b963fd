/** The list of metrics that the htools print with `-vvv`: name, value and weight of each. */
import { fixed } from './decimal.ts';
import { metrics, metricValues } from './score.ts';
import type { Table } from './table.ts';
import { printedTable } from './text-table.ts';

export function listMetrics(table: Table, nodes: readonly number[], prefix: string): string {
  const values = metricValues(table, nodes);
  const rows = metrics.map(({ name, weight }, metric) => [
    name,
    fixed(values[metric]!, 8),
    `x${fixed(weight, 2)}`,
  ]);
  return printedTable(prefix, ['Field', 'Value', 'Weight'], rows, [false, true, true]);
}
