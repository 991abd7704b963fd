/**
 * Moves everything off a node, one instance after the other, each by a job of its own, after one plan for all of them
 * that is made before anything begins and kept by whoever leads next.
 *
 * What was moved stays moved: it ends at the first job that fails, and when canceled between two moves. Nothing begins
 * unless everything can go. The node is not drained by it.
 */
import type { OpInput } from '../../config/model.ts';
import type { EvacuationMove } from '../../placement/evacuation-plan.ts';
import { runChild } from '../child-jobs.ts';
import { plan_step } from '../choices.ts';
import {
  type EvacuationMode,
  evacuation_modes,
  evacuationRefusal,
  planEvacuation,
  restartRefusal,
} from '../evacuation.ts';
import { cancelWanted } from '../maintenance/hold.ts';
import type { RunContext } from '../op-context.ts';
import { OpCanceled } from '../op-result.ts';
import { flag, name, nullable, oneOf, optional, type Param, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { cluster_shared, findNode, node_ref, refOf } from './lookup.ts';

export const evacuate_id = 'OP_NODE_EVACUATE';

/** There is one that chooses nodes, and it is built in. */
const built_in: Param<string> = {
  ...oneOf('hail'),
  expected: 'hail, the built-in engine (no other chooses nodes)',
};

const parse = parser({
  ...node_ref,
  mode: oneOf(...evacuation_modes),
  remote_node: nullable(name),
  remote_node_uuid: nullable(name),
  iallocator: { ...nullable(built_in), unused: true },
  // There are no second copies to be released, and soft limits give way by themselves.
  early_release: { ...optional(flag, false), unused: true },
  ignore_soft_errors: { ...nullable(flag), unused: true },
  allow_restart: optional(flag, false),
});

interface EvacuateParams {
  readonly node: string;
  readonly mode: EvacuationMode;
  readonly to: string | null;
  /** Instances that run may be stopped and started elsewhere. */
  readonly allow_restart: boolean;
}

export const nodeEvacuate: Opcode<EvacuateParams> = {
  id: evacuate_id,
  version: 1,
  waits_for_jobs: true,
  parse(input) {
    const { node_name, node_uuid, remote_node, remote_node_uuid, mode, allow_restart } = parse(input);
    return {
      node: refOf('node_name', node_name, node_uuid),
      mode,
      to: remote_node_uuid ?? remote_node,
      allow_restart,
    };
  },
  summary: (given) => summary(evacuate_id, given.node),
  locks: (given, state) => [
    cluster_shared,
    // A second one of the same node waits, and finds what the first has left.
    { name: `evacuation/${findNode(state, given.node)?.uuid ?? given.node}`, exclusive: true },
  ],
  async run(ctx: RunContext, given) {
    // A move that was made is not taken back.
    ctx.pointOfNoReturn();
    const { node, moves } = await ctx.learn(plan_step, async () => {
      const plan = await planEvacuation(ctx.state, ctx.ports.placement.report, given);
      const refusal = evacuationRefusal(plan, given.allow_restart);
      if (refusal !== null) throw refusal;
      return { node: plan.node, moves: plan.moves };
    });
    await ctx.log(beginning(node.name, given.mode, moves.length));
    const jobs: (readonly [boolean, number])[] = [];
    for (const [at, move] of moves.entries()) {
      const { instance, to, restarts } = move;
      const what = `instance ${instance.name} from ${node.name} to ${to.name}`;
      const so_far = `${jobs.length} of ${moves.length} instances were moved`;
      const found = await ctx.learn(`move-${at}`, () => whatIsToDo(ctx, node.uuid, move));
      if (found === 'canceled') {
        await ctx.log(`canceled: ${so_far}, and stay where they are now`, 'warning');
        throw new OpCanceled();
      }
      if (found === 'gone') {
        await ctx.log(`instance ${instance.name} is not on node ${node.name} any more`);
        continue;
      }
      if (found === 'runs' && !given.allow_restart) {
        const { message } = restartRefusal([instance.name]);
        throw new OpError('OpExecError', `started meanwhile: ${message}; ${so_far}`, 'wrong_state');
      }
      ctx.progress({ text: what, done: at, total: moves.length, unit: '', eta_s: null });
      const how = restarts ? ', by stopping it and starting it there' : ', which stays stopped';
      await ctx.log(`${at + 1} of ${moves.length}: moves ${what}${how}`);
      if (move.warning !== null) await ctx.log(move.warning, 'warning');
      const { job, problem } = await runChild(
        ctx,
        `move-${at}`,
        failover(move, given.allow_restart),
        `evacuation ${ctx.job} of node ${node.name}`,
      );
      if (problem !== null)
        throw new OpError('OpExecError', `job ${job}, moving ${what}, failed: ${problem}; ${so_far}`);
      jobs.push([true, job]);
    }
    const left = await ctx.learn('left', () => ownedBy(ctx, node.uuid));
    if (given.mode !== 'secondary-only' && left.length > 0)
      await ctx.log(`came to node ${node.name} meanwhile: ${left.join(', ')}`, 'warning');
    return { jobs, moved: jobs.length };
  },
};

function beginning(node: string, mode: EvacuationMode, moves: number): string {
  if (mode === 'secondary-only')
    return `node ${node} has no secondary instances: no disk template of this version keeps a second copy`;
  return moves === 0 ? `node ${node} owns no instances` : `${moves} instances are to leave node ${node}`;
}

/** The plan may be hours old when an instance's turn comes. */
function whatIsToDo(
  ctx: RunContext,
  node: string,
  { instance: { uuid } }: EvacuationMove,
): 'canceled' | 'gone' | 'runs' | 'stopped' {
  if (cancelWanted(ctx)) return 'canceled';
  const instance = ctx.state.get('instances', uuid);
  if (instance?.owner.node !== node) return 'gone';
  return instance.admin_state === 'up' ? 'runs' : 'stopped';
}

function failover({ instance, to }: EvacuationMove, allow_restart: boolean): OpInput {
  return {
    OP_ID: 'OP_INSTANCE_FAILOVER',
    instance_name: instance.name,
    instance_uuid: instance.uuid,
    target_node: to.name,
    target_node_uuid: to.uuid,
    ...(allow_restart ? {} : { allow_restart }),
  };
}

function ownedBy({ state }: RunContext, node: string): readonly string[] {
  return state.list('instances').flatMap(({ name: own, owner }) => (owner.node === node ? [own] : []));
}
