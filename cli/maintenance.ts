/** `skein maintenance`: hosts rebooted group after group, what runs on them put elsewhere meanwhile. */
import type { Command } from 'commander';
import type { OpInput, OpLogLine } from '../src/config/model.ts';
import { CliError, type ExitStatus, exit_status, usageError } from './exit-status.ts';
import { parseWhole } from './key-values.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

const opcode = 'OP_MAINTENANCE_RUN';
const programs = ['program', 'oob', 'hand'];

interface WhichOptions {
  readonly nodeGroup?: string;
  readonly offline?: boolean;
  readonly atOnce?: string;
}

interface RunOptions extends WhichOptions, SubmitOptions {
  readonly rebootBy: string;
  readonly moveBack: boolean;
  readonly rebootTimeout?: string;
  readonly shutdownTimeout?: string;
}

function addWhich(command: Command): Command {
  return command
    .argument('[nodes...]', 'nodes to reboot; none: all')
    .option('-g, --node-group <group>', 'only nodes of this group')
    .option('--at-once <n>', 'at most so many hosts at a time (a tenth of the cluster, or one)')
    .option('--offline', 'stop what runs on them instead of moving it');
}

/** What is shown of a job. */
interface JobRow {
  readonly id: number;
  readonly status: string;
  readonly end_ts: number | null;
  readonly hold: string | null;
  readonly ops: readonly OpInput[];
  readonly oplog: readonly (readonly OpLogLine[])[];
}

/** The maintenance meant: the one named, or the only one that has not ended. */
async function theJob(session: Session, text: string | undefined): Promise<JobRow> {
  const rowsOf = async (names: readonly string[]): Promise<readonly JobRow[]> =>
    (await session.query('job', names, false)) as unknown as readonly JobRow[];
  if (text !== undefined) {
    const id = parseWhole(text, 'job', 1);
    const [row] = await rowsOf([String(id)]);
    if (row === undefined || !isMaintenance(row))
      throw usageError(`job ${id} is no maintenance`, 'the id of one: skein job list');
    return row;
  }
  const open = (await rowsOf([])).filter((row) => isMaintenance(row) && row.end_ts === null);
  if (open.length === 1) return open[0]!;
  throw new CliError(
    open.length === 0 ? 'no maintenance is under way' : `${open.length} are under way: name one`,
    'skein job list',
  );
}

function isMaintenance({ ops }: JobRow): boolean {
  return ops.some(({ OP_ID }) => OP_ID === opcode);
}

async function hold(session: Session, text: string | undefined, why: string | null): Promise<void> {
  const { id } = await theJob(session, text);
  await session.call('job.hold', { job: id, why });
  if (session.globals.json) session.printJson({ job: id, hold: why });
  else if (why === null) session.print(`job ${id} goes on`);
  else session.print(`job ${id} waits after the step at hand; to go on: skein maintenance resume ${id}`);
}

async function status(session: Session, text: string | undefined): Promise<ExitStatus> {
  const job = await theJob(session, text);
  if (session.globals.json) {
    session.printJson(job);
    return exit_status.ok;
  }
  session.print(`job ${job.id}: ${job.hold === null ? job.status : `waits: ${job.hold}`}`);
  const log = job.oplog[0] ?? [];
  for (const [, [seconds], , line] of log.slice(-20))
    session.print(`  ${new Date(seconds * 1000).toISOString().slice(11, 19)} ${String(line)}`);
  if (job.hold !== null) session.print(`to go on: skein maintenance resume ${job.id}`);
  return exit_status.ok;
}

function atOnce({ atOnce: text }: WhichOptions): { readonly at_once?: number } {
  return text === undefined ? {} : { at_once: parseWhole(text, '--at-once', 1) };
}

function runOp(nodes: readonly string[], options: RunOptions): OpInput {
  if (!programs.includes(options.rebootBy))
    throw usageError(`--reboot-by "${options.rebootBy}" is not known`, `one of ${programs.join(', ')}`);
  return {
    OP_ID: opcode,
    nodes,
    ...(options.nodeGroup === undefined ? {} : { group_name: options.nodeGroup }),
    offline: options.offline === true,
    ...atOnce(options),
    reboot_by: options.rebootBy,
    move_back: options.moveBack,
    ...(options.rebootTimeout === undefined
      ? {}
      : { reboot_timeout: parseWhole(options.rebootTimeout, '--reboot-timeout', 1) }),
    ...(options.shutdownTimeout === undefined
      ? {}
      : { shutdown_timeout: parseWhole(options.shutdownTimeout, '--shutdown-timeout', 0) }),
  };
}

export const register: Register = (program, wrap) => {
  const maintenance = program
    .command('maintenance')
    .description('reboot hosts group after group, without losing what runs on them');
  addWhich(maintenance.command('plan'))
    .description(
      'which nodes go together, and every step, with its time and the load meanwhile; changes nothing',
    )
    .action(
      wrap(async (session, nodes: string[], options: WhichOptions) => {
        const answer = await session.call('maintenance.plan', {
          nodes,
          ...(options.nodeGroup === undefined ? {} : { group: options.nodeGroup }),
          offline: options.offline === true,
          ...atOnce(options),
        });
        if (session.globals.json) session.printJson(answer.plan);
        else for (const line of answer.lines) session.print(line);
      }),
    );
  addSubmitOptions(addWhich(maintenance.command('run')))
    .description(
      'carry it out as one job: drain, reboot, look, put back; waits by itself when anything is not well',
    )
    .option(
      '--reboot-by <how>',
      'program: each node runs its operator’s reboot program; oob: the node’s oob_program is called on another node; hand: you do it',
      'program',
    )
    .option('--no-move-back', 'what was moved stays where it is')
    .option('--reboot-timeout <seconds>', 'until a person is asked (1800)')
    .option('--shutdown-timeout <seconds>', 'given to a guest to shut down (120)')
    .action(
      wrap((session, nodes: string[], options: RunOptions) =>
        submitJobs(session, [[runOp(nodes, options)]], options),
      ),
    );
  maintenance
    .command('status')
    .description('how far it is, and what it waits for')
    .argument('[job]')
    .action(wrap((session, job: string | undefined) => status(session, job)));
  maintenance
    .command('pause')
    .description('have it wait after the step at hand')
    .argument('[job]')
    .option('--why <text>', 'shown to whoever looks', 'paused by an operator')
    .action(
      wrap((session, job: string | undefined, options: { readonly why: string }) =>
        hold(session, job, options.why),
      ),
    );
  maintenance
    .command('resume')
    .description('let it go on')
    .argument('[job]')
    .action(wrap((session, job: string | undefined) => hold(session, job, null)));
};
