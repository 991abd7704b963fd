/**
 * A log store with a witness: it passes every call on and keeps a model of what was handed in and of what was promised
 * (an answered call is durable). After a crash the store must hold exactly what was promised, and then a prefix of the
 * calls that were under way; anything else is a broken promise.
 */
import {
  type Configuration,
  type DiskLogStore,
  decodeConfiguration,
  type Entry,
  type HardState,
  type LogStore,
  type SnapshotMeta,
} from '../../src/consensus/index.ts';
import { entryHash } from './kv.ts';

export interface Slot {
  readonly term: number;
  readonly hash: number;
  readonly kind: Entry['kind'];
}

/** A log as terms and hashes: `slots[0]` stands right after `base`. */
export interface LogModel {
  base: { index: number; term: number };
  slots: Slot[];
  term: number;
  vote: number;
}

type Call =
  | {
      readonly type: 'append';
      readonly hard_state: HardState | null;
      readonly first: number;
      readonly slots: readonly Slot[];
    }
  | { readonly type: 'compact'; readonly index: number; readonly term: number }
  | { readonly type: 'reset'; readonly meta: SnapshotMeta; readonly hard_state: HardState };

export interface LogEvents {
  /** An entry was handed in; `before` is the term of the one before it, undefined if not known. */
  readonly entry: (entry: Entry, hash: number, before: number | undefined) => void;
  /** This entry, not committed as far as this member knew, is replaced by another. */
  readonly replaced: (index: number, slot: Slot) => void;
  /** The log begins behind this from now on. */
  readonly boundary: (meta: SnapshotMeta) => void;
}

export function emptyModel(): LogModel {
  return { base: { index: 0, term: 0 }, slots: [], term: 0, vote: 0 };
}

export function lastIndex(model: LogModel): number {
  return model.base.index + model.slots.length;
}

/** The term at `index`; undefined where the model has none. */
export function termAt(model: LogModel, index: number): number | undefined {
  return index === model.base.index ? model.base.term : model.slots[index - model.base.index - 1]?.term;
}

export class WatchedLog implements LogStore {
  readonly initial: LogStore['initial'];
  /** Everything handed in so far. */
  readonly given: LogModel;
  /** What must survive. */
  readonly promised: LogModel;
  /** Up to here its committed entries were compared with everybody's. */
  checked = 0;
  /** What a snapshot that replaced this log left out of it although it matched; see {@link takeLost}. */
  #lost_to = 0;
  /** Config entries handed in, and the one behind the boundary. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[];
  readonly #under_way: Call[] = [];
  readonly #log: DiskLogStore;
  readonly #events: LogEvents;

  constructor(log: DiskLogStore, events: LogEvents) {
    this.#log = log;
    this.#events = events;
    this.initial = log.initial;
    this.given = modelOf(log.initial);
    this.promised = modelOf(log.initial);
    const { snapshot, entries } = log.initial;
    this.#configurations = [{ index: snapshot.index, configuration: snapshot.configuration }];
    this.#noteConfigurations(entries);
  }

  /** The configuration that holds from its append on: that of the last config entry, else that of the boundary. */
  get configuration(): Configuration {
    return this.#configurations.at(-1)!.configuration;
  }

  /** The whole log is being replaced by a snapshot. */
  get replacing(): boolean {
    return this.#under_way.some(({ type }) => type === 'reset');
  }

  /** How far entries that matched reached behind the snapshot that replaced the log; 0: there were none. Forgets it. */
  takeLost(): number {
    const lost_to = this.#lost_to;
    this.#lost_to = 0;
    return lost_to;
  }

  append(hard_state: HardState | null, entries: readonly Entry[]): Promise<void> {
    const first = entries[0]?.index ?? 0;
    let before = first === 0 ? undefined : termAt(this.given, first - 1);
    for (let i = first; first > 0 && i <= lastIndex(this.given); i++)
      this.#events.replaced(i, this.given.slots[i - this.given.base.index - 1]!);
    if (first > 0) this.#configurations = this.#configurations.filter(({ index }) => index < first);
    this.#noteConfigurations(entries);
    const slots = entries.map((entry) => {
      const hash = entryHash(entry);
      this.#events.entry(entry, hash, before);
      before = entry.term;
      return { term: entry.term, hash, kind: entry.kind };
    });
    return this.#watch({ type: 'append', hard_state, first, slots }, this.#log.append(hard_state, entries));
  }

