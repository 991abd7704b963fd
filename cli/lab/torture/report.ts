/** What a run found, as data and as a table. */
import { formatTable } from '../../table.ts';
import type { FaultKind } from './nemesis.ts';
import type { CheckResult, Outcome } from './oracle.ts';
import type { OpKind, Tally } from './tally.ts';

export interface TortureReport extends ReturnType<Tally['summary']> {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  readonly acknowledged_per_second: number;
  /** Faults that were done, by kind; kinds that this lab cannot do are missing. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  readonly lost: number;
  /** Operations in the history, those that surely had no effect left out. */
  readonly judged: number;
  readonly linearizable: CheckResult;
  readonly history: string;
  /** `index:hash` that all hosts agreed on in the end. */
  readonly state: string;
}

export function isBreach(report: TortureReport): boolean {
  return report.lost > 0 || !report.linearizable.ok;
}

const kinds: readonly OpKind[] = ['write', 'cas', 'read'];
const outcomes: readonly Outcome[] = ['ok', 'fail', 'unknown'];

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function reportLines(report: TortureReport): readonly string[] {
  const { counts, faults, linearizable } = report;
  const right = { align: 'right' } as const;
  const options = { headers: true, separator: null };
  const operations = formatTable(
    [{ title: 'Operation', align: 'left' }, ...outcomes.map((title) => ({ title, ...right }))],
    kinds.map((kind) => [kind, ...outcomes.map((outcome) => String(counts[kind][outcome]))]),
    options,
  );
  const done = Object.entries(faults).map(([kind, count]) => `${kind} ${count}`);
  const errors = Object.entries(report.errors).map(([code, count]) => `${code} ${count}`);
  const facts = [
    ['Seed', String(report.seed)],
    [
      'Acknowledged changes',
      `${report.acknowledged} (${report.acknowledged_per_second} a second; ${report.cas_refused} refused)`,
    ],
    ['Change, p50 / p99', `${ms(report.change_p50_ms)} / ${ms(report.change_p99_ms)}`],
    ['Read, p50 / p99', `${ms(report.read_p50_ms)} / ${ms(report.read_p99_ms)}`],
    ['Faults', done.join(', ') || 'none'],
    ['Errors', errors.join(', ') || 'none'],
    ['Longest without a change', ms(report.longest_unavailability_ms)],
    ['All hosts agree on', report.state],
    ['Lost', String(report.lost)],
    ['Linearizable', linearizable.ok ? `yes (${report.judged} operations)` : `NO, ${linearizable.key}`],
  ];
  const lines = formatTable(
    [
      { title: '', align: 'left' },
      { title: '', align: 'left' },
    ],
    facts,
    { ...options, headers: false },
  );
  const why = linearizable.ok
    ? []
    : ['', `${linearizable.key}: ${linearizable.reason}`, `History: ${report.history}`];
  return [...operations, '', ...lines, ...why];
}
