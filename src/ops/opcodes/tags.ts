/** Tags of the cluster, a node group, a node or an instance: set, remove, read. */
import type { StateView } from '../../config/api.ts';
import type { Command, TagKind } from '../../config/commands.ts';
import type { LockRequest, OpInput } from '../../config/model.ts';
import { checkTag } from '../../config/validate.ts';
import type { RunContext } from '../op-context.ts';
import { flag, listOf, nullable, oneOf, optional, parser, text, wrongInput } from '../params.ts';
import { summary } from '../summary.ts';
import { type Opcode, OpError } from '../types.ts';
import {
  cluster_params,
  cluster_shared,
  clusterOf,
  findInstance,
  findNode,
  needInstance,
  needNode,
} from './lookup.ts';

const where = { kind: oneOf<TagKind>('cluster', 'nodegroup', 'node', 'instance'), name: nullable(text) };
const parseChange = parser({ ...where, tags: listOf(text, 4_096) });
const parseGet = parser({ ...where, use_locking: { ...optional(flag, false), unused: true } });

interface TagTarget {
  readonly kind: TagKind;
  readonly name: string;
}
interface TagChange extends TagTarget {
  readonly tags: readonly string[];
}

function targetOf(input: OpInput, given: { kind: TagKind; name: string | null }): TagTarget {
  if (given.kind === 'cluster') return { kind: 'cluster', name: '' };
  if (!given.name)
    throw wrongInput(
      `${input.OP_ID}: parameter name is missing: expected the name or the UUID of a ${given.kind}`,
    );
  return { kind: given.kind, name: given.name };
}

function find(
  state: StateView,
  { kind, name }: TagTarget,
): { readonly uuid: string; readonly tags: readonly string[] } {
  switch (kind) {
    case 'cluster':
      return { uuid: '', tags: clusterOf(state).tags };
    case 'node':
      return needNode(state, name);
    case 'instance':
      return needInstance(state, name);
    case 'nodegroup': {
      const group = state.get('groups', name) ?? state.list('groups').find((each) => each.name === name);
      if (!group)
        throw new OpError(
          'OpPrereqError',
          `there is no node group ${JSON.stringify(name)}`,
          'unknown_entity',
        );
      return group;
    }
    default:
      return kind satisfies never;
  }
}

function locks({ kind, name }: TagTarget, state: StateView): readonly LockRequest[] {
  switch (kind) {
    case 'cluster':
      return [cluster_shared, cluster_params];
    case 'node':
      return [cluster_shared, { name: `node/${findNode(state, name)?.uuid ?? name}`, exclusive: true }];
    case 'instance':
      return [
        cluster_shared,
        { name: `instance/${findInstance(state, name)?.name ?? name}`, exclusive: true },
      ];
    case 'nodegroup': {
      const group = state.get('groups', name) ?? state.list('groups').find((each) => each.name === name);
      return [cluster_shared, { name: `group/${group?.uuid ?? name}`, exclusive: true }];
    }
    default:
      return kind satisfies never;
  }
}

function tagChange(id: 'OP_TAGS_SET' | 'OP_TAGS_DEL'): Opcode<TagChange> {
  return {
    id,
    version: 1,
    parse(input) {
      const { tags, ...given } = parseChange(input);
      for (const tag of tags) {
        const wrong = checkTag(tag);
        if (wrong !== null) throw wrongInput(`${id}: ${wrong}`);
      }
      return { ...targetOf(input, given), tags };
    },
    summary: (given) => summary(id, given.name || given.kind),
    locks,
    async run(ctx: RunContext, given) {
      const uuid = await ctx.learn('target', () => {
        const found = find(ctx.state, given);
        const missing = given.tags.filter((tag) => !found.tags.includes(tag));
        if (id === 'OP_TAGS_DEL' && missing.length > 0) {
          throw new OpError(
            'OpPrereqError',
            `${given.kind} ${given.name} has no tag ${missing.join(', ')}`,
            'unknown_entity',
          );
        }
        return found.uuid;
      });
      const [add, remove] = id === 'OP_TAGS_SET' ? [given.tags, []] : [[], given.tags];
      const command: Command = { type: 'tags', time: ctx.wall(), kind: given.kind, uuid, add, remove };
      await ctx.commit('tags', [command]);
      return null;
    },
  };
}

export const tagsSet = tagChange('OP_TAGS_SET');
export const tagsDel = tagChange('OP_TAGS_DEL');

export const tagsGet: Opcode<TagTarget> = {
  id: 'OP_TAGS_GET',
  version: 1,
  parse: (input) => targetOf(input, parseGet(input)),
  summary: (given) => summary('OP_TAGS_GET', given.name || given.kind),
  locks: () => [cluster_shared],
  run: (ctx: RunContext, given) => ctx.learn('tags', () => find(ctx.state, given).tags),
};
