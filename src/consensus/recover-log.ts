/**
 * Rewrites the configuration of a log to one voter, offline, after a majority was lost for good. It breaks what Raft
 * promises (what only the lost voters had is gone), so nothing but an operator's explicit order may lead here. It
 * guarantees that the log is either as it was or recovered, whatever moment it is cut off at, and that a second call
 * changes nothing. It must never drop or alter an entry that is in the log. The thesis has no such operation; the
 * configuration takes effect by being the last in the log (section 4.1).
 */
import { configurationOf, decodeConfiguration, encodeConfiguration, membersOf } from './configuration.ts';
import { describeFault } from './set-aside.ts';
import type { Configuration, Entry, LogStore, MemberId } from './types.ts';

/** Beyond any term that the lost voters may reach among themselves: an election takes a second at least. */
const term_step = 1_000_000;

/** Where the recovered log goes on: decided once, kept, and then carried out as often as it takes. */
export interface LogRecovery {
  /** The member that alone will vote. */
  readonly self: MemberId;
  /** Of the configuration entry; the application's entry follows it. */
  readonly index: number;
  readonly term: number;
}

/** The configuration in effect in a log, the newest appended one. */
export function configurationIn(found: LogStore['initial']): Configuration {
  const change = found.entries.findLast((entry) => entry.kind === 'config');
  return change === undefined ? found.snapshot.configuration : decodeConfiguration(change.data);
}

/**
 * Plans the recovery of the log that was found on disk.
 * @throws Error when the log is damaged, or `self` is no member of the group
 */
export function planLogRecovery(found: LogStore['initial'], self: MemberId): LogRecovery {
  if (found.fault !== undefined)
    throw new Error(`the log of this member is damaged (${describeFault(found.fault)})`);
  if (!membersOf(configurationIn(found)).includes(self))
    throw new Error(`member ${self} is not in the configuration of its own log`);
  const last = found.entries.at(-1) ?? found.snapshot;
  const newest = Math.max(found.hard_state.term, last.term);
  const term = newest + term_step;
  if (!Number.isSafeInteger(term + term_step)) throw new RangeError(`term ${newest} leaves no room above it`);
  return { self, index: last.index + 1, term };
}

/**
 * Appends, in one synced write, the configuration with one voter (all other members stay as learners) and `command`.
 * Entries before them that were never committed become so: none of the lost voters can say otherwise any more.
 * @returns false when the log was recovered so already
 * @throws Error when the log is not the one that was planned for
 */
export async function recoverLogTo(
  log: LogStore,
  { self, index, term }: LogRecovery,
  command: Uint8Array,
): Promise<boolean> {
  const { hard_state, snapshot, entries } = log.initial;
  const last = entries.at(-1) ?? snapshot;
  const there = entries.find((entry) => entry.index === index);
  const compacted = snapshot.index >= index && hard_state.term >= term;
  if (there?.term === term || compacted) return false;
  // The term alone may be there already: it also stands outside the write that a crash tore.
  if (log.initial.fault !== undefined || last.index !== index - 1 || hard_state.term > term) {
    throw new Error(
      `the log ends at index ${last.index} in term ${hard_state.term}: expected ${index - 1} and no term above ${term}`,
    );
  }
  const members = membersOf(configurationIn(log.initial));
  const configuration = configurationOf(
    [self],
    members.filter((member) => member !== self),
  );
  const added: readonly Entry[] = [
    { index, term, kind: 'config', data: encodeConfiguration(configuration) },
    { index: index + 1, term, kind: 'command', data: command },
  ];
  await log.append({ term, vote: self, commit: hard_state.commit }, added);
  return true;
}
