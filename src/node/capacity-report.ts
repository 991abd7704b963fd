/** `skein cluster capacity`: the cluster as the leader's jobs see it, measured on a thread of its own. */
import type { StateView } from '../config/api.ts';
import { recordedChoices } from '../ops/choices.ts';
import { createPlacementViewer } from '../ops/placement-view.ts';
import type { LiveNode } from '../ops/types.ts';
import type { DiskTemplate } from '../placement/cluster.ts';
import type { ClusterReport } from '../placement/cluster-report.ts';
import type { PlacementService } from './placement-service.ts';

export interface CapacityQuestion {
  /** null: the first that the cluster has enabled. */
  readonly disk_template: string | null;
  /** uuid; null: what fits, and the loss of every node. */
  readonly lost: string | null;
}

/** @throws Error for a template that the cluster has not enabled, and when there is no answer */
export function capacityReport(
  state: StateView,
  live: ReadonlyMap<string, LiveNode>,
  placement: Pick<PlacementService, 'report'>,
  { disk_template, lost }: CapacityQuestion,
): Promise<ClusterReport> {
  const enabled = state.get('cluster', 'cluster')?.enabled_disk_templates ?? [];
  const template = disk_template ?? enabled[0] ?? 'diskless';
  if (!enabled.includes(template)) {
    const text = `disk template ${JSON.stringify(template)} is not enabled: expected one of ${enabled.join(', ')}`;
    return Promise.reject(new Error(text));
  }
  const view = createPlacementViewer(state).view((uuid) => live.get(uuid), recordedChoices(state));
  return placement.report(view, { template: template as DiskTemplate, lost, losses_only: lost !== null });
}
