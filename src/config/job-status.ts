/**
 * What the states of jobs and opcodes mean, as Ganeti has them.
 */
import type { Job, OpStatus } from './model.ts';

/** Ended: nothing changes any more. */
export function isFinal(status: OpStatus): boolean {
  return status === 'success' || status === 'error' || status === 'canceled';
}

/** Accepted, not begun. */
export function isPending(status: OpStatus): boolean {
  return status === 'queued' || status === 'waiting';
}

/** Between its start and its end: it may act, or undo. */
export function isActive(status: OpStatus): boolean {
  return status === 'running' || status === 'canceling';
}

/** All succeeded: success; otherwise the first error, cancellation or opcode under way decides. */
export function statusOfOps(ops: Job['ops']): OpStatus {
  for (const { status } of ops) {
    switch (status) {
      case 'success':
        continue;
      case 'error':
      case 'canceled':
      case 'canceling':
      case 'running':
      case 'waiting':
        return status;
      case 'queued':
        // Between two opcodes the job is still running.
        return ops[0]!.status === 'success' ? 'running' : 'queued';
      default:
        return status satisfies never;
    }
  }
  return 'success';
}
