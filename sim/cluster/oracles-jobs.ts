/**
 * What clients may rely on with jobs, judged from the configuration once it is at rest: O3 a request that was asked
 * several times is one job; O11 a job that did not succeed has left nothing, so that each instance was made by a job
 * that succeeded, and each name that a successful job removed is free. And, whenever a leader asks a node for something:
 * O11 a step that has ended is not done again. Pure.
 */
import type { StateView } from '../../src/config/api.ts';
import { stepKey } from '../../src/config/keys.ts';
import type { Job } from '../../src/config/model.ts';
import type { StepKey } from '../../src/ops/types.ts';

type View = Pick<StateView, 'list'>;

/** O11. @param state that of the leader which asks: what it has applied it knows */
export function doneAgain(state: Pick<StateView, 'get'>, { job, op, step, undo }: StepKey): string | null {
  const key = stepKey(job, op, step);
  const found = state.get('steps', key);
  const over = undo ? found?.status === 'undone' : found !== undefined && found.status !== 'open';
  if (found === undefined || !over) return null;
  const what = undo ? 'its undoing' : 'it';
  return `O11: step ${key} "${found.name}" is ${found.status} in the configuration, and ${what} is asked for again`;
}

/** O3. Each request of the simulated clients has one job in it. */
export function jobTwice(state: View): string | null {
  const jobs = new Map<string, number>();
  for (const { id, request_id } of state.list('jobs')) {
    const before = jobs.get(request_id);
    if (before !== undefined && request_id.startsWith('client-'))
      return `O3: ${request_id} became job ${before} and job ${id}`;
    jobs.set(request_id, id);
  }
  return null;
}

/** O11. To be asked when all jobs have ended, and none has been forgotten. */
export function notUndone(state: View): string | null {
  const made = new Map<string, number>();
  for (const job of state.list('jobs')) {
    for (const { input, status } of job.ops) {
      if (status !== 'success') continue;
      const name = String(input['instance_name']);
      const change = { OP_INSTANCE_CREATE: 1, OP_INSTANCE_REMOVE: -1 }[input.OP_ID] ?? 0;
      made.set(name, (made.get(name) ?? 0) + change);
    }
  }
  for (const { name } of state.list('instances')) {
    if (made.get(name) === 1 || excused(state.list('jobs'), name)) continue;
    return `O11: instance ${name} is there, and no job that succeeded has made it`;
  }
  return null;
}

/** A job that could not take everything back has said so (src/ops/undo.ts). */
function excused(jobs: readonly Job[], name: string): boolean {
  return jobs.some((job) =>
    job.ops.some(
      (op) =>
        op.input['instance_name'] === name &&
        op.log.some(([, , , text]) => String(text).includes('was not undone')),
    ),
  );
}
