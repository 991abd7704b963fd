/** The instance policy of a cluster whose source does not give one: Ganeti's defaults. */
import type { InstancePolicy } from './cluster.ts';

export const default_policy: InstancePolicy = {
  std: { memory_mib: 128, cpus: 1, disk_mib: 1024, disk_count: 1, nic_count: 1, spindle_use: 1 },
  minmax: [
    {
      min: { memory_mib: 128, cpus: 1, disk_mib: 1024, disk_count: 1, nic_count: 1, spindle_use: 1 },
      max: { memory_mib: 32768, cpus: 8, disk_mib: 1048576, disk_count: 16, nic_count: 8, spindle_use: 12 },
    },
  ],
  disk_templates: ['diskless', 'file', 'sharedfile', 'plain', 'blockdev', 'drbd', 'rbd', 'ext', 'gluster'],
  vcpu_ratio: 4,
  spindle_ratio: 32,
  memory_ratio: 1,
};
