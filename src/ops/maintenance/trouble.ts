/** What a maintenance must not go on with: whatever is wrong in the cluster just now. */
import type { StateView } from '../../config/api.ts';
import type { RunContext } from '../op-context.ts';
import type { LiveNode } from '../types.ts';
import { cancelWanted } from './hold.ts';

/** A node that has not been heard for this long is not well, whatever its record says. */
const quiet_ms = 10_000;

/** Null: all is well. Otherwise a sentence for people. */
export function troubleOf(state: StateView, live: (uuid: string) => LiveNode | undefined): string | null {
  const troubles = state.list('nodes').flatMap((node) => {
    if (node.offline) return [];
    if (node.health !== 'member') return [`node ${node.name} is ${node.health}`];
    const seen = live(node.uuid);
    return seen === undefined || seen.age_ms > quiet_ms ? [`nothing is heard of node ${node.name}`] : [];
  });
  if (troubles.length === 0) return null;
  const shown = troubles.slice(0, 5).join(', ');
  return troubles.length > 5 ? `${shown} and ${troubles.length - 5} more` : shown;
}

/** A new leader has heard nobody yet, and a node that returns is not at once a member again. */
const patience_ms = 60_000;
const poll_ms = 1_000;

/** Null: all is well, or is soon. Otherwise what stays wrong, or is when the job is canceled. */
export async function lastingTrouble(ctx: RunContext): Promise<string | null> {
  for (let waited_ms = 0; ; waited_ms += poll_ms) {
    const trouble = troubleOf(ctx.state, ctx.ports.live);
    if (trouble === null || waited_ms >= patience_ms || cancelWanted(ctx)) return trouble;
    await ctx.pause(poll_ms);
  }
}
