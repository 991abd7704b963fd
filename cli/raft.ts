/** `skein raft`: the consensus group itself; who votes and why, and handing on the lead. */
import type { RaftStatus } from '../src/node/api-types.ts';
import type { Register } from './register.ts';
import { formatTable } from './table.ts';

const columns = [
  { title: 'Member', align: 'right' },
  { title: 'Node', align: 'left' },
  { title: 'Role', align: 'left' },
  { title: 'Lag', align: 'right' },
  { title: 'Silent', align: 'right' },
  { title: 'Why', align: 'left' },
] as const;

/** Lines for people. */
export function raftLines({ leader, term, waits_for, members }: RaftStatus): readonly string[] {
  const rows = members.map((of) => [
    String(of.member),
    of.name === '' ? '-' : of.name,
    of.role,
    of.lag === null ? '-' : String(of.lag),
    of.silent_for_ms === 0 ? '-' : `${Math.round(of.silent_for_ms / 1000)} s`,
    of.fault === '' ? of.why : `FAULTY (${of.fault}): ${of.why}`,
  ]);
  return [
    `${leader} leads, term ${term}`,
    ...formatTable(columns, rows, { headers: true, separator: null }),
    ...(waits_for === '' ? [] : [`The voters: ${waits_for}`]),
  ];
}

export const register: Register = (program, wrap) => {
  const raft = program.command('raft').description('the consensus group');
  raft
    .command('status')
    .description('who votes and why, and how far each member is, as the leader sees it')
    .action(
      wrap(async (session) => {
        const status = await session.call('raft.status', {});
        if (session.globals.json) session.printJson(status);
        else session.printLines(raftLines(status));
      }),
    );
  raft
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
