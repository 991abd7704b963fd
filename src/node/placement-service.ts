/**
 * Where a member's questions to placement are worked out. The real one has worker threads for it (placement-worker.ts);
 * a simulation answers on the spot, so that its runs are the same each time.
 */
import { direct_placement, type PlacementEngine } from '../ops/placement-desk.ts';

export interface PlacementService extends PlacementEngine {
  /** What waits for an answer is refused. */
  close(): Promise<void>;
}

export const direct_placement_service: PlacementService = {
  ...direct_placement,
  close: async () => undefined,
};
