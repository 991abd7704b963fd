/** Judges the file that a run wrote, not what the run remembers: what is judged is what others can judge again. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type CheckResult, checkHistory, type Operation } from '../../../sim/history/check.ts';
import { operationOf, parseRecord } from '../../../sim/history/jsonl.ts';

export type { CheckResult } from '../../../sim/history/check.ts';
export { formatRecord, type HistoryRecord, type Outcome } from '../../../sim/history/jsonl.ts';

export interface Verdict {
  /** Operations that count: without those that surely had no effect. */
  readonly operations: number;
  readonly linearizable: CheckResult;
  /** Acknowledged changes that the last read of their register shows were never made or were undone. */
  readonly lost: readonly Operation[];
}

/** @throws HistoryFormatError, or what the file system says */
export async function judgeFile(path: string, initial: unknown): Promise<Verdict> {
  const history: Operation[] = [];
  let line = 0;
  for await (const text of createInterface({
    input: createReadStream(path),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    const op = operationOf(parseRecord(text, ++line));
    if (op !== null) history.push(op);
  }
  return {
    operations: history.length,
    linearizable: checkHistory(history, initial),
    lost: lostChanges(history),
  };
}

const isChange = (op: Operation): boolean =>
  op.return !== null && (op.kind === 'write' || (op.kind === 'cas' && op.result === true));

/**
 * A second, simpler look than the checker's, which needs that no value is set twice: where a register ends with the value of
 * a change that had returned before an acknowledged one was called, that later one is lost. (The checker finds more; this
 * finds what an operator would call data loss, and counts it.)
 */
export function lostChanges(history: readonly Operation[]): readonly Operation[] {
  const last = new Map<string, Operation>();
  for (const op of history) {
    if (
      op.kind === 'read' &&
      op.return !== null &&
      op.call >= (last.get(op.key)?.call ?? Number.NEGATIVE_INFINITY)
    )
      last.set(op.key, op);
  }
  const end_of = new Map<string, number>();
  for (const op of history) {
    // Of unknown outcome: it may have happened last.
    if (op.kind !== 'read' && op.value === last.get(op.key)?.result)
      end_of.set(op.key, op.return ?? Number.POSITIVE_INFINITY);
  }
  return history.filter((op) => {
    const read = last.get(op.key);
    if (read === undefined || !isChange(op) || op.return! >= read.call) return false;
    return op.call > (end_of.get(op.key) ?? Number.NEGATIVE_INFINITY);
  });
}
