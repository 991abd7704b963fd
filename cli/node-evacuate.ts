/** `skein node evacuate`: everything off a node, after one plan that is shown and asked about first. */
import type { Command } from 'commander';
import type { OpInput } from '../src/config/model.ts';
import type { ApiMethods } from '../src/node/api-types.ts';
import { confirm } from './confirm.ts';
import { CliError, type ExitStatus, exit_status, usageError } from './exit-status.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';
import { formatTable } from './table.ts';

export interface EvacuateOptions extends SubmitOptions {
  readonly primaryOnly?: boolean;
  readonly secondaryOnly?: boolean;
  readonly newSecondary?: string;
  readonly to?: string;
  readonly allowRestart?: boolean;
  readonly earlyRelease?: boolean;
  readonly force?: boolean;
}

type Answer = ApiMethods['evacuation.plan']['result'];
type Plan = Answer['plan'];

export function describeEvacuate(command: Command): Command {
  return addSubmitOptions(command, 'show what would go where, and change nothing')
    .description('move every instance off a node; the node stays as it is, drained or not')
    .argument('<node>')
    .option('-p, --primary-only', 'only instances that run there, or would')
    .option('-s, --secondary-only', 'only second copies (no disk template has any yet)')
    .option('-n, --new-secondary <node>', 'Ganeti’s name of --to')
    .option('--to <node>', 'all to this node; without it each goes where placement finds it best')
    .option(
      '--allow-restart',
      'stop what runs and start it elsewhere (live migration is not there yet); without it nothing that runs is moved',
    )
    .option('--early-release', 'Ganeti’s; changes nothing, since there are no second copies')
    .option('-f, --force', 'do not ask');
}

/** What is asked for, as the job and the plan of it take it. */
interface Asked {
  readonly mode: 'all' | 'primary-only' | 'secondary-only';
  readonly to: string | undefined;
  readonly allow_restart: boolean;
}

function askedBy(options: EvacuateOptions): Asked {
  const { primaryOnly, secondaryOnly, newSecondary, to } = options;
  if (primaryOnly && secondaryOnly)
    throw usageError('--primary-only and --secondary-only exclude each other', 'neither of them, for both');
  if (newSecondary !== undefined && to !== undefined && newSecondary !== to)
    throw usageError('--new-secondary and --to are the same, and name two nodes', 'one of them');
  return {
    mode: primaryOnly ? 'primary-only' : secondaryOnly ? 'secondary-only' : 'all',
    to: to ?? newSecondary,
    allow_restart: options.allowRestart === true,
  };
}

export function evacuateOp(name: string, options: EvacuateOptions): OpInput {
  const { mode, to, allow_restart } = askedBy(options);
  return {
    OP_ID: 'OP_NODE_EVACUATE',
    node_name: name,
    mode,
    ...(to === undefined ? {} : { remote_node: to }),
    allow_restart,
    early_release: options.earlyRelease === true,
  };
}

export async function evacuateCommand(
  session: Session,
  name: string,
  options: EvacuateOptions,
): Promise<ExitStatus> {
  const op = evacuateOp(name, options);
  const { dryRun, ...submit } = options;
  if (dryRun) return dryRunOf(session, name, options);
  const row = await session.queryOne('node', name);
  if (!options.force) {
    const { plan, refused } = await askPlan(session, name, options);
    if (refused !== null) throw refusalError(refused, name);
    await confirm(session.terminal, lossOf(plan), plan.moves.length === 0);
  }
  const node = String(row.name);
  const hint =
    row.drained === true
      ? `node ${node} is drained: nothing new comes there`
      : `node ${node} is not drained by this, and takes new instances; to change that: skein node modify ${node} --drained yes`;
  const status = await submitJobs(session, [[op]], submit);
  if (status === exit_status.ok) session.terminal.err(`${hint}\n`);
  return status;
}

function askPlan(session: Session, node: string, options: EvacuateOptions): Promise<Answer> {
  const { mode, to, allow_restart } = askedBy(options);
  return session.call('evacuation.plan', {
    node,
    mode,
    allow_restart,
    ...(to === undefined ? {} : { to }),
  });
}

/** It ends as the command itself would begin. */
async function dryRunOf(session: Session, name: string, options: EvacuateOptions): Promise<ExitStatus> {
  const { plan, refused } = await askPlan(session, name, options);
  if (session.globals.json) session.printJson({ plan, refused });
  else if (plan.moves.length + plan.stuck.length === 0)
    session.print(`node ${plan.node.name}: nothing is to be moved`);
  else session.printLines(planLines(plan));
  if (refused !== null) throw refusalError(refused, name);
  return exit_status.ok;
}

function refusalError(refused: string, node: string): CliError {
  return new CliError(
    `nothing was done: ${refused}`,
    `skein node evacuate ${node} --dry-run, or --help`,
    exit_status.failure,
  );
}

function planLines({ moves, stuck }: Plan): readonly string[] {
  const columns = ['Instance', 'To', 'How'].map((title) => ({ title, align: 'left' as const }));
  const rows = [
    ...moves.map(({ instance, to, restarts, warning }) => [
      instance.name,
      to.name,
      `${restarts ? 'is stopped, and started there' : 'stays stopped'}${warning === null ? '' : ` (${warning})`}`,
    ]),
    ...stuck.map(({ instance, reason }) => [instance.name, '-', `cannot go: ${reason}`]),
  ];
  return formatTable(columns, rows, { headers: true, separator: null });
}

function lossOf({ node, moves }: Plan): string {
  const all = moves.map(({ instance, to }) => `${instance.name} to ${to.name}`).join(', ');
  const restarted = moves.filter(({ restarts }) => restarts).map(({ instance }) => instance.name);
  const count = moves.length === 1 ? '1 instance' : `${moves.length} instances`;
  const stop =
    restarted.length === 0 ? 'None of them runs.' : `Stopped, and started there: ${restarted.join(', ')}.`;
  return `This will move ${count} off node ${node.name}: ${all}. ${stop}`;
}
