/**
 * Jobs that a job has done by others: submitted once whatever becomes of the leader, and waited for.
 *
 * They take their own locks and are jobs like all others: seen, waited for, canceled. Only an op that counts not against
 * the number of running jobs (`waits_for_jobs`) may wait for them, or it might wait for ever.
 */
import { jobKey } from '../config/keys.ts';
import type { JobOp, OpInput } from '../config/model.ts';
import { isFinal } from './job-runner.ts';
import type { RunContext } from './op-context.ts';

export interface ChildEnd {
  readonly job: number;
  /** null: it succeeded. Otherwise what became of it, for people. */
  readonly problem: string | null;
}

const poll_ms = 500;

/**
 * Submits one job of one op, once, and resolves with what became of it when it has ended.
 * @param name unique within the op
 */
export async function runChild(ctx: RunContext, name: string, op: OpInput, why: string): Promise<ChildEnd> {
  const request_id = `job-${ctx.job}-${ctx.op}-${name}`;
  await ctx.commit(`submit-${name}`, [
    {
      type: 'job-submit',
      time: ctx.wall(),
      request_id,
      jobs: [{ ops: [op], priority: 0, depends: [], reason: [['skein', why, 0]] }],
    },
  ]);
  const job = await ctx.learn(`job-${name}`, () => ctx.state.get('requests', request_id)?.jobs[0] ?? null);
  if (job === null)
    return { job: 0, problem: 'it was submitted so long ago that its number is not known any more' };
  while (!hasEnded(ctx, job)) await ctx.pause(poll_ms);
  const problem = await ctx.learn(`end-${name}`, () => problemOf(ctx, job));
  return { job, problem };
}

function hasEnded(ctx: RunContext, job: number): boolean {
  const found = ctx.state.get('jobs', jobKey(job));
  return found === undefined || isFinal(found.status);
}

function problemOf(ctx: RunContext, job: number): string | null {
  const found = ctx.state.get('jobs', jobKey(job));
  if (found === undefined) return 'it was archived before anybody read what became of it';
  if (found.status === 'success') return null;
  const failed = found.ops.find((op) => op.status === 'error');
  return failed === undefined ? `it was ${found.status}` : errorText(failed);
}

/** Ganeti's form of an error is [class, [message, code]]. */
function errorText({ result }: JobOp): string {
  if (!Array.isArray(result) || !Array.isArray(result[1])) return JSON.stringify(result);
  return String(result[1][0]);
}
