/**
 * How an opcode's failure is told and kept: Ganeti's wire form `[class, [message, ecode]]`, and the signals that
 * travel through an opcode's stack without being failures of it.
 */
import { OpError } from './types.ts';

export type ErrorResult = readonly [string, readonly [string, string]];

/** The engine of this term is over: unwind, propose nothing, decide nothing. Never caught by an opcode. */
export class EngineStopped extends Error {
  constructor() {
    super('the job engine of this term has stopped');
    this.name = 'EngineStopped';
  }
}

/** Cancellation was requested and the op has not passed its point of no return. */
export class OpCanceled extends Error {
  constructor() {
    super('job canceled by request');
    this.name = 'OpCanceled';
  }
}

/** The state machine refused a command: it was applied and changed nothing. */
export class CommandRefused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CommandRefused';
    this.code = code;
  }
}

/** A replay that asks for another step than the log has. */
export class ReplayMismatch extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ReplayMismatch';
  }
}

export interface Failure {
  readonly status: 'error' | 'canceled';
  readonly result: ErrorResult | string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof OpCanceled) return { status: 'canceled', result: 'Job canceled by request' };
  if (error instanceof OpError)
    return { status: 'error', result: [error.kind, [error.message, error.ecode]] };
  const message = error instanceof Error ? error.message : String(error);
  return { status: 'error', result: ['OpExecError', [message, 'internal_error']] };
}

const ecode_of_refusal: Readonly<Record<string, OpError['ecode']>> = {
  'not-found': 'unknown_entity',
  exists: 'already_exists',
  stale: 'wrong_state',
  'in-use': 'wrong_state',
  invalid: 'wrong_input',
  denied: 'wrong_state',
  full: 'temp_insufficient_resources',
  'no-cluster': 'wrong_state',
};

/** A refused configuration change, as the operator sees it. */
export function opErrorOfRefusal(refused: CommandRefused): OpError {
  return new OpError('OpPrereqError', refused.message, ecode_of_refusal[refused.code] ?? 'internal_error');
}
