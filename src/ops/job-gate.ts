/**
 * What must be true before a job may ask for its locks: its opcodes can be read, and what it depends on has ended as
 * it asked for. Pure.
 */
import type { StateView } from '../config/api.ts';
import { jobKey, meta_key } from '../config/keys.ts';
import type { Job, LockRequest, OpInput } from '../config/model.ts';
import { isFinal } from './job-runner.ts';
import { mergeLocks } from './locks.ts';
import { type Opcode, OpError } from './types.ts';

export type Gate =
  | { readonly type: 'open' }
  | { readonly type: 'wait'; readonly job: number }
  | { readonly type: 'never'; readonly error: OpError };

/** Whether the jobs that this one depends on have ended, and as it wants. */
export function dependencyGate(state: StateView, job: Job): Gate {
  for (const { job: wanted, states } of job.depends) {
    const other = state.get('jobs', jobKey(wanted));
    if (!other) {
      const was_there = wanted < (state.get('meta', meta_key)?.next_job ?? 1);
      // Ended long ago and forgotten: enough for who only wants it ended.
      if (was_there && states.length === 0) continue;
      const what = was_there ? 'is no longer kept, so how it ended cannot be told' : 'does not exist';
      return never(`job ${job.id} depends on job ${wanted}, which ${what}`);
    }
    if (!isFinal(other.status)) return { type: 'wait', job: wanted };
    if (states.length > 0 && !states.includes(other.status)) {
      return never(
        `job ${job.id} depends on job ${wanted} ending as ${states.join(' or ')}; it ended as ${other.status}`,
      );
    }
  }
  return { type: 'open' };
}

function never(message: string): Gate {
  return { type: 'never', error: new OpError('OpPrereqError', message, 'wrong_state') };
}

/**
 * Reads the opcodes of a submission without doing anything; for whoever accepts jobs, so that bad input is refused
 * before it is queued. Throws an {@link OpError} that names the operation, the parameter, its value and what was expected.
 */
export function checkOps(opcodes: ReadonlyMap<string, Opcode<unknown>>, ops: readonly OpInput[]): void {
  ops.forEach((input, position) => {
    const opcode = opcodes.get(input.OP_ID);
    const which = ops.length > 1 ? `operation ${position + 1}: ` : '';
    if (!opcode) {
      throw new OpError(
        'OpPrereqError',
        `${which}${JSON.stringify(input.OP_ID)} is no operation of this cluster`,
        'wrong_input',
      );
    }
    try {
      opcode.parse(input);
    } catch (error) {
      if (!(error instanceof OpError) || which === '') throw error;
      throw new OpError(error.kind, which + error.message, error.ecode);
    }
  });
}

/** The locks of all ops of a job together: taken at once, kept to its end. */
export function jobLocks(
  opcodes: ReadonlyMap<string, Opcode<unknown>>,
  job: Job,
  state: StateView,
): readonly LockRequest[] {
  return mergeLocks(
    job.ops.flatMap(({ input }) => {
      const opcode = opcodes.get(input.OP_ID);
      return opcode ? opcode.locks(opcode.parse(input), state) : [];
    }),
  );
}
