/**
 * Commands on node groups.
 */
import type { Command } from './commands.ts';
import { type Draft, touched } from './draft.ts';
import { checkIPolicy, fillIPolicy } from './ipolicy.ts';
import type { NodeGroup } from './model.ts';
import { refuse } from './refused.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Replaces the fields named. Value: null. */
export function applyGroupSet(draft: Draft, command: Of<'group-set'>): null {
  const cluster = draft.cluster();
  const after: NodeGroup = touched({ ...draft.group(command.uuid), ...command.changes }, command.time);
  const wrong = checkIPolicy(fillIPolicy(cluster, after), cluster.enabled_disk_templates, after);
  if (wrong !== null) refuse('invalid', wrong);
  draft.put('groups', after.uuid, after);
  return null;
}
