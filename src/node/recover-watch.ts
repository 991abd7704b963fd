/**
 * What a survivor must be able to tell before it is recovered: where its log ends and of when that is, and since when
 * each other member is silent. It looks on; what passes through is never changed.
 */
import { tryDecodeCommand } from '../config/codec.ts';
import type { DiskLogStore } from '../consensus/index.ts';
import type { Entry } from '../consensus/types.ts';
import type { Mesh } from './mesh-types.ts';

export interface LastEntry {
  readonly index: number;
  readonly term: number;
  /** Wall clock of the last command, in Unix seconds, as its proposer had it; null: none is in the log. */
  readonly time: number | null;
}

/** The same log, and where it ends now. */
export function watchLog(log: DiskLogStore): { readonly log: DiskLogStore; last(): LastEntry } {
  const { initial } = log;
  let end: { readonly index: number; readonly term: number } = initial.entries.at(-1) ?? initial.snapshot;
  let command = lastCommand(initial.entries);
  const watched: DiskLogStore = {
    initial,
    async append(hard_state, entries) {
      await log.append(hard_state, entries);
      end = entries.at(-1) ?? end;
      command = lastCommand(entries) ?? command;
    },
    compact: (meta, keep_entries) => log.compact(meta, keep_entries),
    async reset(meta, hard_state) {
      await log.reset(meta, hard_state);
      end = meta;
      command = null;
    },
    underPressure: () => log.underPressure(),
    close: () => log.close(),
  };
  return { log: watched, last: () => ({ index: end.index, term: end.term, time: timeOf(command) }) };
}

function lastCommand(entries: readonly Entry[]): Entry | null {
  return entries.findLast((entry) => entry.kind === 'command') ?? null;
}

function timeOf(entry: Entry | null): number | null {
  if (entry === null) return null;
  const decoded = tryDecodeCommand(entry.data);
  return decoded.ok ? decoded.command.time : null;
}

/** Since when a member is not connected, in Unix seconds; null: connected, or never since this was made. */
export function watchSilence(
  mesh: Pick<Mesh, 'onPeer'>,
  wall_s: () => number,
): (member: number) => number | null {
  const since = new Map<number, number>();
  mesh.onPeer((member, up) => {
    if (up) since.delete(member);
    else since.set(member, wall_s());
  });
  return (member) => since.get(member) ?? null;
}
