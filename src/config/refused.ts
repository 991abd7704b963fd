/**
 * How the apply functions say no. Thrown inside `config/` only; `State.apply` turns it into a result, so that it never
 * reaches a caller.
 */
import type { Refusal } from './commands.ts';

export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'Refused';
    this.refusal = refusal;
  }
}

/** Refuses the command as a whole: nothing of it takes effect. */
export function refuse(code: Refusal['code'], message: string): never {
  throw new Refused({ code, message });
}

/** A value for an error message: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
