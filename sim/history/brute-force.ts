/** Linearizability by its definition, for histories of one key and a handful of operations. For tests. */
import type { Operation } from './operation.ts';

/** Whether some order of all that returned and some of the rest agrees with real time and with every result. */
export function isLinearizable(history: readonly Operation[], initial: unknown): boolean {
  const place = (left: readonly Operation[], state: unknown): boolean => {
    if (left.every((op) => op.return === null)) return true;
    return left.some((op) => {
      if (left.some((other) => other.return !== null && other.return < op.call)) return false;
      const rest = left.filter((other) => other !== op);
      return outcomes(op, state).some((next) => place(rest, next.state));
    });
  };
  return place(history, initial ?? null);
}

/** What may be there after `op` happens on `state`; none: it cannot happen. */
function outcomes(op: Operation, state: unknown): readonly { readonly state: unknown }[] {
  if (op.kind === 'read') return op.return === null || (op.result ?? null) === state ? [{ state }] : [];
  if (op.kind === 'write') return [{ state: op.value ?? null }];
  const done = (op.expected ?? null) === state;
  if (op.return !== null && op.result !== undefined && op.result !== done) return [];
  return [{ state: done ? (op.value ?? null) : state }];
}
