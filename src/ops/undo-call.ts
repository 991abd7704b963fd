/**
 * One call that takes something back, repeated until it succeeds, its node is lost, or it has failed too often: a job
 * must end. Which step it is for, and what is recorded of it, is the caller's.
 */
import { EngineStopped } from './op-result.ts';
import { messageOf, type Session } from './session.ts';
import { NodeCallError, type StepKey, type VerbName } from './types.ts';

/** Tries of one undo call before it is given up with a warning: 250 ms doubling, 4 s in all. */
const undo_tries = 5;

export type UndoOutcome =
  | { readonly status: 'done'; readonly result: unknown }
  | { readonly status: 'failed' | 'node-lost'; readonly why: string };

/** The step of `key` must be recorded at `index`. Rejects only with {@link EngineStopped}. */
export async function callUndo(
  session: Session,
  node: string,
  key: StepKey,
  index: number,
  verb: VerbName,
  args: unknown,
): Promise<UndoOutcome> {
  for (let attempt = 1; ; attempt++) {
    try {
      const call = session.ports.call(node, key, index, verb, args, () => undefined, session.signal);
      return { status: 'done', result: await session.wait(call) };
    } catch (error) {
      if (error instanceof EngineStopped) throw error;
      const lost = error instanceof NodeCallError && error.code === 'node-lost';
      if (lost || attempt >= undo_tries)
        return { status: lost ? 'node-lost' : 'failed', why: messageOf(error) };
      await session.pause(250 * 2 ** (attempt - 1));
    }
  }
}
