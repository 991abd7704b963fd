/** An operation as the search sees it: what must be there for it to happen, and what is there afterwards. */
import type { Operation } from './operation.ts';
import type { Value, Values } from './values.ts';

export interface Step {
  readonly op: Operation;
  /** Must be there. */
  readonly sees: Value | null;
  /** Must not be there. */
  readonly misses: Value | null;
  /** Is there afterwards; null: what was. */
  readonly sets: Value | null;
  readonly call: number;
  /** Infinity: may happen late, or never. */
  readonly end: number;
  /** Its number among the operations that are open at the same time. */
  slot: number;
  /** Whether `sees.seen` counts it. */
  counted: boolean;
  /** Latest time at which what it sets can still be there, as far as is known. */
  gone: number;
}

/** What an operation demands of the register; null: nothing, whatever its outcome. */
export function toStep(op: Operation, values: Values): Step | null {
  if (op.return !== null && !(op.return >= op.call)) {
    throw new RangeError(
      `client ${op.client}: ${op.kind} of ${op.key} returns at ${op.return}, called at ${op.call}`,
    );
  }
  const base = {
    op,
    sees: null,
    misses: null,
    sets: null,
    call: op.call,
    slot: -1,
    counted: false,
    gone: Number.POSITIVE_INFINITY,
  };
  const end = op.return ?? Number.POSITIVE_INFINITY;
  switch (op.kind) {
    case 'read':
      return op.return === null ? null : { ...base, sees: values.of(op.result), end };
    case 'write':
      return { ...base, sets: values.of(op.value), end };
    case 'cas': {
      const expected = values.of(op.expected);
      if (op.return !== null && op.result === false) return { ...base, misses: expected, end };
      const sets = values.of(op.value);
      const sure = op.return !== null && op.result === true;
      if (!sure && sets === expected) return null;
      return { ...base, sees: expected, sets, end: sure ? end : Number.POSITIVE_INFINITY };
    }
  }
}

export function canHappen(step: Step, state: Value): boolean {
  return (step.sees === null || step.sees === state) && step.misses !== state;
}

/** It can happen now, and nobody will ever notice when it did: it may as well happen at once. */
export function isInert(step: Step, state: Value): boolean {
  return canHappen(step, state) && (step.sets === null || (step.sets === state && step.sees !== null));
}
