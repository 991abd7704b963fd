/**
 * Commands on jobs as a whole: accepted once, started once, ended once.
 */
import type { Command } from './commands.ts';
import type { Draft } from './draft.ts';
import { isActive, isFinal, isPending, statusOfOps } from './job-status.ts';
import { jobKey, meta_key, stepPrefix } from './keys.ts';
import { limits } from './limits.ts';
import type { Job, JobOp, OpStatus } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Value: the new ids, in order; for a request id that was accepted before, the ids of then, and nothing changes. */
export function applyJobSubmit(draft: Draft, command: Of<'job-submit'>): readonly number[] {
  draft.cluster();
  const known = draft.get('requests', command.request_id);
  if (known !== undefined) return known.jobs;

  let pending = 0;
  for (const job of draft.values('jobs')) if (!isFinal(job.status)) pending += 1;
  if (pending + command.jobs.length > limits.pending_jobs) {
    refuse(
      'full',
      `the job queue holds ${pending} jobs that have not ended: expected ${limits.pending_jobs} at most`,
    );
  }
  const meta = draft.meta();
  const first = meta.next_job;
  const ids = command.jobs.map((_, at) => first + at);
  command.jobs.forEach((wanted, at) => {
    const id = first + at;
    draft.put('jobs', jobKey(id), {
      id,
      request_id: command.request_id,
      ops: wanted.ops.map((input) => newOp(input, wanted.priority)),
      status: 'queued',
      depends: wanted.depends.map((one) => ({
        job: dependency(draft, one.job, at, first),
        states: one.states,
      })),
      locks: [],
      cancel_requested: false,
      received_timestamp: command.time,
      start_timestamp: null,
      end_timestamp: null,
      reason: wanted.reason,
    });
  });
  draft.put('meta', meta_key, { ...meta, next_job: first + command.jobs.length });
  forgetOldestRequests(draft);
  draft.put('requests', command.request_id, {
    request_id: command.request_id,
    jobs: ids,
    index: draft.index,
  });
  return ids;
}

function newOp(input: JobOp['input'], priority: number): JobOp {
  return {
    input,
    version: 0,
    status: 'queued',
    result: null,
    log: [],
    priority,
    start_timestamp: null,
    exec_timestamp: null,
    end_timestamp: null,
  };
}

/** -1 is the job before, in the same request; a positive number must be a job that is known. */
function dependency(draft: Draft, job: number, at: number, first: number): number {
  if (job < 0) {
    if (at + job < 0)
      refuse('invalid', `depends on job ${job}: expected one of the ${at} jobs before it in this request`);
    return first + at + job;
  }
  if (job === 0 || job >= first)
    refuse('invalid', `depends on job ${job}: expected the id of an earlier job, or a negative offset`);
  return draft.job(job).id;
}

/** Makes room for one more. */
function forgetOldestRequests(draft: Draft): void {
  const surplus = draft.count('requests') + 1 - limits.requests;
  if (surplus <= 0) return;
  const oldest = [...draft.values('requests')].sort(
    (a, b) => a.index - b.index || (a.request_id < b.request_id ? -1 : 1),
  );
  for (const request of oldest.slice(0, surplus)) draft.delete('requests', request.request_id);
}

/** Its locks are granted: it runs. Value: null. */
export function applyJobStart(draft: Draft, command: Of<'job-start'>): null {
  const job = draft.job(command.job);
  if (!isPending(job.status)) refuse('stale', `job ${job.id} is ${job.status}: expected queued or waiting`);
  putJob(draft, { ...job, status: 'running', start_timestamp: command.time, locks: command.locks });
  return null;
}

/**
 * A job that has not begun ends at once; of one that has, the wish is recorded and its engine undoes it.
 * Value: the job's status from now on, `canceled` or `canceling`.
 */
export function applyJobCancel(draft: Draft, command: Of<'job-cancel'>): OpStatus {
  const job = draft.job(command.job);
  if (isFinal(job.status)) refuse('stale', `job ${job.id} has ended already (${job.status})`);
  if (isPending(job.status)) {
    endJob(draft, job, 'canceled', command.time);
    return 'canceled';
  }
  if (!job.cancel_requested) {
    const ops = job.ops.map((op): JobOp => (op.status === 'running' ? { ...op, status: 'canceling' } : op));
    putJob(draft, { ...job, ops, status: 'canceling', cancel_requested: true });
  }
  return 'canceling';
}

