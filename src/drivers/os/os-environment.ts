/**
 * The environment of an OS definition's scripts, as Ganeti gives it: complete, clean, and with Python's spelling of
 * True, False and None, which existing scripts compare with. A pure function.
 */
import { default_path } from '../process/program-path.ts';
import type { OsRun } from '../types.ts';

const python = (value: unknown): string => {
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value === null || value === undefined) return 'None';
  return String(value);
};

/** `name` or `name+variant` taken apart. */
export function splitOsName(os: string): { readonly name: string; readonly variant: string } {
  const at = os.indexOf('+');
  return at === -1 ? { name: os, variant: '' } : { name: os.slice(0, at), variant: os.slice(at + 1) };
}

/** OSP_NAME of an OS parameter. */
export const parameterVariable = (name: string): string => `OSP_${name.toUpperCase().replaceAll('-', '_')}`;

/** What `verify` gets: the OS and its parameters, nothing of an instance. */
export function verifyEnvironment(
  run: Pick<OsRun, 'os' | 'osparams'>,
  api_version: number,
): Readonly<Record<string, string>> {
  const { name, variant } = splitOsName(run.os);
  const env: Record<string, string> = {
    PATH: default_path,
    OS_API_VERSION: String(api_version),
    OS_NAME: name,
    DEBUG_LEVEL: '0',
  };
  if (api_version >= 15) env.OS_VARIANT = variant;
  for (const [key, value] of Object.entries(run.osparams)) env[parameterVariable(key)] = value;
  return env;
}

/** What `create` gets. `block_devices` tells for each disk whether it is one (otherwise it is a file). */
export function createEnvironment(
  run: OsRun,
  api_version: number,
  block_devices: readonly boolean[],
): Readonly<Record<string, string>> {
  const { guest } = run;
  const env: Record<string, string> = {
    ...verifyEnvironment(run, api_version),
    INSTANCE_NAME: guest.name,
    INSTANCE_OS: run.os,
    OS_NAME: run.os,
    HYPERVISOR: run.hypervisor,
    INSTANCE_PRIMARY_NODE: run.primary_node,
    INSTANCE_SECONDARY_NODES: '',
    DISK_COUNT: String(guest.disks.length),
    NIC_COUNT: String(guest.nics.length),
  };
  for (const [index, disk] of guest.disks.entries()) {
    const prefix = `DISK_${index}_`;
    env[`${prefix}PATH`] = disk.path;
    env[`${prefix}ACCESS`] = disk.mode;
    env[`${prefix}UUID`] = disk.uuid;
    env[`${prefix}SIZE`] = String(run.disk_sizes_mib[index] ?? 0);
    env[`${prefix}BACKEND_TYPE`] = block_devices[index] === true ? 'block' : 'file:loop';
    const frontend = guest.hvparams.disk_type;
    if (frontend !== undefined) env[`${prefix}FRONTEND_TYPE`] = python(frontend);
  }
  for (const [index, nic] of guest.nics.entries()) {
    const prefix = `NIC_${index}_`;
    env[`${prefix}MAC`] = nic.mac;
    env[`${prefix}UUID`] = nic.uuid;
    if (nic.name !== null) env[`${prefix}NAME`] = nic.name;
    if (nic.ip !== null) env[`${prefix}IP`] = nic.ip;
    env[`${prefix}MODE`] = nic.mode;
    env[`${prefix}LINK`] = nic.link;
    if (nic.mode === 'bridged') env[`${prefix}BRIDGE`] = nic.link;
    const frontend = guest.hvparams.nic_type;
    if (frontend !== undefined) env[`${prefix}FRONTEND_TYPE`] = python(frontend);
  }
  for (const [key, value] of Object.entries(run.beparams)) env[`INSTANCE_BE_${key}`] = python(value);
  for (const [key, value] of Object.entries(guest.hvparams)) env[`INSTANCE_HV_${key}`] = python(value);
  if (run.reinstall) env.INSTANCE_REINSTALL = '1';
  return env;
}
