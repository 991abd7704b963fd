/**
 * What many runs add up to, and that sum as text, so that a long budget can be spent in pieces. Reading is strict: a text
 * that is not a tally, or is of other runs, is an error, never a fresh beginning.
 */
import { Marks } from '../kit/marks.ts';
import { type FaultName, fault_names, type MarkName, mark_names } from './marks.ts';
import type { RunResult } from './run.ts';

/** All numbers of a tally that are simply added up. */
const sums = [
  'seeds',
  'twice',
  'virtual_ms',
  'wall_ms',
  'events',
  'ok',
  'failed',
  'unknown',
  'committed',
  'terms',
] as const;
type Sum = (typeof sums)[number];

export class Tally {
  readonly base: number;
  /** Virtual time asked for, a run. */
  readonly ms: number;
  readonly marks = new Marks<MarkName>(mark_names);
  readonly faults = new Marks<FaultName>(fault_names);
  /** Seeds that broke a promise. */
  readonly breaches: number[] = [];
  readonly sum: Record<Sum, number> = Object.fromEntries(sums.map((name) => [name, 0])) as Record<
    Sum,
    number
  >;

  constructor(base: number, ms: number) {
    this.base = base;
    this.ms = ms;
  }

  add(result: RunResult): void {
    this.marks.merge(result.marks);
    this.faults.merge(result.faults);
    const { sum } = this;
    sum.virtual_ms += result.virtual_ms;
    sum.events += result.events;
    sum.ok += result.operations.ok;
    sum.failed += result.operations.failed;
    sum.unknown += result.operations.unknown;
    sum.committed += result.committed;
    sum.terms += result.terms;
  }

  /** One JSON object. */
  toText(): string {
    const { base, ms, breaches, sum } = this;
    const counts = <Name extends string>(names: readonly Name[], marks: Marks<Name>) =>
      Object.fromEntries(names.map((name) => [name, marks.count(name)]));
    const marks = counts(mark_names, this.marks);
    const faults = counts(fault_names, this.faults);
    return `${JSON.stringify({ version: 1, base, ms, ...sum, breaches, marks, faults }, null, 1)}\n`;
  }

  /** @throws RangeError unless `text` is a tally. Names that are no longer counted are left out. */
  static of(text: string): Tally {
    const found = fieldsOf(JSON.parse(text));
    if (found.get('version') !== 1) throw new RangeError('a tally of another version');
    const tally = new Tally(number(found, 'base'), number(found, 'ms'));
    for (const name of sums) tally.sum[name] = number(found, name);
    const breaches: unknown = found.get('breaches');
    if (!Array.isArray(breaches)) throw new RangeError('a tally without breaches');
    for (const seed of breaches as readonly unknown[]) tally.breaches.push(Number(seed));
    const marks = fieldsOf(found.get('marks'));
    for (const name of mark_names) if (marks.has(name)) tally.marks.hit(name, number(marks, name));
    const faults = fieldsOf(found.get('faults'));
    for (const name of fault_names) if (faults.has(name)) tally.faults.hit(name, number(faults, name));
    return tally;
  }
}

/** A line a name: how often, how often in a simulated hour, and how often in `budget_s` at this pace. */
export function rates<Name extends string>(
  names: readonly Name[],
  marks: Marks<Name>,
  { virtual_ms, wall_ms }: { readonly virtual_ms: number; readonly wall_ms: number },
  budget_s: number,
): string {
  const line = (count: string, hourly: string, budget: string, name: string) =>
    `${count.padStart(8)} ${hourly.padStart(9)} ${budget.padStart(9)}  ${name}`;
  const shown = (rate: number) => (rate >= 10 ? rate.toFixed(0) : rate.toFixed(1));
  const lines = names.map((name) => {
    const count = marks.count(name);
    const hourly = virtual_ms > 0 ? (count / virtual_ms) * 3_600_000 : 0;
    const expected = wall_ms > 0 ? (count / wall_ms) * 1000 * budget_s : 0;
    return line(String(count), shown(hourly), shown(expected), `${name}${expected < 100 ? '  (rare)' : ''}`);
  });
  return [line('count', 'an hour', `in ${budget_s / 3600} h`, ''), ...lines].join('\n');
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new RangeError('not a tally');
  return new Map(Object.entries(value));
}

function number(fields: ReadonlyMap<string, unknown>, name: string): number {
  const value = fields.get(name);
  if (typeof value !== 'number' || !(value >= 0))
    throw new RangeError(`a tally whose ${name} is ${String(value)}`);
  return value;
}
