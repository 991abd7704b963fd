/**
 * Tags on any object that carries them.
 */
import type { Command, TagKind } from './commands.ts';
import { type Draft, touched } from './draft.ts';
import { cluster_key } from './keys.ts';
import { refuse, shown } from './refused.ts';
import { checkTagCount } from './validate.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** Adds, then removes. A tag to remove that is not there is refused, one to add that is there is fine. Value: the tags. */
export function applyTags(draft: Draft, command: Of<'tags'>): readonly string[] {
  const before = tagsOf(draft, command.kind, command.uuid);
  const tags = new Set([...before, ...command.add]);
  const wrong = checkTagCount(command.kind, tags.size);
  if (wrong !== null) refuse('full', wrong);
  for (const tag of command.remove) {
    if (!tags.delete(tag)) refuse('not-found', `the ${command.kind} has no tag ${shown(tag)}`);
  }
  const after = [...tags].sort();
  const same = after.length === before.length && after.every((tag, at) => tag === before[at]);
  if (!same) putTags(draft, command, after);
  return after;
}

function tagsOf(draft: Draft, kind: TagKind, uuid: string): readonly string[] {
  switch (kind) {
    case 'cluster': {
      const cluster = draft.cluster();
      if (uuid !== '' && uuid !== cluster.uuid)
        refuse('not-found', `there is no cluster ${uuid}: this one is ${cluster.uuid}`);
      return cluster.tags;
    }
    case 'nodegroup':
      return draft.group(uuid).tags;
    case 'node':
      return draft.node(uuid).tags;
    case 'instance':
      return draft.instance(uuid).tags;
    default:
      return kind satisfies never;
  }
}

function putTags(draft: Draft, command: Of<'tags'>, tags: readonly string[]): void {
  const { kind, uuid, time } = command;
  switch (kind) {
    case 'cluster':
      draft.put('cluster', cluster_key, touched({ ...draft.cluster(), tags }, time));
      break;
    case 'nodegroup':
      draft.put('groups', uuid, touched({ ...draft.group(uuid), tags }, time));
      break;
    case 'node':
      draft.put('nodes', uuid, touched({ ...draft.node(uuid), tags }, time));
      break;
    case 'instance':
      draft.put('instances', uuid, touched({ ...draft.instance(uuid), tags }, time));
      break;
    default:
      kind satisfies never;
  }
}
