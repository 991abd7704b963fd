/**
 * From the configuration's objects to what drivers take: parameters filled, disks and NICs in order. Pure.
 */
import type { StateView } from '../config/api.ts';
import type { Cluster, Instance } from '../config/model.ts';
import { fillBeParams, fillHvParams, fillNicParams } from '../config/params.ts';
import type { DiskSpec, GuestSpec, NicSpec } from '../drivers/types.ts';

export type FilledParams = Record<string, string | number | boolean | null>;

/** The instance's disks in order; throws when the configuration contradicts itself. */
export function diskSpecs(state: StateView, instance: Pick<Instance, 'name' | 'disks'>): readonly DiskSpec[] {
  return instance.disks.map((uuid, index) => {
    const disk = state.get('disks', uuid);
    if (!disk) throw new Error(`instance ${instance.name} names disk ${uuid}, which does not exist`);
    return {
      uuid,
      instance_name: instance.name,
      index,
      size: disk.size,
      mode: disk.mode,
      logical_id: disk.logical_id,
    };
  });
}

export function nicSpecs(cluster: Cluster, instance: Pick<Instance, 'nics'>): readonly NicSpec[] {
  return instance.nics.map((nic, index) => {
    const filled = fillNicParams(cluster, nic);
    return {
      uuid: nic.uuid,
      index,
      name: nic.name,
      mac: nic.mac,
      ip: nic.ip,
      mode: String(filled['mode'] ?? 'bridged'),
      link: String(filled['link'] ?? ''),
      vlan: String(filled['vlan'] ?? ''),
    };
  });
}

/**
 * What to start: the applied configuration, with a start's temporary `hvparams` on top.
 * @param disk_path where the storage driver has a disk on this host.
 */
export function guestSpec(
  state: StateView,
  instance: Instance,
  hvparams: FilledParams,
  disk_paths: readonly string[],
): GuestSpec {
  const cluster = state.get('cluster', 'cluster');
  if (!cluster) throw new Error('this host has no cluster configuration');
  const backend = fillBeParams(cluster, instance);
  return {
    uuid: instance.uuid,
    name: instance.name,
    epoch: instance.owner.epoch,
    memory_mib: Number(backend['maxmem']),
    vcpus: Number(backend['vcpus']),
    hvparams: { ...fillHvParams(cluster, instance), ...hvparams },
    disks: diskSpecs(state, instance).map((disk, index) => ({
      path: disk_paths[index]!,
      mode: disk.mode,
      uuid: disk.uuid,
    })),
    nics: nicSpecs(cluster, instance),
    tags: instance.tags,
    protected: instance.guarded,
  };
}
