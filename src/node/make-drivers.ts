/**
 * The real drivers of this host.
 */
import { join } from 'node:path';
import type { StateView } from '../config/api.ts';
import { createFakeDriver } from '../drivers/hypervisor/fake/fake-driver.ts';
import { createKvmDriver } from '../drivers/hypervisor/kvm/kvm-driver.ts';
import { createMasterIpDriver } from '../drivers/master-ip/master-ip-driver.ts';
import { createBridgedNetworkDriver } from '../drivers/network/bridged.ts';
import { createUserNetworkDriver } from '../drivers/network/user.ts';
import { default_os_paths } from '../drivers/os/os-definition.ts';
import { createOsDriver } from '../drivers/os/os-driver.ts';
import { createPowerDriver } from '../drivers/power/power-driver.ts';
import { createDisklessDriver } from '../drivers/storage/diskless.ts';
import { createFileStorageDriver } from '../drivers/storage/file.ts';
import { createSharedFileStorageDriver } from '../drivers/storage/sharedfile.ts';
import type { HypervisorDriver, NetworkDriver, StorageDriver } from '../drivers/types.ts';
import type { AgentOptions } from './agent-options.ts';
import type { Drivers } from './drivers.ts';
import type { KeeperClient } from './keeper-client.ts';
import { guardedKeeper } from './lease/guarded-keeper.ts';
import type { Env } from './real-env.ts';

const master_script_timeout_ms = 10_000;
const power_program_timeout_ms = 60_000;

export interface HostDrivers extends Drivers {
  /**
   * A member follows its configuration: it says where disks may be, and, with the lease, what may start.
   * @param mayStart why this `uuid:epoch` may not start here in this moment; null: it may.
   */
  follow(state: StateView, mayStart: (tag: string) => string | null): void;
}

export function createDrivers(options: AgentOptions, keeper: KeeperClient, env: Env): HostDrivers {
  let state: StateView | null = null;
  let refusal: (tag: string) => string | null = () => 'this host is in no cluster';
  const cluster = () => state?.get('cluster', 'cluster');
  const directory = (field: 'file_storage_dir' | 'shared_file_storage_dir') => () => {
    const path = cluster()?.[field] ?? '';
    return path === '' ? [] : [path];
  };
  const network = new Map<string, NetworkDriver>(
    [createBridgedNetworkDriver(), createUserNetworkDriver()].map((driver) => [driver.mode, driver]),
  );
  const hypervisors = new Map<string, HypervisorDriver>(
    [
      createKvmDriver({
        run_dir: join(options.run_dir, 'kvm'),
        keeper: guardedKeeper(keeper, (spec) => refusal(spec.tag)),
        network,
      }),
      createFakeDriver({ dir: options.fake_dir, boot_id: keeper.boot_id }),
    ].map((driver) => [driver.name, driver]),
  );
  const storage = new Map<string, StorageDriver>(
    [
      createDisklessDriver(),
      createFileStorageDriver({ allowedDirs: directory('file_storage_dir') }),
      createSharedFileStorageDriver({ allowedDirs: directory('shared_file_storage_dir') }),
    ].map((driver) => [driver.template, driver]),
  );
  return {
    hypervisors,
    storage,
    os: createOsDriver({ paths: [...options.os_paths, ...default_os_paths], log_dir: options.log_dir }),
    master_ip: createMasterIpDriver({
      timeout_ms: master_script_timeout_ms,
      onWarning: (text) => env.log('warn', 'master IP script', { text }),
    }),
    power: createPowerDriver({
      reboot_program: options.reboot_program,
      timeout_ms: power_program_timeout_ms,
    }),
    keeper,
    follow(view, mayStart) {
      state = view;
      refusal = mayStart;
    },
  };
}
