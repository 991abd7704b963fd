/**
 * A rolling reboot of nodes, group after group, as one job that lasts for hours: it can be held and let go on, waits by
 * itself when anything is not well, and goes on under the next leader, which its own reboots may make.
 *
 * It is never undone as a whole: nodes that were rebooted stay rebooted. Canceled, it puts back what it moved, stopped
 * and drained in the group at hand.
 */
import { isActive } from '../../config/job-status.ts';
import type { MaintenanceStep, Named } from '../../placement/maintenance-plan.ts';
import { brake } from '../maintenance/hold.ts';
import { type GroupRules, gate, runGroup } from '../maintenance/run-group.ts';
import type { RunContext } from '../op-context.ts';
import { OpCanceled } from '../op-result.ts';
import { flag, integer, listOf, name, nullable, oneOf, optional, parser } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import { cluster_shared, nodesToReboot } from './lookup.ts';

export const maintenance_id = 'OP_MAINTENANCE_RUN';

const parse = parser({
  nodes: optional(listOf(name, 1_000), []),
  group_name: nullable(name),
  offline: optional(flag, false),
  at_once: nullable(integer(1, 1_000)),
  reboot_by: optional(oneOf('program', 'oob', 'hand'), 'program'),
  move_back: optional(flag, true),
  reboot_timeout: optional(integer(1, 86_400), 1_800),
  shutdown_timeout: optional(integer(0, 86_400), 120),
});

interface MaintenanceParams {
  /** Empty: all of the group, or of the cluster. */
  readonly nodes: readonly string[];
  readonly group: string | null;
  readonly offline: boolean;
  /** At most so many hosts; null: placement says. */
  readonly at_once: number | null;
  readonly rules: GroupRules;
}

export const maintenanceRun: Opcode<MaintenanceParams> = {
  id: maintenance_id,
  version: 1,
  waits_for_jobs: true,
  parse(input) {
    const { nodes, group_name, offline, at_once, reboot_by, move_back, reboot_timeout, shutdown_timeout } =
      parse(input);
    return {
      nodes,
      group: group_name,
      offline,
      at_once,
      rules: {
        by: reboot_by,
        move_back,
        patience_s: reboot_timeout,
        shutdown_timeout_s: shutdown_timeout,
      },
    };
  },
  summary: (given) => summary(maintenance_id, given.nodes.join(',') || (given.group ?? 'all nodes')),
  locks: () => [cluster_shared],
  async run(ctx: RunContext, given) {
    // Reboots are not undone. A wish to cancel is looked for between the steps instead.
    ctx.pointOfNoReturn();
    const groups = await ctx.learn('groups', () => findGroups(ctx, given));
    await ctx.log(`${groups.length} groups: ${groups.map(namesOf).join(' | ')}`);
    for (const [at, nodes] of groups.entries()) {
      const which = `group ${at + 1} of ${groups.length} (${namesOf(nodes)})`;
      await ctx.log(`${which} begins`);
      ctx.progress({ text: which, done: at, total: groups.length, unit: '', eta_s: null });
      const steps = await planGroup(ctx, at + 1, nodes, given.offline);
      const outcome = steps === null ? 'canceled' : await runGroup(ctx, at + 1, steps, given.rules);
      if (outcome === 'canceled') {
        await ctx.log(`canceled in ${which}: ${at} groups are done, and this one is put back`, 'warning');
        throw new OpCanceled();
      }
      await ctx.log(`${which} is done`);
    }
    return { groups: groups.length, nodes: groups.flatMap((nodes) => nodes.map((node) => node.name)) };
  },
};

const namesOf = (nodes: readonly Named[]): string => nodes.map((node) => node.name).join(', ');

async function findGroups(ctx: RunContext, given: MaintenanceParams): Promise<readonly (readonly Named[])[]> {
  refuseSecond(ctx);
  const nodes = nodesToReboot(ctx.state, given.nodes, given.group);
  const plan = await ctx.ports.placement.report({
    type: 'reboots',
    nodes,
    together: false,
    at_once: given.at_once,
    offline: given.offline,
  });
  if ('problem' in plan) throw new OpError('OpPrereqError', plan.problem, 'insufficient_resources');
  return plan.groups.map((group) => group.nodes);
}

/** As the cluster is when its turn comes; waits for a person where there is no plan. null: the job was canceled. */
async function planGroup(
  ctx: RunContext,
  nth: number,
  nodes: readonly Named[],
  offline: boolean,
): Promise<readonly MaintenanceStep[] | null> {
  const uuids = nodes.map((node) => node.uuid);
  const request = { type: 'reboots', nodes: uuids, together: true, at_once: null, offline } as const;
  for (let turn = 0; ; turn += 1) {
    if (!(await gate(ctx, `plan-${nth}-${turn}`))) return null;
    const found = await ctx.learn(`plan-${nth}-${turn}`, async () => {
      const plan = await ctx.ports.placement.report(request);
      return 'problem' in plan ? { problem: plan.problem } : { steps: plan.groups[0]!.steps };
    });
    if ('steps' in found) return found.steps;
    await brake(ctx, `plan-${nth}-${turn}`, found.problem);
  }
}

/** Two of them would drain what the other one needs. */
function refuseSecond(ctx: RunContext): void {
  const other = ctx.state
    .list('jobs')
    .find(
      (job) =>
        job.id !== ctx.job &&
        isActive(job.status) &&
        job.ops.some(({ input }) => input.OP_ID === maintenance_id),
    );
  if (other === undefined) return;
  throw new OpError(
    'OpPrereqError',
    `job ${other.id} is a maintenance already: skein job watch ${other.id}, or skein job cancel ${other.id}`,
    'wrong_state',
  );
}
