/**
 * Moves an instance's ownership to another node and starts it there. For disks that every node reaches, or none.
 *
 * Never: an owner change without evidence that the guest does not and will not run under the old epoch. Either the
 * source has stopped it (evidence `stopped`, a recorded step), or its boot has ended (`boot`), or the source is lost, by
 * the evidence of *this* leader at the moment of the proposal, while it grants that node no lease (docs/ha.md, rule 4).
 * Evidence of an earlier leader does not count: the node may have come back to life under the new one.
 */

import type { Command } from '../../config/commands.ts';
import { horizonMs } from '../../config/horizon.ts';
import type { Evidence, Node, Owner } from '../../config/model.ts';
import { isReachableEverywhere } from '../../config/protected.ts';
import type { RunContext } from '../op-context.ts';
import { flag, integer, name, nullable, only, optional, parser } from '../params.ts';
import { obeyPolicy, policySubjectOf, violationsIn } from '../policy-check.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { startGuest, stopGuest } from './instance-steps.ts';
import {
  cluster_shared,
  clusterOf,
  findNode,
  groupOfNode,
  type InstanceFacts,
  instance_ref,
  instanceFacts,
  instanceLocks,
  needInstance,
  needNode,
  nodeLock,
  refOf,
} from './lookup.ts';
import { pickTarget } from './pick-node.ts';

const parse = parser({
  ...instance_ref,
  shutdown_timeout: optional(integer(0, 86_400), 120),
  ignore_consistency: { ...optional(flag, false), unused: true },
  target_node: nullable(name),
  target_node_uuid: nullable(name),
  ignore_ipolicy: optional(flag, false),
  cleanup: only(false),
  iallocator: only(null),
  skein_repair: optional(flag, false),
  // Ours: by default it does what its name says.
  allow_restart: optional(flag, true),
});

interface FailoverParams {
  readonly instance: string;
  readonly shutdown_timeout: number;
  readonly target: string | null;
  readonly ignore_ipolicy: boolean;
  /** Submitted by the repair decider, not by a person. */
  readonly skein_repair: boolean;
  /** false: refused for an instance that is to run, which would be stopped and started elsewhere. */
  readonly allow_restart: boolean;
}

interface Plan {
  readonly facts: InstanceFacts;
  readonly target: { readonly uuid: string; readonly name: string; readonly boot: number };
  readonly source: 'rebooted' | 'lost' | 'ask';
  /** What placement has to say of it; '' or, in an older log, absent: nothing. */
  readonly warning?: string;
  /** What of the policy it breaks where it goes, and is not to be stopped by. */
  readonly ignored: string | null;
}

const evidence_poll_ms = 500;

export const instanceFailover: Opcode<FailoverParams> = {
  id: 'OP_INSTANCE_FAILOVER',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, target_node, target_node_uuid, ...rest } = parse(input);
    return {
      ...rest,
      instance: refOf('instance_name', instance_name, instance_uuid),
      target: target_node_uuid ?? target_node,
    };
  },
  summary: (given) => summary('OP_INSTANCE_FAILOVER', given.instance),
  locks(given, state) {
    const target = given.target === null ? null : findNode(state, given.target);
    const nodes = target ? [target] : state.list('nodes');
    return [
      cluster_shared,
      ...instanceLocks(state, given.instance),
      ...nodes.map((node) => nodeLock(node.uuid, false)),
    ];
  },
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', () => makePlan(ctx, given));
    const { facts, target } = plan;
    if (plan.warning) await ctx.log(plan.warning, 'warning');
    if (plan.ignored) await ctx.log(plan.ignored, 'warning');
    const owner = await changeOwner(ctx, plan, given);
    // The log says who owns it now; going back would be another failover.
    ctx.pointOfNoReturn();
    await ctx.log(`instance ${facts.name} is now owned by node ${target.name}, epoch ${owner.epoch}`);
    if (facts.admin_state !== 'up') return null;
    try {
      await startGuest(ctx, facts, target.uuid, owner.epoch, { hvparams: {}, paused: false, undo: false });
    } catch (error) {
      if (!(error instanceof OpError)) throw error;
      throw new OpError(
        error.kind,
        `instance ${facts.name} belongs to node ${target.name} now, but was not started there: ${error.message}`,
        error.ecode,
      );
    }
    return null;
  },
};

