/** `skein tag`: tags of the cluster, of groups, nodes and instances. */
import type { Command } from 'commander';
import type { TagKind } from '../src/config/commands.ts';
import type { QueryResource } from '../src/node/api-types.ts';
import { usageError } from './exit-status.ts';
import type { Row } from './fields.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';
import { formatTable } from './table.ts';

type TaggedResource = Extract<QueryResource, 'cluster' | 'group' | 'node' | 'instance'>;

const kinds: Readonly<Record<string, { readonly resource: TaggedResource; readonly kind: TagKind }>> = {
  cluster: { resource: 'cluster', kind: 'cluster' },
  group: { resource: 'group', kind: 'nodegroup' },
  nodegroup: { resource: 'group', kind: 'nodegroup' },
  node: { resource: 'node', kind: 'node' },
  instance: { resource: 'instance', kind: 'instance' },
};

interface Target {
  readonly resource: TaggedResource;
  readonly kind: TagKind;
  /** null: the cluster. */
  readonly name: string | null;
  readonly rest: readonly string[];
}

/** `cluster TAG…` or `instance NAME TAG…`. */
function targetOf(words: readonly string[]): Target {
  const [word = '', ...rest] = words;
  const found = kinds[word];
  if (!found) throw usageError(`"${word}" is nothing that has tags`, `one of cluster, group, node, instance`);
  if (found.kind === 'cluster') return { ...found, name: null, rest };
  const [name, ...tags] = rest;
  if (name === undefined) throw usageError(`no ${word} was named`, `skein tag … ${word} NAME`);
  return { ...found, name, rest: tags };
}

function tagsOf(row: Row | undefined): readonly string[] {
  return Array.isArray(row?.tags) ? (row.tags as unknown[]).map(String) : [];
}

async function change(
  session: Session,
  verb: 'add' | 'remove',
  words: readonly string[],
  options: SubmitOptions,
): Promise<number> {
  const { kind, name, rest } = targetOf(words);
  if (rest.length === 0) throw usageError('no tag was given', `skein tag ${verb} ${words.join(' ')} TAG`);
  const OP_ID = verb === 'add' ? 'OP_TAGS_SET' : 'OP_TAGS_DEL';
  return submitJobs(session, [[{ OP_ID, kind, tags: rest, ...(name === null ? {} : { name }) }]], options);
}

async function list(session: Session, words: readonly string[]): Promise<void> {
  const { resource, name, rest } = targetOf(words);
  if (rest.length > 0)
    throw usageError(`"${rest[0]}" is too much`, `skein tag list ${resource} ${name ?? ''}`.trimEnd());
  const row =
    name === null ? (await session.query(resource, [], false))[0] : await session.queryOne(resource, name);
  const tags = tagsOf(row);
  if (session.globals.json) session.printJson(tags);
  else session.printLines(tags);
}

async function search(session: Session, pattern: string): Promise<void> {
  let regex: RegExp;
  try {
    regex = new RegExp(pattern);
  } catch {
    throw usageError(`"${pattern}" is no regular expression`, 'skein tag search ^web');
  }
  const found: [string, string][] = [];
  for (const resource of ['cluster', 'group', 'node', 'instance'] as const) {
    for (const row of await session.query(resource, [], false)) {
      const path =
        resource === 'cluster'
          ? '/cluster'
          : `/${resource === 'group' ? 'nodegroup' : resource}s/${row.name}`;
      for (const tag of tagsOf(row)) if (regex.test(tag)) found.push([path, tag]);
    }
  }
  if (session.globals.json) {
    session.printJson(found);
    return;
  }
  const columns = [
    { title: 'Path', align: 'left' },
    { title: 'Tag', align: 'left' },
  ] as const;
  session.printLines(formatTable(columns, found, { headers: false, separator: null }));
}

const what = 'cluster, or group|node|instance and its name';

function addChange(parent: Command, verb: 'add' | 'remove'): Command {
  return addSubmitOptions(parent.command(verb)).argument('<what...>', `${what}, then the tags`);
}

export const register: Register = (program, wrap) => {
  const tag = program.command('tag').description('tags of the cluster, groups, nodes and instances');
  for (const verb of ['add', 'remove'] as const) {
    addChange(tag, verb)
      .description(`${verb} tags`)
      .action(
        wrap((session, words: string[], options: SubmitOptions) => change(session, verb, words, options)),
      );
  }
  tag
    .command('list')
    .description('tags of one object')
    .argument('<what...>', what)
    .action(wrap((session, words: string[]) => list(session, words)));
  tag
    .command('search')
    .description('all tags that match a regular expression, with what they are on')
    .argument('<pattern>')
    .action(wrap((session, pattern: string) => search(session, pattern)));
};
