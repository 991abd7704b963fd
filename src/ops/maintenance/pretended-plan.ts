/**
 * For tests of the maintenance job alone: each node is a group; what is up on it and not on local disks goes to the
 * first other node, the rest is stopped.
 */
import type { StateView } from '../../config/api.ts';
import type { BalancePlan } from '../../placement/balance-plan.ts';
import type {
  MaintenanceAction,
  MaintenancePlan,
  MaintenanceStep,
} from '../../placement/maintenance-plan.ts';
import type { RebootPlanRequest } from '../../placement/reboot-plan.ts';
import type { Report } from '../../placement/reports.ts';

const load = { score: 0, n1_failures: 0 };

export function pretendedReport(state: StateView, ask: Report): MaintenancePlan | BalancePlan {
  if (ask.type === 'reboots') return pretendedPlan(state, ask);
  if (ask.type === 'balance') return pretendedBalance(state);
  throw new Error(`no test has asked for ${ask.type}`);
}

function pretendedPlan(state: StateView, { nodes }: RebootPlanRequest): MaintenancePlan {
  const groups = nodes.map((uuid) => {
    const node = state.get('nodes', uuid)!;
    const other = state.list('nodes').find((each) => each.uuid !== uuid)!;
    const up = state
      .list('instances')
      .filter((instance) => instance.owner.node === uuid && instance.admin_state === 'up');
    const away = up.map((instance): MaintenanceAction => {
      const moves = instance.disk_template !== 'file';
      return moves ? { kind: 'failover', instance, from: node, to: other } : { kind: 'stop', instance, node };
    });
    const back = away.map((action): MaintenanceAction => {
      if (action.kind === 'failover') return { ...action, from: action.to, to: action.from };
      return {
        kind: 'start',
        instance: (action as { instance: { name: string; uuid: string } }).instance,
        node,
      };
    });
    const actions: readonly MaintenanceAction[] = [
      { kind: 'drain', node },
      ...away,
      { kind: 'reboot', node },
      { kind: 'check', node },
      ...back,
      { kind: 'undrain', node },
    ];
    const steps = actions.map(
      (action): MaintenanceStep => ({ action, mib: 0, seconds: 1, down_s: 0, why: null, load }),
    );
    return { nodes: [node], steps, seconds: 1 };
  });
  return { groups, before: load, mib: 0, seconds: 1, down_s: 0 };
}

/** Everything that is up belongs on the second node. */
function pretendedBalance(state: StateView): BalancePlan {
  const [, to] = state.list('nodes');
  const moves = state
    .list('instances')
    .filter((instance) => instance.owner.node !== to!.uuid && instance.admin_state === 'up')
    .map((instance) => {
      const from = state.get('nodes', instance.owner.node)!;
      return { instance, from, to: to!, gain: 1, score: 0, mib: 0, down_s: 1 };
    });
  const group = state.list('groups')[0]!;
  return { groups: [{ group, before: 1, after: moves.length === 0 ? 1 : 0, moves, not_worth: 0 }] };
}
