/**
 * A history as JSON lines, one operation a line (docs/history-format.md), for this project's checker and for others.
 * Reading believes nothing: a line that is not what the format says is an error that names the line and the field.
 */
import type { Operation } from './operation.ts';

/** `fail`: it did not take effect, for sure. `unknown`: it may have, or may yet. */
export type Outcome = 'ok' | 'fail' | 'unknown';

/** An operation with its outcome; times in microseconds of one monotonic clock. */
export interface HistoryRecord {
  readonly client: number;
  readonly op: Operation['kind'];
  readonly key: string;
  readonly value?: unknown;
  readonly expected?: unknown;
  readonly result?: unknown;
  readonly call_us: number;
  /** When the client heard; null: it never did. */
  readonly return_us: number | null;
  readonly outcome: Outcome;
}

/** A line that is not of the format. */
export class HistoryFormatError extends Error {
  readonly line: number;
  constructor(line: number, what: string) {
    super(`line ${line}: ${what}`);
    this.name = 'HistoryFormatError';
    this.line = line;
  }
}

/** One line, with its newline. */
export function formatRecord(record: HistoryRecord): string {
  const { client, op, key, value, expected, result, call_us, return_us, outcome } = record;
  return `${JSON.stringify({ client, op, key, value, expected, result, call_us, return_us, outcome })}\n`;
}

const kinds: readonly unknown[] = ['read', 'write', 'cas'];
const outcomes: readonly unknown[] = ['ok', 'fail', 'unknown'];
const fields = new Set([
  'client',
  'op',
  'key',
  'value',
  'expected',
  'result',
  'call_us',
  'return_us',
  'outcome',
]);

/**
 * @param line its number, from 1, for the error
 * @throws HistoryFormatError
 */
export function parseRecord(text: string, line: number): HistoryRecord {
  const wrong = (what: string): never => {
    throw new HistoryFormatError(line, what);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    wrong(`no JSON: ${(error as Error).message}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return wrong('expected an object');
  const record = parsed as Record<string, unknown>;
  const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
  const field = (name: string, good: boolean, expected: string): void => {
    if (!good) wrong(`${name} is ${JSON.stringify(record[name]) ?? 'missing'}: expected ${expected}`);
  };
  for (const name of Object.keys(record))
    if (!fields.has(name)) wrong(`unknown field ${JSON.stringify(name)}`);
  const { op, outcome, call_us, return_us } = record;
  field('client', Number.isSafeInteger(record.client), 'a whole number');
  field('op', kinds.includes(op), 'read, write or cas');
  field('key', typeof record.key === 'string', 'a text');
  field('outcome', outcomes.includes(outcome), 'ok, fail or unknown');
  field('call_us', isTime(call_us), 'a number');
  const answered = isTime(return_us) && return_us >= (call_us as number);
  field('return_us', answered || (return_us === null && outcome !== 'ok'), 'a number, not before call_us');
  const needs = (name: 'value' | 'expected' | 'result', needed: boolean): void =>
    field(name, needed === (record[name] !== undefined), needed ? 'a value' : 'nothing here');
  needs('value', op !== 'read');
  needs('expected', op === 'cas');
  needs('result', op !== 'write' && outcome === 'ok');
  if (op === 'cas' && outcome === 'ok') field('result', typeof record.result === 'boolean', 'true or false');
  return record as unknown as HistoryRecord;
}

/** What the record says about the register; null: nothing, it did not happen. */
export function operationOf(record: HistoryRecord): Operation | null {
  const { client, op: kind, key, value, expected, result, call_us: call, return_us, outcome } = record;
  if (outcome === 'fail') return null;
  return { client, kind, key, value, expected, result, call, return: outcome === 'ok' ? return_us : null };
}
