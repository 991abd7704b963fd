/** `skein instance startup|shutdown|reboot`: one job for each instance named or selected, as Ganeti does. */
import type { Command } from 'commander';
import type { OpInput } from '../src/config/model.ts';
import { confirm } from './confirm.ts';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import type { Row } from './fields.ts';
import { parseHypervisorParams, parseWhole } from './key-values.ts';
import { parseBackendParams, typeHypervisorParams } from './param-types.ts';
import type { Wrap } from './register.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

interface SelectOptions extends SubmitOptions {
  readonly forceMultiple?: boolean;
  readonly instance?: boolean;
  readonly node?: boolean;
  readonly primary?: boolean;
  readonly all?: boolean;
  readonly tags?: boolean;
}

function addSelectOptions(command: Command): Command {
  return addSubmitOptions(command)
    .option('--instance', 'the arguments are instances (the default)')
    .option('--node', 'the arguments are nodes: all instances there')
    .option('--primary', 'the same as --node')
    .option('--tags', 'the arguments are tags: all instances with one of them')
    .option('--all', 'all instances')
    .option('--force-multiple', 'do not ask when more than one instance is concerned');
}

function hasTag(row: Row, tags: readonly string[]): boolean {
  return Array.isArray(row.tags) && (row.tags as unknown[]).some((tag) => tags.includes(String(tag)));
}

/** Names of the instances that arguments and selectors mean; asks when selectors found more than one. */
async function selectInstances(
  session: Session,
  verb: string,
  args: readonly string[],
  options: SelectOptions,
): Promise<readonly string[]> {
  const by_node = options.node || options.primary;
  const modes = [options.instance, by_node, options.tags, options.all].filter((mode) => mode === true);
  if (modes.length > 1)
    throw usageError('--instance, --node, --tags and --all exclude each other', 'one of them');
  if (options.all && args.length > 0)
    throw usageError(`--all takes no names, but "${args[0]}" was given`, 'without names');
  if (!options.all && args.length === 0)
    throw usageError(`${verb}: nothing was named`, `skein instance ${verb} NAME, or --all`);
  if (modes.length === 0 || options.instance) {
    if (args.length > 1 && !options.forceMultiple) {
      await confirm(
        session.terminal,
        `This will ${verb} ${args.length} instances: ${args.join(', ')}.`,
        false,
      );
    }
    return args;
  }
  const rows = await session.query('instance', [], false);
  const chosen = rows
    .filter((row) => options.all || (by_node ? args.includes(String(row.pnode)) : hasTag(row, args)))
    .map((row) => String(row.name));
  if (chosen.length === 0) return [];
  const loss = `This will ${verb} ${chosen.length} instance${chosen.length === 1 ? '' : 's'}: ${chosen.join(', ')}.`;
  await confirm(session.terminal, loss, options.forceMultiple === true);
  return chosen;
}

async function runOnAll(
  session: Session,
  verb: string,
  args: readonly string[],
  options: SelectOptions,
  op: (name: string) => OpInput,
): Promise<ExitStatus> {
  const names = await selectInstances(session, verb, args, options);
  if (names.length === 0) {
    session.terminal.err('skein: no instance matches: nothing to do\n');
    return exit_status.ok;
  }
  return submitJobs(
    session,
    names.map((name) => [op(name)]),
    options,
  );
}

interface StartupOptions extends SelectOptions {
  readonly hypervisorParameters?: string;
  readonly backendParameters?: string;
  readonly ignoreOffline?: boolean;
  readonly remember: boolean;
  readonly paused?: boolean;
  readonly force?: boolean;
}

export function startupOp(name: string, options: StartupOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_STARTUP',
    instance_name: name,
  };
  if (options.force) op.force = true;
  if (options.hypervisorParameters !== undefined) {
    op.hvparams = typeHypervisorParams(parseHypervisorParams(options.hypervisorParameters, '-H').values);
  }
  if (options.backendParameters !== undefined) op.beparams = parseBackendParams(options.backendParameters);
  if (options.ignoreOffline) op.ignore_offline_nodes = true;
  if (!options.remember) op.no_remember = true;
  if (options.paused) op.startup_paused = true;
  return op;
}

interface ShutdownOptions extends SelectOptions {
  readonly timeout?: string;
  readonly ignoreOffline?: boolean;
  readonly remember: boolean;
  readonly force?: boolean;
}

export function shutdownOp(name: string, options: ShutdownOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_SHUTDOWN',
    instance_name: name,
  };
  if (options.force) op.force = true;
  if (options.timeout !== undefined) op.timeout = parseWhole(options.timeout, '--timeout');
  if (options.ignoreOffline) op.ignore_offline_nodes = true;
  if (!options.remember) op.no_remember = true;
  return op;
}

interface RebootOptions extends SelectOptions {
  readonly type: string;
  readonly shutdownTimeout?: string;
}

export function rebootOp(name: string, options: RebootOptions): OpInput {
  if (!['soft', 'hard', 'full'].includes(options.type)) {
    throw usageError(`reboot type "${options.type}" is not known`, 'soft, hard or full');
  }
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_REBOOT',
    instance_name: name,
    reboot_type: options.type,
  };
  if (options.shutdownTimeout !== undefined)
    op.shutdown_timeout = parseWhole(options.shutdownTimeout, '--shutdown-timeout');
  return op;
}

export function registerInstanceRun(parent: Command, wrap: Wrap): void {
  addSelectOptions(parent.command('startup').alias('start'))
    .description('start instances')
    .argument('[instances...]')
    .option('-f, --force', 'even if a secondary node is not reachable')
    .option('-H, --hypervisor-parameters <params>', 'only for this start')
    .option('-B, --backend-parameters <params>', 'only for this start')
    .option('--ignore-offline', 'of an offline node: only record that it should run')
    .option('--no-remember', 'do not record that it should run')
    .option('--paused', 'created, but its CPUs do not run')
    .action(
      wrap(async (session, names: string[], options: StartupOptions) =>
        runOnAll(session, 'startup', names, options, (name) => startupOp(name, options)),
      ),
    );
  addSelectOptions(parent.command('shutdown').alias('stop'))
    .description('power instances off: asks the guest first, then ends it')
    .argument('[instances...]')
    .option('-f, --force', 'even if it is marked offline')
    .option('--timeout <seconds>', 'how long the guest may take (120)')
    .option('--ignore-offline', 'of an offline node: only record that it should not run')
    .option('--no-remember', 'do not record that it should not run')
    .action(
      wrap(async (session, names: string[], options: ShutdownOptions) =>
        runOnAll(session, 'shutdown', names, options, (name) => shutdownOp(name, options)),
      ),
    );
  addSelectOptions(parent.command('reboot'))
    .description('reboot instances')
    .argument('[instances...]')
    .option('-t, --type <type>', 'soft, hard (reset) or full (stop and start)', 'hard')
    .option('--shutdown-timeout <seconds>', 'with full: how long the guest may take (120)')
    .action(
      wrap(async (session, names: string[], options: RebootOptions) =>
        runOnAll(session, 'reboot', names, options, (name) => rebootOp(name, options)),
      ),
    );
}
