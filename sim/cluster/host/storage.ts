/**
 * Disk images as sizes by path, on a host's own file system or on the one that all hosts mount, with the promises of
 * the real driver: done twice is done once, another size under that name is refused, and the answer may be lost after
 * the act.
 */
import { join } from 'node:path';
import { createDisklessDriver } from '../../../src/drivers/storage/diskless.ts';
import { type DiskSpec, DriverError, type StorageDriver } from '../../../src/drivers/types.ts';
import type { Knobs } from '../../kit/knobs.ts';
import type { SimProcess } from './sim-process.ts';

export function createSimStorage(
  proc: SimProcess,
  knobs: Knobs,
  own_files: Map<string, number>,
  shared_files: Map<string, number>,
): ReadonlyMap<string, StorageDriver> {
  /** The act, and its answer a while after: an agent that dies between the two has done it and knows nothing of it. */
  async function act<T>(fn: () => T): Promise<T> {
    const result = await proc.answer(knobs.range(0.5, 30), fn);
    await proc.sleep(knobs.range(0.1, 10));
    return result;
  }

  function images(template: 'file' | 'sharedfile', files: Map<string, number>): StorageDriver {
    const pathOf = (disk: DiskSpec) => String(disk.logical_id[1]);
    return {
      template,
      capabilities: () => proc.answer(1, () => ({ available: true, reason: '', details: {} })),
      plan: (base_dir, { uuid, instance_name, index }) => [
        'loop',
        join(base_dir, instance_name, `${uuid}.${template}.disk${index}`),
      ],
      create: (disk) =>
        act(() => {
          const present = files.get(pathOf(disk));
          if (present !== undefined && present !== disk.size)
            throw new DriverError('exists', `"${pathOf(disk)}" exists with ${present} MiB, not ${disk.size}`);
          files.set(pathOf(disk), disk.size);
        }),
      remove: (disk) => act(() => void files.delete(pathOf(disk))),
      info: (disk) =>
        proc.answer(knobs.range(0.2, 3), () => ({
          exists: files.has(pathOf(disk)),
          size: files.get(pathOf(disk)) ?? 0,
          path: pathOf(disk),
        })),
    };
  }
  return new Map(
    [createDisklessDriver(), images('file', own_files), images('sharedfile', shared_files)].map((driver) => [
      driver.template,
      driver,
    ]),
  );
}
