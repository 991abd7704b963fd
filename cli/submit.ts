/**
 * Hands jobs in and follows them. Every submission carries one request id, kept over all its retries, so that a broken
 * connection never makes a job twice.
 */
import type { Command } from 'commander';
import type { Job, OpInput } from '../src/config/model.ts';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import { reportEnd, watchJob } from './job-view.ts';
import type { Session } from './session.ts';

export interface SubmitOptions {
  readonly submit?: boolean;
  readonly printJobid?: boolean;
  readonly priority?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
}

const priorities: Readonly<Record<string, number>> = { low: 10, normal: 0, high: -10 };

/** Ganeti's options of a command that submits jobs. @param dry_run what --dry-run does, if the command has one */
export function addSubmitOptions(command: Command, dry_run = 'not supported: refused'): Command {
  return command
    .option('--submit', 'print the job id and do not wait')
    .option('--print-jobid', 'print the job id first, and wait')
    .option('--priority <priority>', 'low, normal or high')
    .option('--reason <text>', 'recorded with the job')
    .option('--dry-run', dry_run);
}

export function parsePriority(text: string): number {
  const value = priorities[text];
  if (value !== undefined) return value;
  throw usageError(`--priority "${text}" is not known`, `one of ${Object.keys(priorities).join(', ')}`);
}

/**
 * Submits one job for each list of opcodes and, unless --submit, waits for all. `onSuccess` prints what a job brought
 * (not with --json, which prints the jobs); without `show_log` only that is shown.
 */
export async function submitJobs(
  session: Session,
  jobs: readonly (readonly OpInput[])[],
  options: SubmitOptions,
  onSuccess?: (job: Job) => void,
  show_log = true,
): Promise<ExitStatus> {
  if (options.dryRun) throw usageError('--dry-run is not supported', 'the same without it; nothing was done');
  const priority = options.priority === undefined ? null : parsePriority(options.priority);
  const { terminal } = session;
  const reason: readonly [string, string, number][] =
    options.reason === undefined ? [] : [['gnt:user', options.reason, terminal.now_ms() * 1_000_000]];
  const answer = await session.callAgain('submit', {
    // Loaded when needed: a command that only shows something does without.
    request_id: process.getBuiltinModule('node:crypto').randomUUID(),
    jobs: jobs.map((ops) => ({
      ops,
      ...(priority === null ? {} : { priority }),
      ...(reason.length === 0 ? {} : { reason }),
    })),
  });
  if (options.submit || options.printJobid) {
    if (options.submit && session.globals.json) session.printJson({ jobs: answer.jobs });
    else for (const id of answer.jobs) session.print(String(id));
  }
  if (options.submit) return exit_status.ok;
  return waitForJobs(session, answer.jobs, onSuccess, show_log);
}

async function waitForJobs(
  session: Session,
  ids: readonly number[],
  onSuccess: ((job: Job) => void) | undefined,
  show_log: boolean,
): Promise<ExitStatus> {
  const ended: Job[] = [];
  let status: ExitStatus = exit_status.ok;
  for (const [at, id] of ids.entries()) {
    const watched = await watchJob(session, id, show_log);
    if (watched.type === 'detached') {
      const rest = ids.slice(at);
      session.terminal.err(
        `\nThe job goes on. To see it again:\n${rest.map((job) => `  skein job watch ${job}\n`).join('')}`,
      );
      return exit_status.failure;
    }
    ended.push(watched.job);
    const own = reportEnd(session, watched.job, session.globals.json === true || onSuccess !== undefined);
    if (own !== exit_status.ok) status = own;
    else if (!session.globals.json) onSuccess?.(watched.job);
  }
  if (session.globals.json) session.printJson(ids.length === 1 ? ended[0] : ended);
  return status;
}
