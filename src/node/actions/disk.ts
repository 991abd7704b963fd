/**
 * Disk verbs. Both are idempotent in their drivers.
 */

import { storageOf } from '../drivers.ts';
import { diskSpecs } from '../guest-spec.ts';
import type { Actions } from './types.ts';

export const createDisk: Actions['disk.create'] = async (world, args) => {
  const disk = world.state.get('disks', args.disk);
  if (!disk) throw new Error(`disk ${args.disk} does not exist in the configuration`);
  const instance = world.state.get('instances', disk.instance);
  if (!instance)
    throw new Error(`disk ${args.disk} belongs to instance ${disk.instance}, which does not exist`);
  const spec = diskSpecs(world.state, instance).find((candidate) => candidate.uuid === args.disk);
  if (!spec) throw new Error(`instance ${instance.name} does not name disk ${args.disk}`);
  await storageOf(world.drivers, disk.dev_type).create(spec);
  return null;
};

export const removeDisk: Actions['disk.remove'] = async (world, args) => {
  await storageOf(world.drivers, args.template).remove(args.disk);
  return null;
};
