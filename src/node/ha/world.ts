/**
 * What the repair decider looks at: the shared view, the objects that protection depends on, and what the leader
 * remembers of this term.
 */
import type { Cluster, Disk, NodeGroup } from '../../config/model.ts';
import type { HaView } from '../ha-types.ts';
import type { HaMemory } from './observe.ts';

export interface HaWorld extends HaView {
  /** Wall clock in seconds, for what is recorded in it. */
  readonly wall_s: number;
  readonly cluster: Cluster;
  readonly groups: readonly NodeGroup[];
  readonly disks: readonly Disk[];
  /** From {@link observe}, called before every decision. Without it the storm brake sees only this moment. */
  readonly memory?: HaMemory;
  /** When the last job on an instance ended: live data from before says nothing about it. */
  readonly job_ended_at_ms?: ReadonlyMap<string, number>;
}
