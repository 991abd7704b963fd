/**
 * The nodes of a group go down and come back: those that vote one after the other, so that the cluster keeps its
 * majority, the others together.
 */
import type { Params } from '../../config/model.ts';
import { fillNdParams } from '../../config/params.ts';
import type { RunContext } from '../op-context.ts';
import { clusterOf } from '../opcodes/lookup.ts';
import { OpError } from '../types.ts';
import { brake, cancelWanted } from './hold.ts';

/** program: the operator's, on the node itself. oob: Ganeti's out-of-band program. hand: somebody does it. */
export type RebootBy = 'program' | 'oob' | 'hand';

export interface RebootRules {
  readonly by: RebootBy;
  /** How long a node may take to come back before a person is asked. */
  readonly patience_s: number;
}

interface Target {
  readonly uuid: string;
  readonly name: string;
  readonly boot: number;
}

const poll_ms = 1_000;

/** Voters one by one, at last; before them all others at once. */
export function rebootBatches(
  nodes: readonly { readonly uuid: string; readonly member: number }[],
  voters: readonly number[],
): readonly (readonly string[])[] {
  const votes = new Set(voters);
  const others = nodes.filter(({ member }) => !votes.has(member)).map(({ uuid }) => uuid);
  const one_by_one = nodes.filter(({ member }) => votes.has(member)).map(({ uuid }) => [uuid]);
  return others.length === 0 ? one_by_one : [others, ...one_by_one];
}

/**
 * Resolves when all are back and well. Who was told to go down is waited for even if the job is canceled meanwhile, unless
 * it needs a person: then, and while a person's hand is waited for, cancellation ends the wait.
 * @param name unique within the op
 */
export async function rebootAll(
  ctx: RunContext,
  name: string,
  uuids: readonly string[],
  rules: RebootRules,
): Promise<'done' | 'canceled'> {
  const targets = await ctx.learn(`boots-${name}`, () =>
    uuids.flatMap((uuid): Target[] => {
      const node = ctx.state.get('nodes', uuid);
      return node === undefined ? [] : [{ uuid, name: node.name, boot: node.boot }];
    }),
  );
  const names = targets.map((target) => target.name).join(', ');
  for (let attempt = 0; ; attempt += 1) {
    const at = `${name}-${attempt}`;
    await ctx.log(rules.by === 'hand' ? `reboot ${names} by hand now` : `reboots ${names}`);
    const refused = await order(ctx, at, targets, rules.by);
    const found = await ctx.learn(`back-${at}`, () => refused ?? awaitBack(ctx, targets, rules));
    if (found === null) return 'done';
    if (found === canceled) return canceled;
    await brake(ctx, `reboot-${at}`, found);
    if (await ctx.learn(`given-up-${at}`, () => cancelWanted(ctx))) return canceled;
  }
}

const canceled = 'canceled';

/** null: all were told to go down. Otherwise why not. */
async function order(
  ctx: RunContext,
  at: string,
  targets: readonly Target[],
  by: RebootBy,
): Promise<string | null> {
  if (by === 'hand') return null;
  const helpers = await ctx.learn(`helpers-${at}`, () => helpersOf(ctx, targets, by));
  const asked = targets.map(async ({ uuid, boot }, index): Promise<string | null> => {
    const helper = helpers[index]!;
    try {
      if (by === 'program')
        await ctx.step(`reboot-${at}-${index}`, uuid, 'node.reboot', { boot }, { tolerate_lost: true });
      else if ('problem' in helper) return helper.problem;
      else
        await ctx.step(
          `cycle-${at}-${index}`,
          helper.node,
          'node.power-cycle',
          { program: helper.program, node: uuid, boot },
          { tolerate_lost: true },
        );
      return null;
    } catch (error) {
      if (error instanceof OpError) return error.message;
      throw error;
    }
  });
  const problems = (await Promise.all(asked)).filter((problem) => problem !== null);
  return problems.length === 0 ? null : problems.join('; ');
}

type Helper = { readonly node: string; readonly program: string } | { readonly problem: string };

/** For each target: who power cycles it, and with what. */
function helpersOf(ctx: RunContext, targets: readonly Target[], by: RebootBy): readonly Helper[] {
  if (by !== 'oob') return targets.map(() => ({ problem: 'not asked for' }));
  const down = new Set(targets.map(({ uuid }) => uuid));
  const cluster = clusterOf(ctx.state);
  const well = ctx.state
    .list('nodes')
    .find((node) => node.health === 'member' && !node.offline && !down.has(node.uuid));
  return targets.map(({ uuid, name }): Helper => {
    const node = ctx.state.get('nodes', uuid);
    const group = node && ctx.state.get('groups', node.group);
    const filled: Params = node && group ? fillNdParams(cluster, group, node) : {};
    const program = String(filled.oob_program ?? '');
    if (program === '')
      return {
        problem: `node ${name} has no out-of-band program: skein node modify ${name} --node-parameters oob_program=/path`,
      };
    if (well === undefined) return { problem: `there is no other node that is well, to power cycle ${name}` };
    return { node: well.uuid, program };
  });
}

/** In a later boot, a member again, and heard. */
function isBack(ctx: RunContext, { uuid, boot }: Target): boolean {
  const node = ctx.state.get('nodes', uuid);
  if (node === undefined) return true;
  const seen = ctx.ports.live(uuid);
  return node.boot > boot && node.health === 'member' && seen !== undefined && seen.boot === node.boot;
}

async function awaitBack(
  ctx: RunContext,
  targets: readonly Target[],
  { by, patience_s }: RebootRules,
): Promise<string | null> {
  for (let waited_ms = 0; waited_ms < patience_s * 1_000; waited_ms += poll_ms) {
    if (targets.every((target) => isBack(ctx, target))) return null;
    if (by === 'hand' && cancelWanted(ctx)) return canceled;
    await ctx.pause(poll_ms);
  }
  const late = targets.filter((target) => !isBack(ctx, target)).map(({ name }) => name);
  return late.length === 0 ? null : `${late.join(', ')} did not come back within ${patience_s} s`;
}
