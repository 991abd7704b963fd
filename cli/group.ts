/** `skein group`: what there is of node groups, and their policies; they are made later. */
import type { OpInput } from '../src/config/model.ts';
import { usageError } from './exit-status.ts';
import { printInfo } from './info.ts';
import { addIPolicyOptions, type IPolicyOptions, ipolicyOf, specOptions } from './ipolicy-options.ts';
import { addListOptions, type ListOptions, printFields, printList } from './list.ts';
import type { Register } from './register.ts';
import { addSubmitOptions, type SubmitOptions, submitJobs } from './submit.ts';

interface ModifyOptions extends SubmitOptions, IPolicyOptions {
  readonly allocPolicy?: string;
}

export function groupModifyOp(name: string, options: ModifyOptions): OpInput {
  const ipolicy = ipolicyOf(options);
  const { allocPolicy } = options;
  if (allocPolicy !== undefined && !['preferred', 'last_resort', 'unallocable'].includes(allocPolicy))
    throw usageError(`--alloc-policy "${allocPolicy}" is not known`, 'preferred, last_resort or unallocable');
  if (allocPolicy === undefined && ipolicy === undefined)
    throw usageError(
      `nothing to change on ${name} was given`,
      '--alloc-policy last_resort, --ipolicy-vcpu-ratio 4 or --help',
    );
  return {
    OP_ID: 'OP_GROUP_SET_PARAMS',
    group_name: name,
    ...(allocPolicy === undefined ? {} : { alloc_policy: allocPolicy }),
    ...(ipolicy === undefined ? {} : { ipolicy }),
  };
}

export const register: Register = (program, wrap) => {
  const group = program.command('group').description('node groups');
  addListOptions(group.command('list'))
    .description('table of node groups')
    .argument('[groups...]')
    .action(
      wrap((session, names: string[], options: ListOptions) => printList(session, 'group', names, options)),
    );
  group
    .command('list-fields')
    .description('names of the columns for list -o')
    .option('--no-headers', 'no titles')
    .action(
      wrap(async (session, options: { readonly headers: boolean }) =>
        printFields(session, 'group', options.headers),
      ),
    );
  addSubmitOptions(addIPolicyOptions(group.command('modify'), false))
    .description('change parameters of a node group; `default` takes a part of its policy back')
    .argument('<group>')
    .option('--alloc-policy <policy>', 'whether placement uses it: preferred, last_resort or unallocable')
    .action(
      wrap(async (session, name: string, options: ModifyOptions) =>
        submitJobs(session, [[groupModifyOp(name, options)]], options),
      ),
    );
  group
    .command('show-ispecs-cmd')
    .description('the commands that set the specs of the groups’ own instance policies as they are')
    .argument('[groups...]')
    .option('--include-defaults', 'also what they inherit')
    .action(
      wrap(async (session, names: string[], options: { readonly includeDefaults?: boolean }) => {
        for (const row of await session.query('group', names, false)) {
          const specs = specOptions(row, options.includeDefaults ? 'ipolicy' : 'custom_ipolicy');
          session.print(
            `skein group modify ${String(row.name)} ${specs === '' ? '--ipolicy-bounds-specs default' : specs}`,
          );
        }
      }),
    );
  group
    .command('info')
    .alias('show')
    .description('everything about node groups')
    .argument('[groups...]')
    .option('--stale', 'answer from this node’s own copy')
    .action(
      wrap((session, names: string[], options: { readonly stale?: boolean }) =>
        printInfo(session, 'group', names, true, options.stale === true),
      ),
    );
};
