/** What a client did to one register, and when: the events of which a history is made. */

/**
 * One operation. Times are of one clock, in any unit; two operations whose times touch count as concurrent.
 *
 * `return` null: the outcome is unknown, it may take effect at any time after `call` or never. What failed for sure is in
 * no history.
 */
export interface Operation {
  readonly client: number;
  readonly kind: 'read' | 'write' | 'cas';
  readonly key: string;
  /** write: what is set; cas: what it sets when `expected` is there. */
  readonly value?: unknown;
  /** cas only; null: nothing there. */
  readonly expected?: unknown;
  /** read: what was there, null for nothing; cas: true or false, undefined when unknown. */
  readonly result?: unknown;
  readonly call: number;
  readonly return: number | null;
}

export type CheckResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly key: string; readonly reason: string };

/** An operation in words, for a person who looks for it in the history. */
export function describeOperation(op: Operation): string {
  const show = (value: unknown): string => JSON.stringify(value ?? null);
  const what =
    op.kind === 'read'
      ? `read of ${show(op.result)}`
      : op.kind === 'write'
        ? `write of ${show(op.value)}`
        : `cas of ${show(op.expected)} to ${show(op.value)}, ${op.result === undefined ? 'unknown' : op.result ? 'done' : 'refused'},`;
  return `${what} by client ${op.client} (called at ${op.call}, returned at ${op.return ?? 'no known time'})`;
}
