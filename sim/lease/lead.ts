/** The model's leaders: they show the real decider what they know and turn what it wants into entries. For tests. */
import { decide, evidenceFor, type HaWorld, observe } from '../../src/node/ha/decide.ts';
import { propose } from './raft.ts';
import { model_ha, toCluster, toInstances, toNodes } from './state.ts';
import type { Host, Lead, World } from './world.ts';

export function viewOf(w: World, h: Host, duty: Lead): HaWorld {
  const state = w.stateOf(h);
  const short = w.variant === 'short-wait';
  const ha = short
    ? { ...model_ha, guard_slack_ms: 0, kill_ms: 0, drift: 0, margin_ms: 0.2 * model_ha.lease_ms }
    : model_ha;
  const heard = short
    ? new Map([...duty.desk.heard()].map(([id, n]) => [id, { ...n, guard_slack_ms: 0, kill_ms: 0 }]))
    : duty.desk.heard();
  return {
    now_ms: w.clock(h),
    leader_since_ms: w.variant === 'new-leader-does-not-wait' ? -1e9 : duty.since_ms,
    ha,
    nodes: toNodes(state),
    instances: toInstances(state),
    heard,
    live: duty.desk.live(w.clock(h)),
    busy: duty.busy,
    failures: new Map(),
    wall_s: w.now / 1000,
    cluster: toCluster(),
    groups: [],
    disks: [],
    memory: duty.memory,
  };
}

export function lead(w: World, h: Host, duty: Lead): void {
  for (const [node, heard] of duty.desk.heard()) {
    if (heard.boot <= (w.stateOf(h).boots.get(node) ?? 0) || duty.proposed_boots.has(node)) continue;
    duty.proposed_boots.add(node);
    propose(w, h, duty, { type: 'boot', node, boot: heard.boot }, () => duty.proposed_boots.delete(node));
  }
  duty.memory = observe(duty.memory, viewOf(w, h, duty));
  for (const action of decide(viewOf(w, h, duty))) {
    if (action.type === 'hold') w.mark('storm');
    if (action.type === 'node-health' && !duty.busy.has(action.node)) {
      duty.busy.add(action.node);
      const lift =
        action.health === 'lost' && w.variant !== 'grant-while-loss-proposed'
          ? duty.desk.bar(action.node)
          : () => undefined;
      propose(
        w,
        h,
        duty,
        { type: 'health', node: action.node, health: action.health, if_boot: action.if_boot },
        () => {
          duty.busy.delete(action.node);
          lift();
        },
      );
    }
    if (action.type === 'failover') {
      duty.busy.add(action.instance);
      w.at(w.now + w.between(0, 300), () =>
        w.onAgent(h, () => failover(w, h, duty, action.instance, action.target)),
      );
    }
  }
}

/** The job of a repair: looks at the evidence again in the moment of the proposal. */
export function failover(w: World, h: Host, duty: Lead, instance: string, target: string | null): void {
  if (h.lead !== duty) return;
  const owner = w.stateOf(h).owners.get(instance)!;
  const view = viewOf(w, h, duty);
  const well = [...view.heard.values()].filter(
    (n) => n.uuid !== owner.node && view.now_ms - (n.heard_at_ms ?? 0) < 0.3 * view.ha.lease_ms,
  );
  const node = target ?? (well.length > 0 ? w.pick(well).uuid : null);
  const evidence = evidenceFor(view, owner.node, owner.boot);
  if (node === null || evidence === null) {
    duty.busy.delete(instance);
    return;
  }
  w.mark(
    `failover by ${evidence.kind}`,
    `${instance} from ${owner.node} to ${node}: ${evidence.text} (by ${h.id})`,
  );
  const lift = w.variant === 'grant-while-loss-proposed' ? () => undefined : duty.desk.bar(owner.node);
  const boot = w.stateOf(h).boots.get(node) ?? 0;
  propose(w, h, duty, { type: 'owner', instance, if_epoch: owner.epoch, node, boot }, () => {
    duty.busy.delete(instance);
    lift();
  });
}
