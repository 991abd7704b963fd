/**
 * Removes a node: first from the Raft group, so that it neither votes nor counts, then from the configuration, so
 * that the mesh lets it in no more. Never while it owns an instance, and never a silent node before it is proven lost.
 */
import { horizonMs } from '../../config/horizon.ts';
import type { RunContext } from '../op-context.ts';
import { parser } from '../params.ts';
import { consensusOutcome, messageOf } from '../session.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { cluster_shared, clusterOf, findNode, needNode, node_ref, nodeLock, refOf } from './lookup.ts';

const parse = parser({ ...node_ref });
/** Another change of members may be under way: 500 ms doubling to 8 s, about 30 s in all. */
const member_tries = 8;
const hear_pause_ms = 100;

export const nodeRemove: Opcode<{ readonly node: string }> = {
  id: 'OP_NODE_REMOVE',
  version: 1,
  parse(input) {
    const { node_name, node_uuid } = parse(input);
    return { node: refOf('node_name', node_name, node_uuid) };
  },
  summary: (given) => summary('OP_NODE_REMOVE', given.node),
  locks: (given, state) => [cluster_shared, nodeLock(findNode(state, given.node)?.uuid ?? given.node, true)],
  async run(ctx: RunContext, given) {
    const plan = await ctx.learn('plan', async () => {
      await hearOf(ctx, given.node);
      return makePlan(ctx, given.node);
    });
    ctx.checkCanceled();
    ctx.pointOfNoReturn();
    await ctx.learn('remove-member', () => removeMember(ctx, plan.member));
    await ctx.commit('remove', [{ type: 'node-remove', time: ctx.wall(), uuid: plan.uuid }]);
    return null;
  },
};

/** A new leader has heard of nobody yet: it gives the node one lease's time before it calls it silent. */
async function hearOf(ctx: RunContext, ref: string): Promise<void> {
  const { uuid } = needNode(ctx.state, ref);
  const { lease_ms } = clusterOf(ctx.state).ha;
  for (let waited_ms = 0; waited_ms < lease_ms; waited_ms += hear_pause_ms) {
    if (ctx.ports.live(uuid) !== undefined || ctx.ports.evidence(uuid) !== null) return;
    ctx.checkCanceled();
    await ctx.pause(hear_pause_ms);
  }
}

function makePlan(ctx: RunContext, ref: string): { uuid: string; member: number } {
  const node = needNode(ctx.state, ref);
  const refuse = (message: string): never => {
    throw new OpError('OpPrereqError', `node ${node.name} ${message}`, 'wrong_state');
  };
  const owned = ctx.state.list('instances').filter((each) => each.owner.node === node.uuid);
  if (owned.length > 0)
    refuse(
      `owns ${owned.length} instances (${owned
        .slice(0, 5)
        .map((each) => each.name)
        .join(', ')}); move or remove them first`,
    );
  const others = ctx.state.list('nodes').filter((each) => each.uuid !== node.uuid);
  if (others.length === 0) refuse('is the only node; to end the cluster: skein cluster destroy');
  if (node.master_candidate && !others.some((each) => each.master_candidate)) {
    refuse(
      'is the last master candidate; make another node one first: skein node modify --master-candidate yes NODE',
    );
  }
  const { ha } = clusterOf(ctx.state);
  const age_ms = ctx.ports.live(node.uuid)?.age_ms ?? Number.POSITIVE_INFINITY;
  if (age_ms > ha.lease_ms && ctx.ports.evidence(node.uuid) === null) {
    refuse(
      `does not answer and is not proven lost yet; try again in ${Math.ceil(horizonMs(ha, ha) / 1000)} s`,
    );
  }
  return { uuid: node.uuid, member: node.member };
}

/** Removing a member that is gone already is no error, so this may be done again by the next leader. */
async function removeMember(ctx: RunContext, member: number): Promise<null> {
  for (let attempt = 1; ; attempt++) {
    try {
      await ctx.ports.removeMember(member);
      return null;
    } catch (error) {
      // Leadership lost or in doubt: not for this function to judge.
      if (consensusOutcome(error) === 'unknown' || attempt >= member_tries) throw error;
      await ctx.log(`member ${member} is not removed yet: ${messageOf(error)}`, 'warning');
      await ctx.pause(Math.min(8_000, 250 * 2 ** attempt));
    }
  }
}
