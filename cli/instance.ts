/** `skein instance`: its commands, each in a file of its own where it is more than a few lines. */
import type { Command } from 'commander';
import { registerConsole } from './console.ts';
import { registerInstanceAdd } from './instance-add.ts';
import { registerInstanceChange } from './instance-change.ts';
import { registerInstanceRun } from './instance-run.ts';
import { registerInstanceShow } from './instance-show.ts';
import { addListOptions, type ListOptions, printList } from './list.ts';
import type { Register, Wrap } from './register.ts';

function addList(parent: Command, wrap: Wrap, name: string): void {
  addListOptions(parent.command(name))
    .description('table of instances; names may have * and ?')
    .argument('[instances...]')
    .action(
      wrap((session, names: string[], options: ListOptions) =>
        printList(session, 'instance', names, options),
      ),
    );
}

/** `skein list`. */
export const registerShortList: Register = (program, wrap) => addList(program, wrap, 'list');

export const register: Register = (program, wrap, asked) => {
  const instance = program.command('instance').description('virtual machines');
  if (asked === 'list') {
    addList(instance, wrap, 'list');
    return;
  }
  registerInstanceAdd(instance, wrap);
  addList(instance, wrap, 'list');
  registerInstanceShow(instance, wrap);
  registerInstanceRun(instance, wrap);
  registerInstanceChange(instance, wrap);
  registerConsole(instance, wrap);
};
