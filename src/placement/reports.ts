/**
 * Everything about a whole cluster that takes its time to be worked out: what it holds and can bear, reboots, balancing,
 * evacuation.
 * Pure; plain data in and out, so that a thread can do it.
 */
import { type BalancePlan, type BalancePlanRequest, balancePlan } from './balance-plan.ts';
import { type ClusterReport, type ReportAsk, reportCluster } from './cluster-report.ts';
import { type EvacuationPlan, type EvacuationRequest, evacuationPlan } from './evacuation-plan.ts';
import type { PlacementView } from './placement-ask.ts';
import { type RebootPlanAnswer, type RebootPlanRequest, rebootPlan } from './reboot-plan.ts';

export type Report =
  | ({ readonly type: 'capacity' } & ReportAsk)
  | ({ readonly type: 'reboots' } & RebootPlanRequest)
  | ({ readonly type: 'balance' } & BalancePlanRequest)
  | ({ readonly type: 'evacuation' } & EvacuationRequest);

export interface ReportResults {
  readonly capacity: ClusterReport;
  readonly reboots: RebootPlanAnswer;
  readonly balance: BalancePlan;
  readonly evacuation: EvacuationPlan;
}

export type ReportOf<R extends Report> = ReportResults[R['type']];

export function makeReport<R extends Report>(view: PlacementView, ask: R): ReportOf<R>;
export function makeReport(view: PlacementView, ask: Report): ReportResults[keyof ReportResults] {
  switch (ask.type) {
    case 'capacity':
      return reportCluster(view, ask);
    case 'reboots':
      return rebootPlan(view, ask);
    case 'balance':
      return balancePlan(view.cluster, ask);
    case 'evacuation':
      return evacuationPlan(view, ask);
    default:
      return ask satisfies never;
  }
}
