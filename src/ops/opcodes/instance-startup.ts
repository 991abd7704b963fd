/** Starts an instance on the node that owns it. Running already: fine. */

import type { RunContext } from '../op-context.ts';
import { flag, integer, only, optional, params, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { commitAdminState, ownForStart, startGuest } from './instance-steps.ts';
import {
  guardWouldChange,
  instance_ref,
  instanceFacts,
  instanceLocks,
  needInstance,
  refOf,
} from './lookup.ts';
import { admitStart } from './pick-node.ts';

const parse = parser({
  ...instance_ref,
  force: { ...optional(flag, false), unused: true },
  ignore_offline_nodes: optional(flag, false),
  hvparams: optional(params, {}),
  beparams: only({}),
  no_remember: optional(flag, false),
  /** Says that the repair decider submitted it; the engine keeps slots for those. */
  skein_repair: { ...optional(flag, false), unused: true },
  startup_paused: optional(flag, false),
  shutdown_timeout: { ...optional(integer(0, 86_400), 120), unused: true },
});

interface StartupParams {
  readonly instance: string;
  readonly ignore_offline_nodes: boolean;
  readonly hvparams: Readonly<Record<string, string | number | boolean | null>>;
  readonly no_remember: boolean;
  readonly paused: boolean;
}

export const instanceStartup: Opcode<StartupParams> = {
  id: 'OP_INSTANCE_STARTUP',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, startup_paused, ...rest } = parse(input);
    return {
      instance: refOf('instance_name', instance_name, instance_uuid),
      paused: startup_paused,
      ...rest,
    };
  },
  summary: (given) => summary('OP_INSTANCE_STARTUP', given.instance),
  locks: (given, state) => instanceLocks(state, given.instance),
  async run(ctx: RunContext, given) {
    const facts = await ctx.learn('facts', async () => {
      const found = instanceFacts(ctx.state, given.instance);
      if (found.admin_state === 'offline') {
        throw new OpError(
          'OpPrereqError',
          `instance ${found.name} is marked offline; bring it back first: skein instance modify --online ${found.name}`,
          'wrong_state',
        );
      }
      if (found.node_offline && !given.ignore_offline_nodes) {
        throw new OpError(
          'OpPrereqError',
          `node ${found.node_name} of instance ${found.name} is marked offline`,
          'wrong_state',
        );
      }
      // What is up has its room.
      if (found.admin_state === 'down' && !found.node_offline)
        await admitStart(ctx, needInstance(ctx.state, found.uuid));
      const guard_changes =
        found.admin_state === 'down' && guardWouldChange(ctx.state, found.uuid, ctx.wall());
      return { ...found, guard_changes };
    });
    if (!given.no_remember) await commitAdminState(ctx, facts, 'up');
    if (facts.node_offline) {
      await ctx.log(`node ${facts.node_name} is offline: only marked as up, not started`, 'warning');
      return null;
    }
    const epoch = await ownForStart(ctx, facts, facts.guard_changes);
    await startGuest(ctx, facts, facts.owner.node, epoch, {
      hvparams: given.hvparams,
      paused: given.paused,
      undo: true,
    });
    return null;
  },
};
