/** `skein join TOKEN`: makes this host a member of the cluster that made the token. */

import { usageError } from './exit-status.ts';
import type { Register } from './register.ts';
import { parseDuration } from './sizes.ts';

interface JoinOptions {
  readonly name?: string;
  readonly timeout: string;
}

export const register: Register = (program, wrap) => {
  program
    .command('join')
    .description('make this host a member, with a token from `skein node add`')
    .argument('<token>')
    .option('--name <name>', 'name of this node (default: its host name)')
    .option('--timeout <time>', 'how long to wait until it has caught up', '60s')
    .action(
      wrap(async (session, token: string, options: JoinOptions) => {
        const timeout_ms = parseDuration(options.timeout, '--timeout') * 1000;
        if (timeout_ms === 0) throw usageError('--timeout 0 leaves no time', '--timeout 60s');
        const params = { token, timeout_ms, ...(options.name === undefined ? {} : { name: options.name }) };
        // The same peer may use its token again: joining twice is joining once.
        const joined = await session.callAgain('cluster.join', params, { timeout_ms: timeout_ms + 5_000 });
        if (session.globals.json) session.printJson(joined);
        else
          session.print(
            `This host is ${joined.name} in cluster ${joined.cluster_name}. Next: skein node list`,
          );
      }),
    );
};
