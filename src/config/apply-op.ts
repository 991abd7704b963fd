/**
 * Commands on the opcodes of a running job. They run one after the other, in order.
 */
import { activeJob, putJob } from './apply-job.ts';
import { canonical } from './canonical.ts';
import type { Command } from './commands.ts';
import type { Draft } from './draft.ts';
import { isActive, isFinal, isPending } from './job-status.ts';
import { limits } from './limits.ts';
import type { Job, JobOp, OpLogLine } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Value: null. */
export function applyOpStart(draft: Draft, command: Of<'op-start'>): null {
  const job = activeJob(draft, command.job);
  const op = opOf(job, command.op);
  if (!isPending(op.status))
    refuse('stale', `op ${command.op} of job ${job.id} is ${op.status}: expected queued`);
  const before = job.ops.slice(0, command.op).findIndex((earlier) => earlier.status !== 'success');
  if (before >= 0) {
    refuse(
      'stale',
      `op ${command.op} of job ${job.id} cannot start: op ${before} is ${job.ops[before]!.status}`,
    );
  }
  const status = job.cancel_requested ? 'canceling' : 'running';
  const { version, time } = command;
  putOp(draft, job, command.op, { ...op, status, version, start_timestamp: time, exec_timestamp: time });
  return null;
}

/** Value: the line's serial number, which rises through all ops of the job (Ganeti's log serial). */
export function applyOpLog(draft: Draft, command: Of<'op-log'>): number {
  const job = activeJob(draft, command.job);
  const op = opOf(job, command.op);
  if (!isActive(op.status))
    refuse('stale', `op ${command.op} of job ${job.id} is ${op.status}: expected it running`);
  const text = command.text ?? null;
  const length = canonical(text).length;
  if (length > limits.log_text_chars) {
    refuse(
      'invalid',
      `a log line of ${length} characters is too long: expected ${limits.log_text_chars} at most`,
    );
  }
  // The last line of an op is never dropped, so the highest serial is always among these.
  const serial = Math.max(0, ...job.ops.map((one) => one.log.at(-1)?.[0] ?? 0)) + 1;
  const seconds = Math.floor(command.time);
  const micros = Math.min(999_999, Math.floor((command.time - seconds) * 1e6));
  const line: OpLogLine = [serial, [seconds, micros], command.kind, text];
  putOp(draft, job, command.op, { ...op, log: [...op.log, line].slice(-limits.log_lines_per_op) });
  return serial;
}

/** Value: null. An op that never began may fail or be canceled, but not succeed. */
export function applyOpEnd(draft: Draft, command: Of<'op-end'>): null {
  const job = activeJob(draft, command.job);
  const op = opOf(job, command.op);
  if (isFinal(op.status))
    refuse('stale', `op ${command.op} of job ${job.id} has ended already (${op.status})`);
  if (command.status === 'success' && !isActive(op.status)) {
    refuse(
      'stale',
      `op ${command.op} of job ${job.id} is ${op.status}: expected it running before it succeeds`,
    );
  }
  const { status, time } = command;
  putOp(draft, job, command.op, { ...op, status, result: command.result ?? null, end_timestamp: time });
  return null;
}

/** The op at a position; refused when the job has no such op. */
export function opOf(job: Job, at: number): JobOp {
  return job.ops[at] ?? refuse('not-found', `job ${job.id} has no op ${at}: it has ${job.ops.length}`);
}

function putOp(draft: Draft, job: Job, at: number, op: JobOp): void {
  putJob(draft, { ...job, ops: job.ops.map((one, position) => (position === at ? op : one)) });
}
