/** `skein group`: what there is of node groups; they are made and changed later. */

import { printInfo } from './info.ts';
import { addListOptions, type ListOptions, printFields, printList } from './list.ts';
import type { Register } from './register.ts';

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
