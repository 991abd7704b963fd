/**
 * Scenes: what no swarm judges, because in general it is no promise. In each, a few members are brought into one
 * situation in which the answer is known: who must keep the lead, who must give it up, who must get all entries. The
 * seed draws the election timers.
 */
import type { Scenes } from './scene.ts';
import { disk_scenes } from './scenes-disk.ts';
import { lead_scenes } from './scenes-lead.ts';
import { log_scenes } from './scenes-log.ts';
import { member_scenes } from './scenes-members.ts';

const all: Scenes = { ...lead_scenes, ...log_scenes, ...disk_scenes, ...member_scenes };

/** Plays every scene. @throws Error naming the one that went wrong */
export async function playAll(seed: number): Promise<void> {
  for (const [name, scene] of Object.entries(all)) {
    try {
      await scene(seed);
    } catch (error) {
      throw new Error(`scene ${name}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
}
