/**
 * A run's history as the records of docs/history-format.md, for other checkers. Registers only: the format has no lists.
 * It must say no more than the clients knew: what nobody heard the end of has no return, and its client is not heard
 * of again under that number.
 */
import type { HistoryRecord } from '../history/jsonl.ts';
import type { Op } from './history.ts';

const kinds = { get: 'read', put: 'write', cas: 'cas' } as const;
const outcomes = { ok: 'ok', failed: 'fail', unknown: 'unknown' } as const;

/** In the order in which outcomes became known; what was still under way at the end comes last. */
export function recordsOf(ops: readonly Op[]): readonly HistoryRecord[] {
  const client_of = numbered(ops);
  const known = (op: Op) => (op.return === 0 ? Number.POSITIVE_INFINITY : op.return);
  return ops
    .flatMap((op) =>
      op.type === 'append' || op.key.startsWith('list') ? [] : [{ op, kind: kinds[op.type] }],
    )
    .sort((a, b) => known(a.op) - known(b.op) || a.op.id - b.op.id)
    .map(({ op, kind }) => {
      const { key, value, expected, result, call, outcome } = op;
      return {
        client: client_of.get(op)!,
        op: kind,
        key,
        ...(kind === 'read' ? {} : { value }),
        ...(kind === 'cas' ? { expected } : {}),
        ...(kind !== 'write' && outcome === 'ok' ? { result } : {}),
        call_us: call,
        return_us: outcome === 'unknown' ? null : op.return,
        outcome: outcomes[outcome],
      };
    });
}

/** A client that was left without an outcome goes on under a number of its own: the operation may still be under way. */
function numbered(ops: readonly Op[]): ReadonlyMap<Op, number> {
  let next = 1 + Math.max(0, ...ops.map(({ client }) => client));
  const now = new Map<number, number>();
  return new Map(
    ops.map((op) => {
      const client = now.get(op.client) ?? op.client;
      if (op.outcome === 'unknown') now.set(op.client, next++);
      return [op, client];
    }),
  );
}
