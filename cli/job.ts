/** `skein job`: what was asked for, how far it is, and what became of it. */
import type { Job } from '../src/config/model.ts';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import type { Row } from './fields.ts';
import { printInfo } from './info.ts';
import { reportEnd, watchJob } from './job-view.ts';
import { parseWhole } from './key-values.ts';
import { addListOptions, type ListOptions, printFields, printList } from './list.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';
import { parsePriority } from './submit.ts';

interface JobListOptions extends ListOptions {
  readonly pending?: boolean;
  readonly running?: boolean;
  readonly error?: boolean;
  readonly finished?: boolean;
}

interface SelectOptions {
  readonly pending?: boolean;
  readonly queued?: boolean;
  readonly waiting?: boolean;
}

function jobId(text: string): number {
  return parseWhole(text, 'job', 1);
}

/** Statuses that the filters name; null: all. */
function statusesOf(options: JobListOptions): ReadonlySet<string> | null {
  const wanted = new Set<string>();
  const add = (on: boolean | undefined, statuses: readonly string[]): void => {
    if (on) for (const status of statuses) wanted.add(status);
  };
  add(options.pending, ['queued', 'waiting', 'canceling']);
  add(options.running, ['running']);
  add(options.error, ['error']);
  add(options.finished, ['success', 'error', 'canceled']);
  return wanted.size === 0 ? null : wanted;
}

/** Ids given, or those of all jobs in the states named. */
async function selectJobs(
  session: Session,
  args: readonly string[],
  options: SelectOptions,
): Promise<readonly number[]> {
  const by_state = options.pending || options.queued || options.waiting;
  if (by_state && args.length > 0) throw usageError(`job ${args[0]} was named beside a state`, 'one of both');
  if (!by_state) {
    if (args.length === 0) throw usageError('no job was named', 'a job id, or --pending');
    return args.map(jobId);
  }
  const rows = await session.query('job', [], false);
  const match = (row: Row): boolean =>
    (row.status === 'queued' && (options.pending || options.queued) === true) ||
    (row.status === 'waiting' && (options.pending || options.waiting) === true);
  return rows.filter(match).map((row) => Number(row.id));
}

async function cancel(session: Session, ids: readonly number[]): Promise<ExitStatus> {
  const answers = [];
  for (const job of ids) answers.push({ job, ...(await session.call('job.cancel', { job })) });
  if (session.globals.json) session.printJson(answers);
  else
    for (const { job, canceled, message } of answers)
      session.print(message || `job ${job} ${canceled ? 'canceled' : 'not canceled'}`);
  return answers.every(({ canceled }) => canceled) ? exit_status.ok : exit_status.failure;
}

async function watch(session: Session, id: number): Promise<ExitStatus> {
  const watched = await watchJob(session, id);
  if (watched.type === 'detached') {
    session.terminal.err(`\nThe job goes on. To see it again: skein job watch ${id}\n`);
    return exit_status.failure;
  }
  const job: Job = watched.job;
  if (session.globals.json) session.printJson(job);
  return reportEnd(session, job, session.globals.json === true);
}

export const register: Register = (program, wrap) => {
  const job = program.command('job').description('what was asked for and what became of it');
  addListOptions(job.command('list'))
    .description('table of jobs')
    .argument('[jobs...]')
    .option('--pending', 'only those that have not begun')
    .option('--running', 'only those that run')
    .option('--error', 'only those that failed')
    .option('--finished', 'only those that have ended')
    .action(
      wrap((session, ids: string[], options: JobListOptions) => {
        const wanted = statusesOf(options);
        const names = ids.map((id) => String(jobId(id)));
        return printList(
          session,
          'job',
          names,
          options,
          (row) => wanted === null || wanted.has(String(row.status)),
        );
      }),
    );
  job
    .command('list-fields')
    .description('names of the columns for list -o')
    .option('--no-headers', 'no titles')
    .action(
      wrap(async (session, options: { readonly headers: boolean }) =>
        printFields(session, 'job', options.headers),
      ),
    );
  job
    .command('info')
    .alias('show')
    .description('everything about jobs')
    .argument('<jobs...>')
    .option('--stale', 'answer from this node’s own copy')
    .action(
      wrap((session, ids: string[], options: { readonly stale?: boolean }) =>
        printInfo(
          session,
          'job',
          ids.map((id) => String(jobId(id))),
          false,
          options.stale === true,
        ),
      ),
    );
  job
    .command('watch')
    .alias('wait')
    .description('follow a job to its end; its exit status is the job’s')
    .argument('<job>')
    .action(wrap((session, id: string) => watch(session, jobId(id))));
  job
    .command('cancel')
    .description('cancel jobs: a waiting one at once, a running one is undone')
    .argument('[jobs...]')
    .option('-f, --force', 'accepted for Ganeti’s sake')
    .option('--pending', 'all that have not begun')
    .option('--queued', 'all that are queued')
    .option('--waiting', 'all that wait for locks')
    .action(
      wrap(async (session, ids: string[], options: SelectOptions) =>
        cancel(session, await selectJobs(session, ids, options)),
      ),
    );
  job
    .command('change-priority')
    .description('low, normal or high')
    .argument('[jobs...]')
    .requiredOption('--priority <priority>', 'low, normal or high')
    .option('-f, --force', 'accepted for Ganeti’s sake')
    .option('--pending', 'all that have not begun')
    .option('--queued', 'all that are queued')
    .option('--waiting', 'all that wait for locks')
    .action(
      wrap(async (session, ids: string[], options: SelectOptions & { readonly priority: string }) => {
        const priority = parsePriority(options.priority);
        for (const id of await selectJobs(session, ids, options))
          await session.call('job.priority', { job: id, priority });
      }),
    );
  job
    .command('archive')
    .description('drop jobs that have ended from the queue')
    .argument('<jobs...>')
    .action(
      wrap(async (session, ids: string[]) => {
        const { archived } = await session.call('job.archive', { jobs: ids.map(jobId) });
        if (session.globals.json) session.printJson({ archived });
        else session.print(`${archived} of ${ids.length} archived`);
        return archived === ids.length ? exit_status.ok : exit_status.failure;
      }),
    );
  job
    .command('why')
    .description('what a waiting job waits for')
    .argument('<job>')
    .action(
      wrap(async (session, id: string) => {
        const answer = await session.call('job.why', { job: jobId(id) });
        if (session.globals.json) session.printJson(answer);
        else session.print(answer.why ?? `job ${id} waits for nothing`);
      }),
    );
};
