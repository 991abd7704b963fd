/** `skein cluster`: its founding, its parameters, its health and its end. */
import type { Job, OpInput } from '../src/config/model.ts';
import { ApiCallError } from '../src/node/api-client.ts';
import type { ClusterInitParams } from '../src/node/api-types.ts';
import { type BalanceOptions, balanceCommand, balancingChange, describeBalance } from './cluster-balance.ts';
import { type CapacityOptions, capacity } from './cluster-capacity.ts';
import { registerRecover } from './cluster-recover.ts';
import { collect } from './collect.ts';
import { confirm } from './confirm.ts';
import { type ExitStatus, exit_status, usageError } from './exit-status.ts';
import { printInfo } from './info.ts';
import { addIPolicyOptions, type IPolicyOptions, ipolicyOf, specOptions } from './ipolicy-options.ts';
import { parseHypervisorParams, parseKeyValues, parseWhole, parseYesNo } from './key-values.ts';
import { parseBackendParams, typeHypervisorParams, type Value } from './param-types.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

interface InitOptions extends IPolicyOptions {
  readonly nodeName?: string;
  readonly primaryIp: string;
  readonly masterIp: string;
  readonly masterNetdev: string;
  readonly masterNetmask: string;
  readonly enabledHypervisors: string;
  readonly enabledDiskTemplates: string;
  readonly fileStorageDir: string;
  readonly sharedFileStorageDir: string;
  readonly nicParameters: string;
  readonly hypervisorParameters?: readonly string[];
  readonly ha?: string;
  readonly candidatePoolSize: string;
}

interface ModifyOptions extends SubmitOptions, IPolicyOptions {
  readonly force?: boolean;
  readonly backendParameters?: string;
  readonly candidatePoolSize?: string;
  readonly maxRunningJobs?: string;
  readonly enabledHypervisors?: string;
  readonly enabledDiskTemplates?: string;
  readonly hypervisorParameters?: readonly string[];
  readonly nicParameters?: string;
  readonly nodeParameters?: string;
  readonly macPrefix?: string;
  readonly masterNetdev?: string;
  readonly masterNetmask?: string;
  readonly useExternalMipScript?: string;
  readonly fileStorageDir?: string;
  readonly sharedFileStorageDir?: string;
  readonly ha?: string;
  readonly admission?: string;
  readonly balancing?: string;
}

/** Parameters of leases and repair: numbers, and the repair policy. */
function haParams(text: string): Record<string, string | number> {
  const values: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(parseKeyValues(text, '--ha'))) {
    if (typeof value !== 'string') throw usageError(`--ha: ${key} has no value`, `--ha ${key}=…`);
    values[key] = value !== '' && Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return values;
}

/** By hypervisor: `-H kvm:key=value,…`, repeatable. */
function hvParams(texts: readonly string[]): Record<string, Readonly<Record<string, Value>>> {
  const result: Record<string, Readonly<Record<string, Value>>> = {};
  for (const text of texts) {
    const { hypervisor, values } = parseHypervisorParams(text, '-H');
    if (hypervisor === null) throw usageError(`-H: "${text}" names no hypervisor`, `-H kvm:${text}`);
    result[hypervisor] = { ...result[hypervisor], ...typeHypervisorParams(values) };
  }
  return result;
}

function words(text: string): readonly string[] {
  return text.split(',').filter((word) => word !== '');
}

function textValues(text: string, option: string): Record<string, string> {
  const entries = Object.entries(parseKeyValues(text, option));
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}

async function init(session: Session, name: string, options: InitOptions): Promise<void> {
  const ipolicy = ipolicyOf(options) as ClusterInitParams['ipolicy'];
  const status = await session.call('status', {});
  const params: ClusterInitParams = {
    cluster_name: name,
    node_name: options.nodeName ?? status.name,
    primary_ip: options.primaryIp,
    master_ip: options.masterIp,
    master_netdev: options.masterNetdev,
    master_netmask: parseWhole(options.masterNetmask, '--master-netmask', 1),
    enabled_hypervisors: words(options.enabledHypervisors),
    enabled_disk_templates: words(options.enabledDiskTemplates),
    file_storage_dir: options.fileStorageDir,
    shared_file_storage_dir: options.sharedFileStorageDir,
    nicparams: textValues(options.nicParameters, '--nic-parameters'),
    hvparams: hvParams(options.hypervisorParameters ?? []),
    ha: options.ha === undefined ? {} : haParams(options.ha),
    candidate_pool_size: parseWhole(options.candidatePoolSize, '-C', 1),
    ...(ipolicy === undefined ? {} : { ipolicy }),
  };
  const { uuid } = await session.call('cluster.init', params);
  if (session.globals.json) session.printJson({ cluster_name: name, uuid });
  else session.print(`Cluster ${name} was founded on ${params.node_name}. Next: skein node add`);
}

