/**
 * `skein __complete KIND`: the names of a kind, one a line, for shell completion. Quick or nothing: a shell that waits
 * for completion is worse than one that does not complete, and an error message has no place in it.
 */
import { ApiCallError } from '../src/node/api-client.ts';
import { type NameKind, name_kinds } from './command-tree.ts';
import { CliError } from './exit-status.ts';
import { labNodeNames } from './locate-agent.ts';
import { osNames } from './os.ts';
import type { Register } from './register.ts';
import type { Session } from './session.ts';

const patience_ms = 1_500;

async function namesOf(session: Session, kind: NameKind): Promise<readonly string[]> {
  if (kind === 'labnode') return labNodeNames(session.terminal.cwd, session.terminal.env);
  const client = await session.connect();
  const answer = await client.call(
    'query',
    { resource: kind, names: [], stale: true },
    { timeout_ms: patience_ms },
  );
  return answer.rows.flatMap((row) =>
    kind === 'os' ? osNames(row) : [String(kind === 'job' ? row.id : row.name)],
  );
}

export const register: Register = (program, wrap) => {
  program
    .command('__complete', { hidden: true })
    .argument('<kind>')
    .action(
      wrap(async (session, kind: string) => {
        const known = name_kinds.find((name) => name === kind);
        if (!known) return;
        try {
          session.printLines(await namesOf(session, known));
        } catch (error) {
          // No agent, no names: the user sees no completion, and the command itself will say why.
          if (!(error instanceof ApiCallError || error instanceof CliError)) throw error;
        }
      }),
    );
};
