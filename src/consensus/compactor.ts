/**
 * Makes the state machine's image durable every so often and lets go of the log before it. It knows which configuration
 * held at which index, so that no boundary is ever written with another one.
 */
import { invariant } from './invariant.ts';
import type { Configuration, LogStore, SnapshotMeta, StateMachine } from './types.ts';

export interface CompactorLimits {
  /** Applied entries, or their bytes, after which the image is made durable. */
  readonly every_entries: number;
  readonly every_bytes: number;
  /** Entries kept behind the image, so that a member that lags a little needs no snapshot. */
  readonly keep_entries: number;
}

export const compactor_limits: CompactorLimits = {
  every_entries: 2000,
  every_bytes: 4 * 1024 * 1024,
  keep_entries: 500,
};
/** With a full disk compactions are more frequent, but not endless. */
const pressing_entries = 50;
/** However long a snapshot takes to send, no more entries than this are kept for its receiver. */
const max_keep_entries = 50_000;

export class Compactor {
  readonly #machine: StateMachine;
  readonly #log: LogStore;
  readonly #limits: CompactorLimits;
  #history: { readonly index: number; readonly configuration: Configuration }[];
  #entries = 0;
  #bytes = 0;
  #running: Promise<void> | null = null;

  constructor(machine: StateMachine, log: LogStore, limits: CompactorLimits, start: SnapshotMeta) {
    this.#machine = machine;
    this.#log = log;
    this.#limits = limits;
    this.#history = [start];
  }

  configurationChanged(index: number, configuration: Configuration): void {
    this.#history.push({ index, configuration });
  }

  /** `meta` with the configuration that was in effect at its index. */
  withConfiguration(meta: SnapshotMeta): SnapshotMeta {
    const at = this.#history.findLast((change) => change.index <= meta.index);
    invariant(at !== undefined, () => `the configuration at ${meta.index} is not known`);
    return { ...meta, configuration: at.configuration };
  }

  /** The state machine and the log were replaced. */
  restored(meta: SnapshotMeta): void {
    this.#history = [meta];
    this.#entries = 0;
    this.#bytes = 0;
  }

  applied(entries: number, bytes: number): void {
    this.#entries += entries;
    this.#bytes += bytes;
  }

  isDue(pressure: boolean): boolean {
    if (this.#running !== null) return false;
    const { every_entries, every_bytes } = this.#limits;
    return (
      this.#entries >= every_entries ||
      this.#bytes >= every_bytes ||
      (pressure && this.#entries >= pressing_entries)
    );
  }

  /** Resolves to what is durable now. `needed_from`: entries after this index are still wanted by somebody. */
  run(needed_from: number, pressure: boolean): Promise<{ meta: SnapshotMeta; keep: number }> {
    this.#entries = 0;
    this.#bytes = 0;
    const run = async () => {
      const meta = this.withConfiguration(await this.#machine.flush());
      const wanted = Math.min(
        Math.max(this.#limits.keep_entries, meta.index - needed_from),
        max_keep_entries,
      );
      const keep = pressure ? 0 : wanted;
      await this.#log.compact(meta, keep);
      this.#forget(meta.index);
      return { meta, keep };
    };
    const result = run();
    const settled = () => {
      this.#running = null;
    };
    this.#running = result.then(settled, settled);
    return result;
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  #forget(index: number): void {
    const at = this.#history.findLastIndex((change) => change.index <= index);
    if (at > 0) this.#history.splice(0, at);
  }
}