export function clusterModifyOp(options: ModifyOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = { OP_ID: 'OP_CLUSTER_SET_PARAMS' };
  const set = (key: string, value: unknown): void => {
    if (value !== undefined) op[key] = value;
  };
  const map = <T>(text: string | undefined, parse: (text: string) => T): T | undefined =>
    text === undefined ? undefined : parse(text);
  set('beparams', map(options.backendParameters, parseBackendParams));
  set(
    'candidate_pool_size',
    map(options.candidatePoolSize, (text) => parseWhole(text, '-C', 1)),
  );
  set(
    'max_running_jobs',
    map(options.maxRunningJobs, (text) => parseWhole(text, '--max-running-jobs', 1)),
  );
  set('enabled_hypervisors', map(options.enabledHypervisors, words));
  set('enabled_disk_templates', map(options.enabledDiskTemplates, words));
  if (options.hypervisorParameters) op.hvparams = hvParams(options.hypervisorParameters);
  set(
    'nicparams',
    map(options.nicParameters, (text) => parseKeyValues(text, '--nic-parameters')),
  );
  set(
    'ndparams',
    map(options.nodeParameters, (text) => parseKeyValues(text, '--node-parameters')),
  );
  set('mac_prefix', options.macPrefix);
  set('master_netdev', options.masterNetdev);
  set(
    'master_netmask',
    map(options.masterNetmask, (text) => parseWhole(text, '--master-netmask', 1)),
  );
  set(
    'use_external_mip_script',
    map(options.useExternalMipScript, (text) => parseYesNo(text, '--use-external-mip-script')),
  );
  set('file_storage_dir', options.fileStorageDir);
  set('shared_file_storage_dir', options.sharedFileStorageDir);
  set('ha', map(options.ha, haParams));
  set('admission', options.admission);
  set('balancing', map(options.balancing, balancingChange));
  set('ipolicy', ipolicyOf(options));
  if (Object.keys(op).length === 1) {
    throw usageError(
      'nothing to change was given',
      '-B memory=512m, -H kvm:key=value, --ha key=value or --help',
    );
  }
  if (options.force) op.force = true;
  return op;
}

interface VerifyOptions extends SubmitOptions {
  readonly errorCodes?: boolean;
  readonly verbose?: boolean;
  readonly ignoreErrors?: readonly string[];
  readonly nplus1Mem: boolean;
}

function verifyOp(options: VerifyOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = { OP_ID: 'OP_CLUSTER_VERIFY' };
  if (options.errorCodes) op.error_codes = true;
  if (options.verbose) op.verbose = true;
  if (options.ignoreErrors) op.ignore_errors = options.ignoreErrors;
  if (!options.nplus1Mem) op.skip_checks = ['nplusone_mem'];
  return op;
}

/** Prints what a verification found: a list of [etype, ecode, kind, name, text], alone or beside a verdict. */
function printFindings(session: Session, result: unknown, codes: boolean): ExitStatus {
  const record = typeof result === 'object' && result !== null ? (result as Record<string, unknown>) : {};
  const lists = [result, ...Object.values(record)];
  const findings = lists.find(
    (list): list is readonly (readonly unknown[])[] =>
      Array.isArray(list) && list.length > 0 && list.every((item) => Array.isArray(item) && item.length >= 4),
  );
  for (const [type, code, kind, name, text] of findings ?? []) {
    session.print(codes ? [type, code, kind, name, text].join(':') : `${type}: ${kind} ${name}: ${text}`);
  }
  const verdict = Object.values(record).find((value) => typeof value === 'boolean');
  const failed =
    verdict === undefined ? (findings ?? []).some(([type]) => type === 'ERROR') : verdict === false;
  if (!codes) session.print(failed ? 'The cluster has errors.' : 'The cluster is well.');
  return failed ? exit_status.failure : exit_status.ok;
}

async function verify(session: Session, options: VerifyOptions): Promise<ExitStatus> {
  let found: ExitStatus = exit_status.ok;
  const print = (job: Job): void => {
    found = printFindings(session, job.ops[0]?.result, options.errorCodes === true);
  };
  // Its log says the same as the findings: only for who wants to see the checks go by.
  const status = await submitJobs(session, [[verifyOp(options)]], options, print, options.verbose === true);
  return status === exit_status.ok ? found : status;
}

async function destroy(session: Session, sure: boolean): Promise<ExitStatus> {
  const [row] = await session.query('cluster', [], false);
  const name = String(row?.cluster_name ?? row?.name ?? 'this cluster');
  await confirm(session.terminal, `This will destroy cluster ${name} and its whole configuration.`, sure);
  try {
    return await submitJobs(session, [[{ OP_ID: 'OP_CLUSTER_DESTROY' }]], {});
  } catch (error) {
    // The job goes with its cluster, and the agent begins anew: that may be all that is heard of its end.
    if (!(error instanceof ApiCallError) || error.code !== 'no-cluster') throw error;
    if (session.globals.json) session.printJson({ destroyed: name });
    else session.terminal.err(`cluster ${name} is destroyed; this host is in no cluster\n`);
    return exit_status.ok;
  }
}

