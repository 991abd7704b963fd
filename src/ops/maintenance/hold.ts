/** Where a maintenance waits: because somebody wants it to, or because it found something that a person should see. */
import { jobKey } from '../../config/keys.ts';
import type { RunContext } from '../op-context.ts';

const poll_ms = 1_000;

export function cancelWanted(ctx: RunContext): boolean {
  return ctx.state.get('jobs', jobKey(ctx.job))?.cancel_requested ?? false;
}

function isHeld(ctx: RunContext): boolean {
  return ctx.state.get('jobs', jobKey(ctx.job))?.hold !== undefined;
}

/** Not recorded: a leader that comes to this place again waits if the job is held then. */
export async function whileHeld(ctx: RunContext): Promise<void> {
  while (isHeld(ctx) && !cancelWanted(ctx)) await ctx.pause(poll_ms);
}

/** Stops here until somebody lets the job go on, or cancels it. @param name unique within the op */
export async function brake(ctx: RunContext, name: string, why: string): Promise<void> {
  await ctx.commit(`hold-${name}`, [{ type: 'job-hold', time: ctx.wall(), job: ctx.job, why }]);
  await ctx.log(`waits: ${why}; to go on: skein maintenance resume ${ctx.job}`, 'warning');
  await whileHeld(ctx);
}