  compact(meta: SnapshotMeta, keep_entries: number): Promise<void> {
    const { index, term, configuration } = meta;
    this.#events.boundary(meta);
    this.#configurations = [
      { index, configuration },
      ...this.#configurations.filter((change) => change.index > index),
    ];
    return this.#watch({ type: 'compact', index, term }, this.#log.compact(meta, keep_entries));
  }

  reset(meta: SnapshotMeta, hard_state: HardState): Promise<void> {
    this.#events.boundary(meta);
    const { index, configuration } = meta;
    this.#configurations = [{ index, configuration }];
    if (termAt(this.given, index) === meta.term && lastIndex(this.given) > index)
      this.#lost_to = lastIndex(this.given);
    return this.#watch({ type: 'reset', meta, hard_state }, this.#log.reset(meta, hard_state));
  }

  underPressure(): boolean {
    return this.#log.underPressure();
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  /**
   * What is wrong with what was found after this life; null: every promise was kept. Of the calls under way a prefix may
   * be there; of its terms and votes a longer prefix, since the store keeps those in a second place.
   */
  broken(found: LogStore['initial']): string | null {
    const seen = modelOf(found);
    const model = copyOf(this.promised);
    let entries = entriesDiffer(model, seen);
    let hard_state = hardStateDiffers(model, seen);
    const first = entries ?? hard_state;
    for (const call of this.#under_way) {
      if (entries === null && hard_state === null) break;
      perform(model, call);
      if (entries !== null) entries = entriesDiffer(model, seen);
      hard_state = hardStateDiffers(model, seen);
    }
    if (entries === null && hard_state === null) return null;
    return `${first} (and ${this.#under_way.length} calls under way)`;
  }

  #noteConfigurations(entries: readonly Entry[]): void {
    for (const { index, kind, data } of entries)
      if (kind === 'config') this.#configurations.push({ index, configuration: decodeConfiguration(data) });
  }

  #watch(call: Call, done: Promise<void>): Promise<void> {
    perform(this.given, call);
    this.#under_way.push(call);
    return done.then(() => {
      this.#under_way.shift();
      perform(this.promised, call);
    });
  }
}

function perform(model: LogModel, call: Call): void {
  switch (call.type) {
    case 'append':
      if (call.hard_state !== null) {
        model.term = call.hard_state.term;
        model.vote = call.hard_state.vote;
      }
      if (call.slots.length > 0) {
        model.slots.length = Math.max(0, call.first - model.base.index - 1);
        for (const slot of call.slots) model.slots.push(slot);
      }
      break;
    case 'compact':
      if (call.index <= model.base.index) break;
      model.slots.splice(0, call.index - model.base.index);
      model.base = { index: call.index, term: call.term };
      break;
    case 'reset':
      model.base = { index: call.meta.index, term: call.meta.term };
      model.slots = [];
      model.term = call.hard_state.term;
      model.vote = call.hard_state.vote;
  }
}

function modelOf({ snapshot, entries, hard_state }: LogStore['initial']): LogModel {
  return {
    base: { index: snapshot.index, term: snapshot.term },
    slots: entries.map((entry) => ({ term: entry.term, hash: entryHash(entry), kind: entry.kind })),
    term: hard_state.term,
    vote: hard_state.vote,
  };
}

function copyOf(model: LogModel): LogModel {
  return { ...model, slots: [...model.slots] };
}

function hardStateDiffers(expected: LogModel, seen: LogModel): string | null {
  if (seen.term === expected.term && seen.vote === expected.vote) return null;
  return `term ${seen.term} vote ${seen.vote} found, term ${expected.term} vote ${expected.vote} promised`;
}

function entriesDiffer(expected: LogModel, seen: LogModel): string | null {
  if (seen.base.index !== expected.base.index || seen.base.term !== expected.base.term) {
    return `boundary ${seen.base.index} found, ${expected.base.index} promised`;
  }
  if (seen.slots.length !== expected.slots.length) {
    return `log to ${lastIndex(seen)} found, to ${lastIndex(expected)} promised`;
  }
  const at = seen.slots.findIndex((slot, i) => slot.hash !== expected.slots[i]!.hash);
  return at < 0 ? null : `entry ${seen.base.index + at + 1} is another than was promised`;
}
