/**
 * Balances the cluster, one move after the other, each the best in the cluster as it is then and a job of its own. It
 * ends when nothing is worth a move any more, after so many moves, or as soon as anything is not well.
 */

import { runChild } from '../child-jobs.ts';
import { cancelWanted } from '../maintenance/hold.ts';
import { lastingTrouble } from '../maintenance/trouble.ts';
import type { RunContext } from '../op-context.ts';
import { OpCanceled } from '../op-result.ts';
import { flag, integer, name, nullable, number, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { cluster_shared, needGroup } from './lookup.ts';

export const balance_id = 'OP_BALANCE_RUN';

const parse = parser({
  group_name: nullable(name),
  max_moves: optional(integer(1, 1_000), 50),
  min_gain: optional(number(0, 1_000), 0.01),
  gain_per_gib: optional(number(0, 1_000), 0),
  gain_per_down_s: optional(number(0, 1_000), 0),
  allow_restart: optional(flag, false),
});

interface BalanceParams {
  readonly group_name: string | null;
  readonly max_moves: number;
  readonly min_gain: number;
  readonly gain_per_gib: number;
  readonly gain_per_down_s: number;
  /** Instances may be stopped and started elsewhere. */
  readonly allow_restart: boolean;
}

export const balanceRun: Opcode<BalanceParams> = {
  id: balance_id,
  version: 1,
  waits_for_jobs: true,
  parse,
  summary: (given) => summary(balance_id, given.group_name ?? 'all groups'),
  locks: () => [cluster_shared],
  async run(ctx: RunContext, given) {
    // A move that was made is not taken back.
    ctx.pointOfNoReturn();
    const group = await ctx.learn('group', () =>
      given.group_name === null ? null : needGroup(ctx.state, given.group_name).uuid,
    );
    const { min_gain, gain_per_gib, gain_per_down_s } = given;
    for (let moves = 0; ; moves += 1) {
      const next = await ctx.learn(`move-${moves}`, async () => {
        const trouble = await lastingTrouble(ctx);
        if (cancelWanted(ctx)) return 'canceled';
        if (trouble !== null) return { trouble };
        if (moves >= given.max_moves) return null;
        const request = {
          type: 'balance' as const,
          group,
          max_moves: 1,
          min_gain,
          gain_per_gib,
          gain_per_down_s,
          allow_restart: given.allow_restart,
        };
        const plan = await ctx.ports.placement.report(request);
        return plan.groups.flatMap((each) => each.moves).sort((a, b) => b.gain - a.gain)[0] ?? null;
      });
      if (next === 'canceled') throw new OpCanceled();
      if (next === null) {
        const stays = 'running instances stay where they are: live migration is not there yet';
        if (!given.allow_restart) await ctx.log(`${stays}, and restarts are not allowed`);
        return { moves };
      }
      if ('trouble' in next)
        throw new OpError('OpExecError', `ended after ${moves} moves: ${next.trouble}`, 'wrong_state');
      const { instance, from, to, gain } = next;
      const text = `instance ${instance.name} from ${from.name} to ${to.name}, gains ${gain.toFixed(8)}`;
      await ctx.log(`moves ${text}`);
      const op = {
        OP_ID: 'OP_INSTANCE_FAILOVER',
        instance_name: instance.name,
        instance_uuid: instance.uuid,
        target_node: to.name,
        target_node_uuid: to.uuid,
        // Somebody may start it in this moment.
        ...(given.allow_restart ? {} : { allow_restart: false }),
      };
      const { job, problem } = await runChild(ctx, `move-${moves}`, op, `balancing ${ctx.job}`);
      if (problem !== null)
        throw new OpError('OpExecError', `job ${job} failed after ${moves} moves: ${problem}`);
    }
  },
};
