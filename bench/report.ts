/** Measurements as a table for people and as JSON lines for programs. Pure. */
import type { Measurement } from './figure.ts';
import { spread } from './stats.ts';

export type Verdict = 'met' | 'MISSED' | '';

/** Judged by the median. */
export function verdict({ goal, values }: Pick<Measurement, 'goal' | 'values'>): Verdict {
  if (goal === null) return '';
  const { median } = spread(values);
  return (goal.kind === 'below' ? median < goal.value : median >= goal.value) ? 'met' : 'MISSED';
}

function goalText({ goal, unit }: Measurement): string {
  if (goal === null) return '';
  return `${goal.kind === 'below' ? '<' : '>='} ${goal.value} ${unit}`;
}

function digits(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value < 100 ? 2 : 1);
}

const columns = ['Figure', 'n', 'median', 'min', 'max', 'unit', 'goal', '', 'load1', 'note'];

/** Lines of the table, its head first. */
export function table(measurements: readonly Measurement[]): readonly string[] {
  const rows = measurements.map((measurement) => {
    const { count, median, min, max } = spread(measurement.values);
    const [before, after] = measurement.load1;
    return [
      measurement.name,
      String(count),
      digits(median),
      digits(min),
      digits(max),
      measurement.unit,
      goalText(measurement),
      verdict(measurement),
      `${before.toFixed(1)}-${after.toFixed(1)}`,
      measurement.note,
    ];
  });
  const widths = columns.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const right = new Set([1, 2, 3, 4]);
  return [columns, ...rows].map((row) =>
    row
      .map((cell, at) => (right.has(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** One measurement as a line of JSON, with every value in the order of the trials. */
export function jsonLine(measurement: Measurement): string {
  const { values, ...rest } = measurement;
  const rounded = values.map((value) => Math.round(value * 1000) / 1000);
  return JSON.stringify({ ...rest, ...spread(values), verdict: verdict(measurement), values: rounded });
}
