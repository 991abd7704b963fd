/** What a maintenance must not go on with: whatever is wrong in the cluster just now. */
import type { StateView } from '../../config/api.ts';
import type { LiveNode } from '../types.ts';

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
