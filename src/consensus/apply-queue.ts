/**
 * Applies committed entries in order, in slices, so that a long tail does not hold up heartbeats. Every index reaches
 * the state machine exactly once; what a restored snapshot covers already is passed over.
 */
import { decodeConfiguration } from './configuration.ts';
import { invariant } from './invariant.ts';
import type { Configuration, Entry, StateMachine } from './types.ts';

/** One slice: about a millisecond or a few of work, then the event loop gets its turn. */
export const apply_slice = { entries: 256, bytes: 1024 * 1024 } as const;

export interface ApplyEvents {
  readonly applied: (entry: Entry, result: unknown) => void;
  readonly configuration: (index: number, configuration: Configuration) => void;
  /** The slice that ended at `index` is applied. */
  readonly sliceDone: (index: number, entries: number, bytes: number) => void;
}

export class ApplyQueue {
  readonly #machine: StateMachine;
  readonly #events: ApplyEvents;
  #queue: Entry[] = [];
  #index: number;
  #term: number;
  #paused = false;

  constructor(machine: StateMachine, events: ApplyEvents) {
    this.#machine = machine;
    this.#events = events;
    this.#index = machine.durable.index;
    this.#term = machine.durable.term;
  }

  /** The last index applied, and its term. */
  get index(): number {
    return this.#index;
  }

  get term(): number {
    return this.#term;
  }

  get waiting(): boolean {
    return this.#queue.length > 0 && !this.#paused;
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) this.#queue.push(entry);
  }

  /** While the state machine is being replaced. */
  pause(): void {
    this.#paused = true;
  }

  /** The state machine stands at `index` now: it was restored to it. */
  resume(index: number, term: number): void {
    this.#paused = false;
    if (index > this.#index) {
      this.#index = index;
      this.#term = term;
    }
  }

  /** Applies one slice. */
  step(): void {
    if (this.#paused) return;
    const slice = this.#takeSlice();
    const last = slice.at(-1);
    if (last === undefined) return;
    const fresh = slice.filter((entry) => entry.index > this.#index);
    const results = fresh.length === 0 ? [] : this.#machine.apply(fresh);
    invariant(
      results.length === fresh.length,
      () => `${fresh.length} entries applied, ${results.length} results`,
    );
    let bytes = 0;
    fresh.forEach((entry, i) => {
      invariant(entry.index === this.#index + 1, () => `entry ${entry.index} applied after ${this.#index}`);
      invariant(
        entry.term >= this.#term,
        () => `entry ${entry.index} of term ${entry.term} applied after ${this.#term}`,
      );
      this.#index = entry.index;
      this.#term = entry.term;
      bytes += entry.data.length;
      if (entry.kind === 'config') {
        const configuration = decodeConfiguration(entry.data);
        this.#machine.configuration(entry.index, configuration);
        this.#events.configuration(entry.index, configuration);
      }
      this.#events.applied(entry, results[i]);
    });
    this.#events.sliceDone(last.index, fresh.length, bytes);
  }

  /** Up to a slice's limits; a config entry ends it, so that the machine's image never mixes two configurations. */
  #takeSlice(): readonly Entry[] {
    let bytes = 0;
    let count = 0;
    for (const entry of this.#queue) {
      if (count > 0 && bytes + entry.data.length > apply_slice.bytes) break;
      bytes += entry.data.length;
      count += 1;
      if (count >= apply_slice.entries || entry.kind === 'config') break;
    }
    return this.#queue.splice(0, count);
  }
}