async function makePlan(ctx: RunContext, given: FailoverParams): Promise<Plan> {
  const { state } = ctx;
  const facts = instanceFacts(state, given.instance);
  if (!given.allow_restart && facts.admin_state === 'up') {
    throw new OpError(
      'OpPrereqError',
      `instance ${facts.name} is up: expected it to be down, since restarts are not allowed (allow_restart)`,
      'wrong_state',
    );
  }
  const rebooted = facts.node_boot !== facts.owner.boot;
  const instance = needInstance(state, facts.uuid);
  const disks = facts.disks.map((disk) => ({ dev_type: disk.template }));
  const named = given.target === null ? null : needNode(state, given.target).uuid;
  const stays = rebooted && (named === null || named === facts.owner.node);
  if (named !== facts.owner.node && !stays && !isReachableEverywhere(facts, disks)) {
    throw new OpError(
      'OpPrereqError',
      `instance ${facts.name} has disk template ${facts.disk_template}: expected sharedfile or diskless, whose data other nodes reach`,
      'wrong_state',
    );
  }
  const { node: target, warning } = await pickTarget(ctx, instance, given.target, rebooted);
  const source = rebooted ? 'rebooted' : ctx.ports.evidence(facts.owner.node) === null ? 'ask' : 'lost';
  return {
    facts,
    target: { uuid: target.uuid, name: target.name, boot: target.boot },
    source,
    warning,
    ignored: checkPolicy(ctx, facts, target, given),
  };
}

/** In its own group an instance may stay as it is. A repair is not held up by a policy. */
function checkPolicy(
  ctx: RunContext,
  facts: InstanceFacts,
  target: Node,
  given: FailoverParams,
): string | null {
  const { state } = ctx;
  if (target.group === state.get('nodes', facts.owner.node)?.group) return null;
  const cluster = clusterOf(state);
  const subject = policySubjectOf(state, cluster, needInstance(state, facts.uuid));
  const violations = violationsIn(cluster, groupOfNode(state, target.uuid), subject);
  return obeyPolicy(facts.name, violations, given.ignore_ipolicy || given.skein_repair);
}

async function changeOwner(ctx: RunContext, plan: Plan, given: FailoverParams): Promise<Owner> {
  const { facts, target } = plan;
  const source = facts.owner.node;
  const change = (evidence: Evidence): Command => ({
    type: 'instance-owner',
    time: ctx.wall(),
    uuid: facts.uuid,
    if_epoch: facts.owner.epoch,
    node: target.uuid,
    boot: target.boot,
    evidence,
  }); // prettier-ignore
  const owner: Owner = { node: target.uuid, boot: target.boot, epoch: facts.owner.epoch + 1 };
  if (plan.source === 'rebooted') {
    const text = `node ${facts.node_name} is in boot ${facts.node_boot}; the instance was owned in boot ${facts.owner.boot}`;
    await ctx.commit('owner', [change({ kind: 'boot', text })]);
    return owner;
  }
  if (plan.source === 'ask') {
    const restart_epoch = facts.admin_state === 'up' ? facts.owner.epoch : null;
    if (await stopGuest(ctx, facts, given.shutdown_timeout, restart_epoch)) {
      await ctx.commit('owner', [
        change({ kind: 'stopped', text: `stopped on node ${facts.node_name} by job ${ctx.job}` }),
      ]);
      return owner;
    }
  }
  await commitOnLoss(ctx, source, facts, change);
  return owner;
}

/** Waits for this leader's own evidence, and proposes on it while the node is barred from leases. */
async function commitOnLoss(
  ctx: RunContext,
  source: string,
  facts: InstanceFacts,
  change: (evidence: Evidence) => Command,
): Promise<void> {
  const { ha } = clusterOf(ctx.state);
  const patience_ms = 2 * horizonMs(ha, ha) + 30_000;
  for (let waited_ms = 0; ; waited_ms += evidence_poll_ms) {
    let release: (() => void) | null = null;
    try {
      const done = await ctx.commitNow('owner', () => {
        if (ctx.ports.evidence(source) === null) return null;
        release = ctx.ports.barLease(source);
        // A renewal may have been answered up to the bar; none can be from here on.
        const evidence = ctx.ports.evidence(source);
        return evidence && [change(evidence)];
      });
      if (done) return;
    } finally {
      (release as (() => void) | null)?.();
    }
    if (waited_ms >= patience_ms) {
      throw new OpError(
        'OpExecError',
        `node ${facts.node_name} is not proven lost any more; instance ${facts.name} stays with it`,
        'wrong_state',
      );
    }
    await ctx.pause(evidence_poll_ms);
  }
}
