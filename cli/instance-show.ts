/** `skein instance info|why|list-fields`. */
import type { Command } from 'commander';
import { dumpLines } from './dump.ts';
import { formatTime } from './fields.ts';
import { printInfo } from './info.ts';
import { printFields } from './list.ts';
import type { Wrap } from './register.ts';

export function registerInstanceShow(parent: Command, wrap: Wrap): void {
  parent
    .command('info')
    .alias('show')
    .description('everything about instances')
    .argument('[instances...]')
    .option('--all', 'all instances')
    .option('-s, --static', 'accepted for Ganeti’s sake')
    .option('--stale', 'answer from this node’s own copy')
    .action(
      wrap((session, names: string[], options: { readonly all?: boolean; readonly stale?: boolean }) =>
        printInfo(session, 'instance', names, options.all === true, options.stale === true),
      ),
    );
  parent
    .command('list-fields')
    .description('names of the columns for list -o')
    .option('--no-headers', 'no titles')
    .action(
      wrap(async (session, options: { readonly headers: boolean }) =>
        printFields(session, 'instance', options.headers),
      ),
    );
  parent
    .command('why')
    .description('why it runs where it runs, or does not run; and the evidence for each change of owner')
    .argument('<instance>')
    .action(
      wrap(async (session, name: string) => {
        const answer = await session.call('instance.why', { instance: name });
        if (session.globals.json) {
          session.printJson(answer);
          return;
        }
        session.printLines(answer.lines);
        for (const change of answer.log) {
          const where = change.from === '' ? change.to : `${change.from} -> ${change.to}`;
          session.print(`${formatTime(change.time)} epoch ${change.epoch} ${where}`);
          session.printLines(dumpLines(`${change.evidence.kind}: ${change.evidence.text}`, 2));
        }
      }),
    );
}
