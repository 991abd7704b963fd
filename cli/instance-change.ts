/** `skein instance modify|failover|remove`. */
import type { Command } from 'commander';
import type { Job, OpInput } from '../src/config/model.ts';
import { confirm } from './confirm.ts';
import { usageError } from './exit-status.ts';
import { parseHypervisorParams, parseKeyValues, parseWhole } from './key-values.ts';
import { parseBackendParams, typeHypervisorParams } from './param-types.ts';
import type { Wrap } from './register.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

interface ModifyOptions extends SubmitOptions {
  readonly backendParameters?: string;
  readonly hypervisorParameters?: string;
  readonly osParameters?: string;
  readonly osType?: string;
  readonly forceVariant?: boolean;
  readonly force?: boolean;
  readonly ignoreIpolicy?: boolean;
  readonly online?: boolean;
  readonly offline?: boolean;
}

export function modifyOp(name: string, options: ModifyOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_SET_PARAMS',
    instance_name: name,
  };
  const keys = Object.keys(op).length;
  if (options.backendParameters !== undefined) op.beparams = parseBackendParams(options.backendParameters);
  if (options.hypervisorParameters !== undefined) {
    op.hvparams = typeHypervisorParams(parseHypervisorParams(options.hypervisorParameters, '-H').values);
  }
  if (options.osParameters !== undefined) op.osparams = parseKeyValues(options.osParameters, '-O');
  if (options.osType !== undefined) op.os_name = options.osType;
  if (options.online && options.offline)
    throw usageError('--online and --offline exclude each other', 'one of them');
  if (options.offline) op.offline = true;
  if (options.online) op.offline = false;
  if (Object.keys(op).length === keys) {
    throw usageError(
      `nothing to change on ${name} was given`,
      '-B memory=512m, -H key=value, -O key=value or --help',
    );
  }
  if (options.forceVariant) op.force_variant = true;
  if (options.ignoreIpolicy) op.ignore_ipolicy = true;
  if (options.force) op.force = true;
  return op;
}

/** What Ganeti prints of a modification: each parameter with its new value. */
function printChanges(session: Session, job: Job): void {
  const result = job.ops[0]?.result;
  if (!Array.isArray(result)) return;
  for (const [what, value] of result as readonly (readonly [unknown, unknown])[]) {
    session.print(` - ${what} -> ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  }
}

interface FailoverOptions extends SubmitOptions {
  readonly force?: boolean;
  readonly targetNode?: string;
  readonly shutdownTimeout?: string;
  readonly ignoreConsistency?: boolean;
  readonly ignoreIpolicy?: boolean;
}

export function failoverOp(name: string, options: FailoverOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_FAILOVER',
    instance_name: name,
  };
  if (options.targetNode !== undefined) op.target_node = options.targetNode;
  if (options.shutdownTimeout !== undefined)
    op.shutdown_timeout = parseWhole(options.shutdownTimeout, '--shutdown-timeout');
  if (options.ignoreConsistency) op.ignore_consistency = true;
  if (options.ignoreIpolicy) op.ignore_ipolicy = true;
  return op;
}

interface RemoveOptions extends SubmitOptions {
  readonly force?: boolean;
  readonly shutdownTimeout?: string;
  readonly ignoreFailures?: boolean;
}

export function removeOp(name: string, options: RemoveOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_REMOVE',
    instance_name: name,
  };
  if (options.shutdownTimeout !== undefined)
    op.shutdown_timeout = parseWhole(options.shutdownTimeout, '--shutdown-timeout');
  if (options.ignoreFailures) op.ignore_failures = true;
  return op;
}

/** `disks of 1024 and 512 MiB`, for the question before a removal. */
async function lossOfInstance(session: Session, name: string): Promise<string> {
  const row = await session.queryOne('instance', name);
  const sizes = Array.isArray(row['disk.sizes']) ? (row['disk.sizes'] as unknown[]) : [];
  const disks =
    sizes.length === 0
      ? 'it has no disks'
      : `its disks are lost (${sizes.join(' and ')} MiB, ${row.disk_template})`;
  return `This will remove instance ${row.name} (${row.status} on ${row.pnode}); ${disks}.`;
}

export function registerInstanceChange(parent: Command, wrap: Wrap): void {
  addSubmitOptions(parent.command('modify'))
    .description('change memory, CPUs and parameters; most take effect at the next start')
    .argument('<instance>')
    .option('-B, --backend-parameters <params>', 'memory=512m,vcpus=2,…; `default` resets')
    .option('-H, --hypervisor-parameters <params>', 'key=value,…; `default` resets')
    .option('-O, --os-parameters <params>', 'key=value,…')
    .option('-o, --os-type <os>', 'another OS definition, without installing it')
    .option('--force-variant', 'take an OS variant that is not listed')
    .option('--offline', 'mark it offline: it is not started')
    .option('--online', 'take the mark off')
    .option('--ignore-ipolicy', 'beyond the limits of the instance policy')
    .option('-f, --force', 'skip checks')
    .action(
      wrap(async (session, name: string, options: ModifyOptions) =>
        submitJobs(session, [[modifyOp(name, options)]], options, (job) => printChanges(session, job)),
      ),
    );
  addSubmitOptions(parent.command('failover'))
    .description('stop it where it runs and start it on another node')
    .argument('<instance>')
    .option('-f, --force', 'do not ask')
    .option('-n, --target-node <node>', 'left out: the cluster chooses')
    .option('--shutdown-timeout <seconds>', 'how long the guest may take to power off (120)')
    .option('--ignore-consistency', 'even if its disks are degraded')
    .option('--ignore-ipolicy', 'beyond the limits of the instance policy')
    .action(
      wrap(async (session, name: string, options: FailoverOptions) => {
        const op = failoverOp(name, options);
        await confirm(
          session.terminal,
          `This will stop ${name} and start it on another node.`,
          options.force === true,
        );
        return submitJobs(session, [[op]], options);
      }),
    );
  addSubmitOptions(parent.command('remove'))
    .description('stop an instance and delete it with its disks')
    .argument('<instance>')
    .option('-f, --force', 'do not ask')
    .option('--shutdown-timeout <seconds>', 'how long the guest may take to power off (120)')
    .option('--ignore-failures', 'remove it from the configuration even if its disks cannot be deleted')
    .action(
      wrap(async (session, name: string, options: RemoveOptions) => {
        const op = removeOp(name, options);
        if (!options.force) await confirm(session.terminal, await lossOfInstance(session, name), false);
        return submitJobs(session, [[op]], options);
      }),
    );
}
