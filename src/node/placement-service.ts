/**
 * Where a member's questions to placement are worked out. The real one has worker threads for it (placement-worker.ts);
 * a simulation answers on the spot, so that its runs are the same each time.
 */
import { direct_placement, type PlacementEngine } from '../ops/placement-desk.ts';
import { type ClusterReport, type ReportAsk, reportCluster } from '../placement/cluster-report.ts';
import type { PlacementView } from '../placement/placement-ask.ts';

export interface PlacementService extends PlacementEngine {
  /** Takes as long as it takes, and holds up no choice meanwhile. */
  report(view: PlacementView, ask: ReportAsk): Promise<ClusterReport>;
  /** What waits for an answer is refused. */
  close(): Promise<void>;
}

export const direct_placement_service: PlacementService = {
  ...direct_placement,
  report: async (view, ask) => reportCluster(view, ask),
  close: async () => undefined,
};
