/**
 * Types of the parameters that options set as text: backend parameters, and those hypervisor parameters of Ganeti that
 * are no strings. `default` and null pass through: they reset a parameter to what it inherits.
 */
import { usageError } from './exit-status.ts';
import { type KeyValue, type KeyValues, parseKeyValues } from './key-values.ts';
import { parseSize } from './sizes.ts';

export type Value = string | number | boolean | null;

const backend_types: Readonly<Record<string, 'size' | 'integer' | 'boolean'>> = {
  memory: 'size',
  maxmem: 'size',
  minmem: 'size',
  vcpus: 'integer',
  spindle_use: 'integer',
  auto_balance: 'boolean',
  always_failover: 'boolean',
};

const hypervisor_booleans = new Set([
  'acpi',
  'pae',
  'viridian',
  'serial_console',
  'spice_playback_compression',
  'spice_use_tls',
  'spice_use_vdagent',
  'use_bootloader',
  'use_chroot',
  'use_guest_agent',
  'use_localtime',
  'user_shutdown',
  'vhost_net',
  'vnc_tls',
  'vnc_x509_verify',
  'vnet_hdr',
]);
const hypervisor_integers = new Set([
  'cpu_cap',
  'cpu_cores',
  'cpu_sockets',
  'cpu_threads',
  'cpu_weight',
  'kvm_pci_reservations',
  'migration_bandwidth',
  'migration_downtime',
  'migration_port',
  'num_ttys',
  'serial_speed',
  'spice_ip_version',
  'startup_timeout',
  'virtio_net_queues',
]);

function toBoolean(value: KeyValue, name: string): boolean {
  if (typeof value === 'boolean') return value;
  if (value !== null && /^(true|yes|on|1)$/i.test(value)) return true;
  if (value !== null && /^(false|no|off|0)$/i.test(value)) return false;
  throw usageError(`parameter ${name}: "${value}" is neither true nor false`, `${name}=true`);
}

function toInteger(value: KeyValue, name: string): number {
  if (typeof value === 'string' && /^-?\d+$/.test(value)) return Number(value);
  throw usageError(`parameter ${name}: "${value}" is no whole number`, `${name}=1`);
}

function isReset(value: KeyValue): value is null | 'default' {
  return value === null || value === 'default';
}

/** -B/--backend-parameters. Refuses unknown names. */
export function parseBackendParams(text: string): Readonly<Record<string, Value>> {
  const result: Record<string, Value> = {};
  for (const [name, value] of Object.entries(parseKeyValues(text, '-B'))) {
    const type = backend_types[name];
    if (!type) {
      throw usageError(
        `-B: "${name}" is no backend parameter`,
        `one of ${Object.keys(backend_types).join(', ')}`,
      );
    }
    if (isReset(value)) result[name] = value;
    else if (type === 'boolean') result[name] = toBoolean(value, name);
    else if (type === 'integer') result[name] = toInteger(value, name);
    else if (typeof value === 'string') result[name] = parseSize(value, `parameter ${name}:`);
    else throw usageError(`parameter ${name} has no value`, `-B ${name}=512m`);
  }
  return result;
}

/** Hypervisor parameters with their types; which names exist is for the hypervisor's driver to say. */
export function typeHypervisorParams(values: KeyValues): Readonly<Record<string, Value>> {
  const result: Record<string, Value> = {};
  for (const [name, value] of Object.entries(values)) {
    if (isReset(value)) result[name] = value;
    else if (hypervisor_booleans.has(name)) result[name] = toBoolean(value, name);
    else if (hypervisor_integers.has(name)) result[name] = toInteger(value, name);
    else result[name] = value;
  }
  return result;
}