/** For the ops that have not ended. Value: null. */
export function applyJobPriority(draft: Draft, command: Of<'job-priority'>): null {
  const job = draft.job(command.job);
  if (isFinal(job.status)) refuse('stale', `job ${job.id} has ended already (${job.status})`);
  const ops = job.ops.map((op) => (isFinal(op.status) ? op : { ...op, priority: command.priority }));
  putJob(draft, { ...job, ops });
  return null;
}

/** Value: null. */
export function applyJobHold(draft: Draft, command: Of<'job-hold'>): null {
  const job = draft.job(command.job);
  if (isFinal(job.status)) refuse('stale', `job ${job.id} has ended already (${job.status})`);
  putJob(draft, command.why === null ? released(job) : { ...job, hold: command.why });
  return null;
}

function released(job: Job): Job {
  const { hold: _hold, ...rest } = job;
  return rest;
}

/** Value: the status that its ops give the job. */
export function applyJobEnd(draft: Draft, command: Of<'job-end'>): OpStatus {
  const job = draft.job(command.job);
  if (isFinal(job.status)) refuse('stale', `job ${job.id} has ended already (${job.status})`);
  const open = job.ops.findIndex((op) => !isFinal(op.status));
  if (command.status === 'success' && open >= 0) {
    refuse('invalid', `job ${job.id} cannot end as success: its op ${open} is ${job.ops[open]!.status}`);
  }
  return endJob(draft, job, command.status, command.time);
}

function endJob(draft: Draft, job: Job, status: 'success' | 'error' | 'canceled', time: number): OpStatus {
  const ops = job.ops.map((op): JobOp => {
    if (isFinal(op.status)) return op;
    const result = status === 'error' ? ['OpExecError', ['An earlier opcode of this job failed']] : null;
    return { ...op, status, end_timestamp: time, result };
  });
  const ended: Job = { ...released(job), ops, status: statusOfOps(ops), locks: [], end_timestamp: time };
  if (!isFinal(ended.status)) throw new Error(`job ${job.id} ended as ${ended.status}`);
  putJob(draft, ended);
  for (const key of draft.keysUnder('steps', stepPrefix(job.id))) draft.delete('steps', key);
  dropOldestFinished(draft, ended);
  return ended.status;
}

/** Keeps the last finished jobs; one that a job still waiting depends on stays, so that its state can be asked. */
function dropOldestFinished(draft: Draft, ended: Job): void {
  if (draft.count('jobs') <= limits.finished_jobs) return;
  const finished: Job[] = [];
  const needed = new Set<number>([ended.id]);
  for (const job of draft.values('jobs')) {
    if (isFinal(job.status)) finished.push(job);
    else for (const one of job.depends) needed.add(one.job);
  }
  let surplus = finished.length - limits.finished_jobs;
  if (surplus <= 0) return;
  finished.sort((a, b) => (a.end_timestamp ?? 0) - (b.end_timestamp ?? 0) || a.id - b.id);
  for (const job of finished) {
    if (surplus === 0) return;
    if (needed.has(job.id)) continue;
    draft.delete('jobs', jobKey(job.id));
    surplus -= 1;
  }
}

/** Value: how many went. One that is not there (any more) is not counted; one that has not ended refuses them all. */
export function applyJobArchive(draft: Draft, command: Of<'job-archive'>): number {
  draft.cluster();
  const needed = new Map<number, number>();
  for (const job of draft.values('jobs')) {
    if (!isFinal(job.status)) for (const one of job.depends) needed.set(one.job, job.id);
  }
  let archived = 0;
  for (const id of new Set(command.jobs)) {
    const job = draft.get('jobs', jobKey(id));
    if (job === undefined) continue;
    if (!isFinal(job.status))
      refuse('in-use', `job ${id} is ${job.status}: only jobs that have ended can be archived`);
    const waiting = needed.get(id);
    if (waiting !== undefined) refuse('in-use', `job ${id} cannot be archived: job ${waiting} depends on it`);
    draft.delete('jobs', jobKey(id));
    archived += 1;
  }
  return archived;
}

export function putJob(draft: Draft, job: Job): void {
  draft.put('jobs', jobKey(job.id), job);
}

/** A job that may act; anything else is a late call of an engine that has been overtaken. */
export function activeJob(draft: Draft, id: number): Job {
  const job = draft.job(id);
  if (!isActive(job.status)) refuse('stale', `job ${id} is ${job.status}: expected it running`);
  return job;
}
