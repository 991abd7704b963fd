/** `skein instance add`: from Ganeti's options to one OP_INSTANCE_CREATE. */
import type { Command } from 'commander';
import type { OpInput } from '../src/config/model.ts';
import { collect } from './collect.ts';
import { usageError } from './exit-status.ts';
import { type KeyValues, parseHypervisorParams, parseIndexed, parseKeyValues } from './key-values.ts';
import { parseBackendParams, typeHypervisorParams } from './param-types.ts';
import type { Wrap } from './register.ts';
import { parseSize } from './sizes.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

export interface InstanceAddOptions extends SubmitOptions {
  readonly diskTemplate?: string;
  readonly node?: string;
  readonly nodeGroup?: string;
  readonly osType?: string;
  readonly osSize?: string;
  readonly disk?: readonly string[];
  readonly net?: readonly string[];
  readonly nics: boolean;
  readonly backendParameters?: string;
  readonly hypervisorParameters?: string;
  readonly osParameters?: string;
  readonly start: boolean;
  readonly install: boolean;
  readonly waitForSync: boolean;
  readonly conflictsCheck: boolean;
  readonly forceVariant?: boolean;
  readonly fileDriver?: string;
  readonly fileStorageDir?: string;
  readonly ignoreIpolicy?: boolean;
  readonly tags?: string;
}

function diskParams(values: KeyValues, index: number): Record<string, unknown> {
  const { size, ...rest } = values;
  if (typeof size !== 'string' && typeof values.adopt !== 'string') {
    throw usageError(`--disk: disk ${index} has no size`, `--disk ${index}:size=1g`);
  }
  return { ...(typeof size === 'string' ? { size: parseSize(size, `--disk ${index}: size`) } : {}), ...rest };
}

function disksOf(options: InstanceAddOptions): readonly Record<string, unknown>[] {
  const { disk = [], osSize, diskTemplate } = options;
  if (disk.length > 0 && osSize !== undefined)
    throw usageError('--disk and -s exclude each other', 'one of them');
  if (diskTemplate === 'diskless') {
    if (disk.length > 0 || osSize !== undefined) {
      throw usageError('an instance with -t diskless has no disks', 'without --disk and -s, or another -t');
    }
    return [];
  }
  if (osSize !== undefined) return [{ size: parseSize(osSize, '-s') }];
  if (disk.length === 0) throw usageError('no disk was given', '-s 1g, --disk 0:size=1g, or -t diskless');
  return parseIndexed(disk, '--disk').map(diskParams);
}

function nicsOf(options: InstanceAddOptions): readonly KeyValues[] {
  const { net = [], nics } = options;
  if (!nics && net.length > 0) throw usageError('--net and --no-nics exclude each other', 'one of them');
  if (!nics) return [];
  if (net.length === 0) return [{}];
  return parseIndexed(net, '--net').map((values) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === 'none' ? null : value])),
  );
}

/** The opcode of these options; keys that were not given are left out, so that the cluster's defaults hold. */
export function instanceCreateOp(name: string, options: InstanceAddOptions): OpInput {
  const op: Record<string, unknown> & { OP_ID: string } = {
    OP_ID: 'OP_INSTANCE_CREATE',
    mode: 'create',
    instance_name: name,
    disks: disksOf(options),
    nics: nicsOf(options),
    start: options.start && options.install,
  };
  if (!options.start) op.start = false;
  const set = (key: string, value: unknown): void => {
    if (value !== undefined) op[key] = value;
  };
  set('disk_template', options.diskTemplate);
  if (options.node !== undefined) {
    const [pnode, snode] = options.node.split(':');
    set('pnode', pnode);
    set('snode', snode);
  }
  set('group_name', options.nodeGroup);
  set('os_type', options.osType);
  if (!options.install) op.no_install = true;
  else if (options.osType === undefined)
    throw usageError('no operating system was given', '-o OS (skein os list), or --no-install');
  if (options.backendParameters !== undefined) op.beparams = parseBackendParams(options.backendParameters);
  if (options.hypervisorParameters !== undefined) {
    const { hypervisor, values } = parseHypervisorParams(options.hypervisorParameters, '-H');
    if (hypervisor !== null) op.hypervisor = hypervisor;
    op.hvparams = typeHypervisorParams(values);
  }
  if (options.osParameters !== undefined) op.osparams = parseKeyValues(options.osParameters, '-O');
  if (options.forceVariant) op.force_variant = true;
  if (options.ignoreIpolicy) op.ignore_ipolicy = true;
  if (!options.waitForSync) op.wait_for_sync = false;
  if (!options.conflictsCheck) op.conflicts_check = false;
  set('file_driver', options.fileDriver);
  set('file_storage_dir', options.fileStorageDir);
  if (options.tags !== undefined) op.tags = options.tags.split(',').filter((tag) => tag !== '');
  return op;
}

export function registerInstanceAdd(parent: Command, wrap: Wrap): void {
  const command = parent
    .command('add')
    .description('create an instance, install it and start it')
    .argument('<new-name>')
    .option('-t, --disk-template <template>', 'diskless, file or sharedfile')
    .option('-n, --node <node>', 'where it runs first; left out: the cluster chooses')
    .option('-g, --node-group <group>', 'choose within this group')
    .option('-o, --os-type <os>', 'OS definition, NAME or NAME+VARIANT')
    .option('-s, --os-size <size>', 'one disk of this size')
    .option('--disk <index:params>', 'e.g. 0:size=1g,mode=rw; repeat for more', collect)
    .option('--net <index:params>', 'e.g. 0:mode=bridged,link=br0,ip=none,mac=auto; repeat for more', collect)
    .option('--no-nics', 'no network interface')
    .option('-B, --backend-parameters <params>', 'memory=256m,vcpus=1,…')
    .option('-H, --hypervisor-parameters <params>', 'kvm:key=value,… or key=value,…')
    .option('-O, --os-parameters <params>', 'key=value,… for the OS definition')
    .option('--no-start', 'do not start it')
    .option('--no-install', 'do not run the OS definition (and do not start)')
    .option('--no-wait-for-sync', 'do not wait for mirrored disks')
    .option('--no-conflicts-check', 'do not look for an address already in use')
    .option('--force-variant', 'take an OS variant that is not listed')
    .option('--ignore-ipolicy', 'beyond the limits of the instance policy')
    .option('--file-driver <driver>', 'driver of file disks')
    .option('--file-storage-dir <dir>', 'sub-directory for file disks')
    .option('--tags <tags>', 'a,b');
  addSubmitOptions(command).action(
    wrap(async (session, name: string, options: InstanceAddOptions) =>
      submitJobs(session, [[instanceCreateOp(name, options)]], options),
    ),
  );
}
