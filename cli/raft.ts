/** `skein raft`: acts on the consensus group itself. */
import type { Register } from './register.ts';

export const register: Register = (program, wrap) => {
  program
    .command('raft')
    .description('the consensus group')
    .command('transfer')
    .description('hand the lead to another node')
    .argument('[node]', 'left out: the one that is furthest')
    .action(
      wrap(async (session, to: string | undefined) => {
        await session.call('raft.transfer', to === undefined ? {} : { to });
        const { leader, term } = await session.call('status', {});
        if (session.globals.json) session.printJson({ leader, term });
        else
          session.print(
            leader === '' ? 'Handed on; the new leader is not known yet.' : `${leader} leads, term ${term}`,
          );
      }),
    );
};
