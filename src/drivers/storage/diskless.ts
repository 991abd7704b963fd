/** Disk template `diskless`: instances without disks. Any disk given to it is a mistake and is refused. */
import { type DiskSpec, DriverError, type StorageDriver } from '../types.ts';

function refuse(disk: Pick<DiskSpec, 'uuid'>): DriverError {
  return new DriverError('invalid', `disk ${disk.uuid}: a diskless instance has no disks`);
}

/** Creates the driver of template `diskless`. */
export function createDisklessDriver(): StorageDriver {
  return {
    template: 'diskless',
    capabilities: () => Promise.resolve({ available: true, reason: '', details: {} }),
    plan(_base_dir, disk) {
      throw refuse(disk);
    },
    create: (disk) => Promise.reject(refuse(disk)),
    remove: (disk) => Promise.reject(refuse(disk)),
    info: (disk) => Promise.reject(refuse(disk)),
  };
}