export const register: Register = (program, wrap) => {
  const cluster = program.command('cluster').description('the cluster as a whole');
  registerRecover(cluster, wrap);
  addIPolicyOptions(cluster.command('init'), true)
    .description('found a cluster on this host, which must be in none')
    .argument('<cluster-name>')
    .requiredOption('--primary-ip <address>', 'where other nodes reach this host')
    .option('--node-name <name>', 'name of this node (default: the agent’s)')
    .option('--master-ip <address>', 'address that the leader holds; none when left out', '')
    .option('--master-netdev <device>', 'where it is put', 'br0')
    .option('--master-netmask <bits>', 'its prefix length', '32')
    .option('--enabled-hypervisors <list>', 'a,b', 'kvm')
    .option('--enabled-disk-templates <list>', 'a,b', 'sharedfile,file,diskless')
    .option('--file-storage-dir <dir>', 'for file disks', '/srv/skein/file-storage')
    .option('--shared-file-storage-dir <dir>', 'for sharedfile disks', '/srv/skein/shared-file-storage')
    .option('--nic-parameters <params>', 'defaults of network interfaces', 'mode=bridged,link=br0')
    .option('-H, --hypervisor-parameters <hv:params>', 'kvm:key=value,…; repeat for more', collect)
    .option('--ha <params>', 'of leases and repair: lease_ms=10000,autorepair=failover,…')
    .option('-C, --candidate-pool-size <n>', 'how many nodes may vote', '5')
    .action(wrap((session, name: string, options: InitOptions) => init(session, name, options)));
  cluster
    .command('info')
    .alias('show')
    .description('everything about the cluster')
    .option('--stale', 'answer from this node’s own copy')
    .action(
      wrap((session, options: { readonly stale?: boolean }) =>
        printInfo(session, 'cluster', [], true, options.stale === true),
      ),
    );
  addSubmitOptions(addIPolicyOptions(cluster.command('modify'), true))
    .description('change parameters of the cluster')
    .option('-f, --force', 'skip checks')
    .option('-B, --backend-parameters <params>', 'defaults of instances: memory=512m,…')
    .option('-C, --candidate-pool-size <n>', 'how many nodes may vote')
    .option('--max-running-jobs <n>', 'jobs at a time')
    .option('--enabled-hypervisors <list>', 'a,b')
    .option('--enabled-disk-templates <list>', 'a,b')
    .option('-H, --hypervisor-parameters <hv:params>', 'kvm:key=value,…; repeat for more', collect)
    .option('--nic-parameters <params>', 'defaults of network interfaces')
    .option('--node-parameters <params>', 'defaults of nodes')
    .option('-m, --mac-prefix <prefix>', 'of new network interfaces')
    .option('--master-netdev <device>', 'where the master IP is put')
    .option('--master-netmask <bits>', 'its prefix length')
    .option('--use-external-mip-script <yes|no>', 'run the operator’s script for the master IP')
    .option('--file-storage-dir <dir>', 'for file disks')
    .option('--shared-file-storage-dir <dir>', 'for sharedfile disks')
    .option('--ha <params>', 'of leases and repair')
    .option('--admission <off|warn|refuse>', 'instances after which a lost node could not be made up for')
    .option(
      '--balancing <on|off|params>',
      'the cluster balances itself: moves-per-hour=6,start-gain=0.1,min-gain=0.01,allow-restart=yes,…',
    )
    .action(
      wrap((session, options: ModifyOptions) => submitJobs(session, [[clusterModifyOp(options)]], options)),
    );
  cluster
    .command('capacity')
    .description('what still fits, and what the loss of a node would do')
    .option('-t, --disk-template <template>', 'of what is to fit (default: the first that is enabled)')
    .option('--lost <node>', 'only what the loss of this node would do')
    .action(wrap((session, options: CapacityOptions) => capacity(session, options)));
  describeBalance(cluster.command('balance')).action(
    wrap((session, options: BalanceOptions) => balanceCommand(session, options)),
  );
  cluster
    .command('show-ispecs-cmd')
    .description('the command that sets the specs of the instance policy as they are')
    .action(
      wrap(async (session) => {
        const [row = {}] = await session.query('cluster', [], false);
        session.print(`skein cluster modify ${specOptions(row, 'ipolicy')}`);
      }),
    );
  addSubmitOptions(cluster.command('verify'))
    .description('check configuration, nodes, guests, disks and memory')
    .option('--error-codes', 'one line a finding, for programs')
    .option('-v, --verbose', 'say what is checked')
    .option('-I, --ignore-errors <code>', 'only a warning; repeat for more', collect)
    .option('--no-nplus1-mem', 'do not check whether any one node may be lost')
    .action(wrap((session, options: VerifyOptions) => verify(session, options)));
  cluster
    .command('destroy')
    .description('end a cluster that has no instances and one node left')
    .option('--yes-do-it', 'do not ask')
    .option('--ya-rly', 'the same')
    .option('-f, --force', 'the same')
    .action(
      wrap(
        (
          session,
          options: { readonly yesDoIt?: boolean; readonly yaRly?: boolean; readonly force?: boolean },
        ) => destroy(session, (options.yesDoIt ?? options.yaRly ?? options.force) === true),
      ),
    );
};
