/**
 * The configurations in the log, newest last. A configuration takes effect when it is appended (thesis, section 4.1), so
 * the earlier ones are kept until the newer one is committed: a truncation of the log rolls back to them.
 */
import { decodeConfiguration } from './configuration.ts';
import { InvariantError, invariant } from './invariant.ts';
import type { Configuration, Entry } from './types.ts';

interface Known {
  readonly index: number;
  readonly configuration: Configuration;
}

export class ConfigHistory {
  #known: Known[];

  /** @param entries the log's entries; config entries at or below `base.index` are contained in `base` already */
  constructor(base: Known, entries: readonly Entry[]) {
    this.#known = [base];
    this.appended(entries.filter((entry) => entry.index > base.index));
  }

  /** The one in effect. */
  get current(): Configuration {
    return this.#newest().configuration;
  }

  /** The index of the entry that brought the one in effect, or of the snapshot that did. */
  get current_index(): number {
    return this.#newest().index;
  }

  /** The one in effect as of `commit`. */
  committed(commit: number): Configuration {
    return (this.#known.findLast((known) => known.index <= commit) ?? this.#known[0]!).configuration;
  }

  /** Takes note of the config entries among `entries`, after dropping what they replace. True when the one in effect changed. */
  appended(entries: readonly Entry[]): boolean {
    const first = entries[0];
    if (first === undefined) return false;
    const before = this.#newest();
    while (this.#known.length > 1 && this.#newest().index >= first.index) this.#known.pop();
    invariant(this.#newest().index < first.index, () => {
      return `entry ${first.index} replaces the committed configuration of ${this.#newest().index}`;
    });
    for (const entry of entries) {
      if (entry.kind === 'config') {
        this.#known.push({ index: entry.index, configuration: decoded(entry) });
      }
    }
    return this.#newest() !== before;
  }

  /** Everything up to `commit` is final: what it supersedes may be forgotten. */
  forget(commit: number): void {
    const final = this.#known.findLastIndex((known) => known.index <= commit);
    if (final > 0) this.#known.splice(0, final);
  }

  #newest(): Known {
    return this.#known.at(-1)!;
  }
}

function decoded(entry: Entry): Configuration {
  try {
    return decodeConfiguration(entry.data);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InvariantError(`config entry ${entry.index} of term ${entry.term} cannot be read: ${why}`);
  }
}
