/** `skein watch`: events of the cluster as they happen, over new connections when one breaks. */
import { ApiCallError } from '../src/node/api-client.ts';
import type { ClusterEvent } from '../src/node/api-types.ts';
import { usageError } from './exit-status.ts';
import { formatTime } from './fields.ts';
import { parseWhole } from './key-values.ts';
import type { Register } from './register.ts';
import { retry_pauses_ms, type Session } from './session.ts';

interface WatchOptions {
  readonly since: string;
  readonly seconds?: string;
}

export function eventLine(event: ClusterEvent): string {
  return `${formatTime(event.time)} ${event.kind.padEnd(8)} ${event.name === '' ? '' : `${event.name}: `}${event.text}`;
}

async function follow(session: Session, since: number, state: { readonly ended: boolean }): Promise<void> {
  let next = since;
  for (let attempt = 0; !state.ended; attempt++) {
    try {
      const onEvent = (value: unknown): void => {
        const event = value as ClusterEvent;
        attempt = 0;
        next = Math.max(next, event.index);
        if (session.globals.json) session.print(JSON.stringify(event));
        else session.print(eventLine(event));
      };
      await session.call('events', next === 0 ? {} : { since: next }, { timeout_ms: null, onEvent });
      return;
    } catch (error) {
      if (state.ended) return;
      const pause_ms = retry_pauses_ms[attempt];
      const lost =
        error instanceof ApiCallError &&
        (error.code === 'unknown-outcome' || (error.code === 'unavailable' && attempt > 0));
      if (!lost || pause_ms === undefined) throw error;
      session.terminal.err(`skein: ${error.message}; looking again in ${pause_ms / 1000} s\n`);
      await session.disconnect();
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  }
}

export const register: Register = (program, wrap) => {
  program
    .command('watch')
    .description('events of the cluster as they happen; Ctrl-C ends')
    .option('--since <index>', 'from this log index on; 0: from now', '0')
    .option('--seconds <n>', 'end after so many seconds')
    .action(
      wrap(async (session, options: WatchOptions) => {
        const since = parseWhole(options.since, '--since');
        const seconds = options.seconds === undefined ? null : Number(options.seconds);
        if (seconds !== null && !(seconds > 0))
          throw usageError(`--seconds: "${options.seconds}" is no time`, '--seconds 5');
        const state = { ended: false };
        const over = Promise.withResolvers<void>();
        const end = (): void => {
          state.ended = true;
          over.resolve();
        };
        const undo = session.terminal.onInterrupt(end);
        const timer = seconds === null ? null : setTimeout(end, seconds * 1000);
        try {
          await Promise.race([follow(session, since, state), over.promise]);
        } finally {
          undo();
          if (timer) clearTimeout(timer);
        }
      }),
    );
};
