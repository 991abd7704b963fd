/** Ganeti's words for what {@link PlacementCluster} knows by name, checked as they are read. */
import type { AllocPolicy, DiskTemplate, RunStatus } from './cluster.ts';

export const disk_templates: readonly DiskTemplate[] = [
  'diskless',
  'file',
  'sharedfile',
  'plain',
  'blockdev',
  'drbd',
  'rbd',
  'ext',
  'gluster',
  'mirror',
];

export const run_statuses: readonly RunStatus[] = [
  'running',
  'ADMIN_down',
  'ADMIN_offline',
  'ERROR_up',
  'ERROR_down',
  'ERROR_nodedown',
  'ERROR_nodeoffline',
  'ERROR_wrongnode',
  'USER_down',
];

export const alloc_policies: readonly AllocPolicy[] = ['preferred', 'last_resort', 'unallocable'];

/** The one of `known` that reads like `text`, or undefined. */
export function known<T extends string>(known_values: readonly T[], text: string): T | undefined {
  return known_values.find((value) => value === text);
}
