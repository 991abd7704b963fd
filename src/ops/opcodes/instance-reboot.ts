/** Reboots an instance: `soft` and `hard` reset it in place, `full` ends it and starts it anew with its present parameters. */

import type { RunContext } from '../op-context.ts';
import { flag, integer, oneOf, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { ownForStart, startGuest, stopGuest } from './instance-steps.ts';
import { guardWouldChange, instance_ref, instanceFacts, instanceLocks, refOf } from './lookup.ts';

const parse = parser({
  ...instance_ref,
  shutdown_timeout: optional(integer(0, 86_400), 120),
  ignore_secondaries: { ...optional(flag, false), unused: true },
  reboot_type: oneOf('soft', 'hard', 'full'),
});

interface RebootParams {
  readonly instance: string;
  readonly shutdown_timeout: number;
  readonly reboot_type: 'soft' | 'hard' | 'full';
}

export const instanceReboot: Opcode<RebootParams> = {
  id: 'OP_INSTANCE_REBOOT',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, shutdown_timeout, reboot_type } = parse(input);
    return { instance: refOf('instance_name', instance_name, instance_uuid), shutdown_timeout, reboot_type };
  },
  summary: (given) => summary('OP_INSTANCE_REBOOT', given.instance),
  locks: (given, state) => instanceLocks(state, given.instance),
  async run(ctx: RunContext, given) {
    const facts = await ctx.learn('facts', () => {
      const found = instanceFacts(ctx.state, given.instance);
      if (found.admin_state !== 'up') {
        throw new OpError(
          'OpPrereqError',
          `instance ${found.name} is ${found.admin_state}, not up; start it: skein instance startup ${found.name}`,
          'wrong_state',
        );
      }
      if (found.node_offline) {
        throw new OpError(
          'OpPrereqError',
          `node ${found.node_name} of instance ${found.name} is marked offline`,
          'wrong_state',
        );
      }
      return { ...found, guard_changes: guardWouldChange(ctx.state, found.uuid, ctx.wall()) };
    });
    ctx.checkCanceled();
    // Half a reboot must go on to a running guest, never back.
    ctx.pointOfNoReturn();
    const { uuid, name, hypervisor, owner } = facts;
    if (given.reboot_type !== 'full') {
      await ctx.step('reset', owner.node, 'instance.reset', { instance: uuid, name, hypervisor });
      return null;
    }
    if (!(await stopGuest(ctx, facts, given.shutdown_timeout))) {
      throw new OpError(
        'OpExecError',
        `node ${facts.node_name} was lost while instance ${name} was stopped there`,
        'environment_error',
      );
    }
    const epoch = await ownForStart(ctx, facts, facts.guard_changes);
    await startGuest(ctx, facts, owner.node, epoch, { hvparams: {}, paused: false, undo: false });
    return null;
  },
};
