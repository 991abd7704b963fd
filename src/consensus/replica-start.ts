/**
 * Whether log and state machine fit together at the start, and what to do if a crash left one ahead of the other.
 */
import { decodeConfiguration } from './configuration.ts';
import type { CoreInitial } from './core-api.ts';
import { describeFault } from './set-aside.ts';
import type { LogStore, SnapshotMeta } from './types.ts';

export type StartState =
  | {
      readonly type: 'start';
      readonly initial: CoreInitial;
      /** Where the state machine stands, with the configuration in effect there. */
      readonly applied: SnapshotMeta;
      /** The log store must first be reset to `initial.snapshot`. */
      readonly reset: boolean;
    }
  | { readonly type: 'unfit'; readonly reason: string };

/**
 * - The image ends before the log begins: entries are missing that were applied once. Nothing can mend that here.
 * - The image ends within the log: the usual case, the rest is applied again.
 * - The image ends after the log, or contradicts it: only an installed snapshot does that, when a crash came after the
 *   image was replaced and before the log was (applied entries are always durable in the log first). The image stands
 *   for committed entries; what the log has behind or besides it never was: the log is reset to the image.
 */
export function startState(found: LogStore['initial'], durable: SnapshotMeta): StartState {
  const { hard_state, snapshot, entries } = found;
  const fault = found.fault === undefined ? {} : { fault: describeFault(found.fault) };
  if (durable.index < snapshot.index) {
    const reason =
      `the state image ends at index ${durable.index}, but the log begins after ${snapshot.index}: ` +
      'the image is older than the log, as after restoring one of them from a backup; ' +
      'remove this member from the cluster and join it anew';
    return { type: 'unfit', reason };
  }
  const last_index = entries.at(-1)?.index ?? snapshot.index;
  const term_in_log =
    durable.index === snapshot.index ? snapshot.term : entries[durable.index - snapshot.index - 1]?.term;
  if (durable.index > last_index || term_in_log !== durable.term) {
    const term = Math.max(hard_state.term, durable.term);
    const vote = term === hard_state.term ? hard_state.vote : 0;
    const reset_state = { term, vote, commit: durable.index };
    const initial = {
      hard_state: reset_state,
      snapshot: durable,
      entries: [],
      applied: durable.index,
      ...fault,
    };
    return { type: 'start', initial, applied: durable, reset: true };
  }
  const change = entries.findLast((entry) => entry.kind === 'config' && entry.index <= durable.index);
  const configuration = change === undefined ? snapshot.configuration : decodeConfiguration(change.data);
  const initial = { hard_state, snapshot, entries, applied: durable.index, ...fault };
  return { type: 'start', initial, applied: { ...durable, configuration }, reset: false };
}
