/**
 * The drivers of this host, by name: what the rest of node/ asks for an implementation.
 */
import type {
  HypervisorDriver,
  MasterIpDriver,
  OsDriver,
  PowerDriver,
  ProcessKeeper,
  StorageDriver,
} from '../drivers/types.ts';
import { DriverError } from '../drivers/types.ts';

export interface Drivers {
  readonly hypervisors: ReadonlyMap<string, HypervisorDriver>;
  readonly storage: ReadonlyMap<string, StorageDriver>;
  readonly os: OsDriver;
  readonly master_ip: MasterIpDriver;
  readonly power: PowerDriver;
  readonly keeper: ProcessKeeper;
}

export function hypervisorOf(drivers: Drivers, name: string): HypervisorDriver {
  const driver = drivers.hypervisors.get(name);
  if (driver) return driver;
  throw new DriverError(
    'unsupported',
    `hypervisor "${name}" is not known here`,
    `known: ${[...drivers.hypervisors.keys()].join(', ')}`,
  );
}

export function storageOf(drivers: Pick<Drivers, 'storage'>, template: string): StorageDriver {
  const driver = drivers.storage.get(template);
  if (driver) return driver;
  throw new DriverError(
    'unsupported',
    `disk template "${template}" is not known here`,
    `known: ${[...drivers.storage.keys()].join(', ')}`,
  );
}
