/**
 * Removes an instance: stopped first, then its disks, its configuration last, so that whatever goes wrong in between
 * it is still listed and can be removed again.
 */

import type { RunContext } from '../op-context.ts';
import { flag, integer, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { commitAdminState, stopGuest } from './instance-steps.ts';
import { type InstanceFacts, instance_ref, instanceFacts, instanceLocks, refOf } from './lookup.ts';

const parse = parser({
  ...instance_ref,
  shutdown_timeout: optional(integer(0, 86_400), 120),
  ignore_failures: optional(flag, false),
});

interface RemoveParams {
  readonly instance: string;
  readonly shutdown_timeout: number;
  readonly ignore_failures: boolean;
}

export const instanceRemove: Opcode<RemoveParams> = {
  id: 'OP_INSTANCE_REMOVE',
  version: 1,
  parse(input) {
    const { instance_name, instance_uuid, shutdown_timeout, ignore_failures } = parse(input);
    return {
      instance: refOf('instance_name', instance_name, instance_uuid),
      shutdown_timeout,
      ignore_failures,
    };
  },
  summary: (given) => summary('OP_INSTANCE_REMOVE', given.instance),
  locks: (given, state) => instanceLocks(state, given.instance),
  async run(ctx: RunContext, given) {
    const facts = await ctx.learn('facts', () => instanceFacts(ctx.state, given.instance));
    if (facts.admin_state !== 'offline') await commitAdminState(ctx, facts, 'down');
    if (!(await stopGuest(ctx, facts, given.shutdown_timeout))) {
      const text = `node ${facts.node_name} is lost: nothing was removed there`;
      if (!given.ignore_failures) {
        throw new OpError(
          'OpExecError',
          `${text}; to remove instance ${facts.name} from the configuration all the same: skein instance remove --ignore-failures ${facts.name}`,
          'environment_error',
        );
      }
      await ctx.log(text, 'warning');
      ctx.pointOfNoReturn();
    } else {
      // A guest that lost a disk is not given back.
      ctx.pointOfNoReturn();
      await removeEverything(ctx, facts, given.ignore_failures);
    }
    await ctx.commit('remove', [
      { type: 'instance-remove', time: ctx.wall(), uuid: facts.uuid, if_epoch: facts.owner.epoch },
    ]);
    return null;
  },
};

async function removeEverything(
  ctx: RunContext,
  facts: InstanceFacts,
  ignore_failures: boolean,
): Promise<void> {
  const { uuid, name, hypervisor, owner } = facts;
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!ignore_failures || !(error instanceof OpError)) throw error;
      await ctx.log(`${what} is left behind: ${error.message}`, 'warning');
    }
  };
  await attempt('the guest', () =>
    ctx.step('cleanup', owner.node, 'instance.cleanup', { instance: uuid, name, hypervisor }),
  );
  for (const { template, spec } of facts.disks) {
    await attempt(`disk ${spec.index}`, () =>
      ctx.step(`remove-disk-${spec.index}`, owner.node, 'disk.remove', { template, disk: spec }),
    );
  }
}
