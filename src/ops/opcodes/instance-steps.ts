/**
 * What several opcodes do with an instance: give it its node's present boot, start, stop, change its admin state.
 */
import type { Command } from '../../config/commands.ts';
import type { AdminState, Evidence, Instance, Params } from '../../config/model.ts';
import type { RunContext } from '../op-context.ts';
import type { InstanceFacts } from './lookup.ts';

/**
 * An owner is good for one boot, and whether its keeper guards the guest is good for one epoch: after a restart of the
 * node, or when it is to be guarded otherwise, the instance needs a new epoch before it is started. `guard_changes` only
 * of an instance that is down: a guest of the old epoch is ended. Answers the epoch in force.
 */
export async function ownForStart(
  ctx: RunContext,
  facts: InstanceFacts,
  guard_changes: boolean,
): Promise<number> {
  const { owner, node_boot } = facts;
  if (owner.boot === node_boot && !guard_changes) return owner.epoch;
  const evidence: Evidence =
    owner.boot === node_boot
      ? { kind: 'stopped', text: `stopped on node ${facts.node_name}; who guards it changes with this start` }
      : {
          kind: 'boot',
          text: `node ${facts.node_name} is in boot ${node_boot}; the instance was owned in boot ${owner.boot}`,
        };
  await ctx.commit('own', [
    {
      type: 'instance-owner',
      time: ctx.wall(),
      uuid: facts.uuid,
      if_epoch: owner.epoch,
      node: owner.node,
      boot: node_boot,
      evidence,
    },
  ]); // prettier-ignore
  return owner.epoch + 1;
}

export function setAdminState(
  ctx: RunContext,
  uuid: string,
  admin_state: AdminState,
  source: Instance['admin_state_source'],
): Command {
  return {
    type: 'instance-set',
    time: ctx.wall(),
    uuid,
    if_epoch: null,
    changes: { admin_state, admin_state_source: source },
  }; // prettier-ignore
}

/** Commits an admin state unless it is that already; undone, it is again what it was. */
export async function commitAdminState(
  ctx: RunContext,
  facts: InstanceFacts,
  admin_state: AdminState,
  source: Instance['admin_state_source'] = 'admin',
): Promise<void> {
  if (facts.admin_state === admin_state && facts.admin_state_source === source) return;
  const before = setAdminState(ctx, facts.uuid, facts.admin_state, facts.admin_state_source);
  await ctx.commit(`admin-${admin_state}`, [setAdminState(ctx, facts.uuid, admin_state, source)], [before]);
}

export async function startGuest(
  ctx: RunContext,
  facts: InstanceFacts,
  node: string,
  epoch: number,
  options: { hvparams: Params; paused: boolean; undo: boolean },
): Promise<void> {
  const { uuid, name, hypervisor } = facts;
  const args = { instance: uuid, epoch, hvparams: { ...options.hvparams }, paused: options.paused };
  const cleanup = { verb: 'instance.cleanup', args: { instance: uuid, name, hypervisor } } as const;
  await ctx.step('start', node, 'instance.start', args, options.undo ? { undo: cleanup } : {});
}

/** Answers false when the node was lost instead. */
export async function stopGuest(
  ctx: RunContext,
  facts: InstanceFacts,
  timeout_s: number,
  restart_epoch: number | null = null,
): Promise<boolean> {
  const { uuid, name, hypervisor, owner } = facts;
  const args = { instance: uuid, name, hypervisor, timeout_ms: timeout_s * 1000 };
  const restart = {
    verb: 'instance.start',
    args: { instance: uuid, epoch: restart_epoch ?? 0, hvparams: {}, paused: false },
  } as const;
  const result: { was_running: boolean } | null = await ctx.step('stop', owner.node, 'instance.stop', args, {
    tolerate_lost: true,
    ...(restart_epoch === null ? {} : { undo: restart }),
  });
  return result !== null;
}
