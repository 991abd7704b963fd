/**
 * Stops an instance. The wish comes first (admin state `down`), so that nobody starts it again meanwhile; it stays even
 * if the guest cannot be stopped now.
 */

import type { Evidence } from '../../config/model.ts';
import type { RunContext } from '../op-context.ts';
import { flag, integer, nullable, oneOf, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { commitAdminState, stopGuest } from './instance-steps.ts';
import { type InstanceFacts, instance_ref, instanceFacts, instanceLocks, refOf } from './lookup.ts';

const parse = parser({
  ...instance_ref,
  force: optional(flag, false),
  ignore_offline_nodes: optional(flag, false),
  timeout: optional(integer(0, 86_400), 120),
  no_remember: optional(flag, false),
  admin_state_source: nullable(oneOf('admin', 'user')),
});

interface ShutdownParams {
  readonly instance: string;
  readonly force: boolean;
  readonly ignore_offline_nodes: boolean;
  readonly timeout: number;
  readonly no_remember: boolean;
  readonly admin_state_source: 'admin' | 'user' | null;
}

export const instanceShutdown: Opcode<ShutdownParams> = {
  id: 'OP_INSTANCE_SHUTDOWN',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, ...rest } = parse(input);
    return { instance: refOf('instance_name', instance_name, instance_uuid), ...rest };
  },
  summary: (given) => summary('OP_INSTANCE_SHUTDOWN', given.instance),
  locks: (given, state) => instanceLocks(state, given.instance),
  async run(ctx: RunContext, given) {
    const facts = await ctx.learn('facts', () => {
      const found = instanceFacts(ctx.state, given.instance);
      if (found.admin_state === 'offline' && !given.force) {
        throw new OpError(
          'OpPrereqError',
          `instance ${found.name} is marked offline: it does not run`,
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
      return found;
    });
    ctx.checkCanceled();
    ctx.pointOfNoReturn();
    if (!given.no_remember && facts.admin_state !== 'offline') {
      await commitAdminState(ctx, facts, 'down', given.admin_state_source ?? 'admin');
    }
    if (facts.node_offline) {
      await ctx.log(`node ${facts.node_name} is offline: only marked as down`, 'warning');
      return null;
    }
    if (!(await stopGuest(ctx, facts, given.timeout))) {
      await endWithNode(ctx, facts);
    }
    return null;
  },
};

/**
 * The node is lost: its guests count as stopped, but one that its keeper froze would be resumed when the node comes back
 * and finds it still its own. Under a new epoch the node ends it instead. Of an earlier boot nothing is left to be ended.
 */
async function endWithNode(ctx: RunContext, facts: InstanceFacts): Promise<void> {
  const { uuid, owner, node_boot, proof } = await ctx.learn('after-loss', () => {
    const now = instanceFacts(ctx.state, facts.uuid);
    return { ...now, proof: ctx.ports.evidence(now.owner.node) };
  });
  if (owner.boot === node_boot) {
    const text = `node ${facts.node_name} was lost when job ${ctx.job} stopped it`;
    // Of a node that was not seen since a recovery the log takes nothing less.
    const evidence: Evidence =
      proof?.kind === 'word' || proof?.kind === 'power' ? proof : { kind: 'stopped', text };
    await ctx.commit('end', [
      {
        type: 'instance-owner',
        time: ctx.wall(),
        uuid,
        if_epoch: owner.epoch,
        node: owner.node,
        boot: node_boot,
        evidence,
      },
    ]); // prettier-ignore
  }
  await ctx.log(
    `node ${facts.node_name} is lost: the instance counts as stopped; if it still runs there it is ended when the node returns`,
    'warning',
  );
}
