/**
 * What callers of the replica wait for, other than their proposals: reads, an index applied, a membership change, a
 * transfer of the lead. Each has a timeout and is answered once.
 */
import { ConsensusError } from './api.ts';
import { closedError, lostError } from './consensus-errors.ts';
import type { MemberId, ReplicaEnv } from './types.ts';

/** More may not wait at a time. */
const max_waits = 65_536;

interface Wait<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: ConsensusError) => void;
}

interface Read {
  readonly context: number;
  readonly term: number;
  readonly waits: Set<Wait<{ index: number; term: number }>>;
}

export class Waits {
  readonly #env: ReplicaEnv;
  /** Reads of this turn: they will share one context. */
  #new_reads = new Set<Wait<{ index: number; term: number }>>();
  readonly #reads = new Map<number, Read>();
  #context = 0;
  readonly #applied = new Set<Wait<void> & { readonly index: number }>();
  readonly #changes = new Set<Wait<void> & { readonly index: number }>();
  readonly #transfers = new Set<Wait<void>>();
  #count = 0;

  constructor(env: ReplicaEnv) {
    this.#env = env;
  }

  read(timeout_ms: number): Promise<{ index: number; term: number }> {
    const late = `no quorum confirmed the read within ${timeout_ms} ms`;
    const group = this.#new_reads;
    return this.#wait(timeout_ms, late, 'not-proposed', group, (wait) => wait);
  }

  /** The context under which to ask for the reads that came since; null: none came. */
  takeReads(term: number): number | null {
    if (this.#new_reads.size === 0) return null;
    this.#context += 1;
    this.#reads.set(this.#context, { context: this.#context, term, waits: this.#new_reads });
    this.#new_reads = new Set();
    return this.#context;
  }

  readConfirmed(context: number, index: number): void {
    const read = this.#reads.get(context);
    if (read === undefined) return;
    this.#reads.delete(context);
    for (const wait of [...read.waits]) wait.resolve({ index, term: read.term });
  }

  readsFailed(contexts: readonly number[], error: ConsensusError): void {
    for (const context of contexts) {
      const read = this.#reads.get(context);
      this.#reads.delete(context);
      for (const wait of [...(read?.waits ?? [])]) wait.reject(error);
    }
  }

  /** Resolves once {@link appliedTo} reached `index`. */
  applied(index: number, timeout_ms: number): Promise<void> {
    const late = `index ${index} was not applied here within ${timeout_ms} ms`;
    return this.#wait(timeout_ms, late, 'not-proposed', this.#applied, (wait) => ({ ...wait, index }));
  }

  appliedTo(index: number): void {
    for (const wait of [...this.#applied]) if (wait.index <= index) wait.resolve();
  }

  /** Resolves once a configuration of `index` or later that is not joint is applied. */
  change(index: number, timeout_ms: number): Promise<void> {
    const late = `the change of members did not end within ${timeout_ms} ms`;
    return this.#wait(timeout_ms, late, 'unknown', this.#changes, (wait) => ({ ...wait, index }));
  }

  changeApplied(index: number): void {
    for (const wait of [...this.#changes]) if (wait.index <= index) wait.resolve();
  }

  transfer(timeout_ms: number): Promise<void> {
    const late = `the lead was not taken over within ${timeout_ms} ms`;
    return this.#wait(timeout_ms, late, 'unknown', this.#transfers, (wait) => wait);
  }

  /** Changes up to `committed` will still come about. */
  leadLost(committed: number, leader: MemberId): void {
    const lost = lostError('the lead was lost before the change was committed', 'unknown', leader);
    for (const wait of [...this.#changes]) if (wait.index > committed) wait.reject(lost);
    for (const wait of [...this.#transfers]) wait.resolve();
  }

  close(): void {
    const error = closedError();
    const unknown = closedError('unknown');
    for (const wait of [...this.#new_reads, ...this.#applied]) wait.reject(error);
    this.readsFailed([...this.#reads.keys()], error);
    for (const wait of [...this.#changes, ...this.#transfers]) wait.reject(unknown);
  }

  /** Registers in `set` what `make` makes of it, until it is answered or late. */
  #wait<T, W extends Wait<T>>(
    timeout_ms: number,
    late: string,
    outcome: ConsensusError['outcome'],
    set: Set<W>,
    make: (wait: Wait<T>) => W,
  ): Promise<T> {
    if (this.#count >= max_waits) {
      return Promise.reject(
        new ConsensusError('busy', `more than ${max_waits} requests wait`, 'not-proposed'),
      );
    }
    this.#count += 1;
    return new Promise<T>((resolve, reject) => {
      const end = () => {
        if (!set.delete(entry)) return false;
        this.#count -= 1;
        cancel();
        return true;
      };
      const entry = make({
        resolve: (value) => end() && resolve(value),
        reject: (error) => end() && reject(error),
      });
      set.add(entry);
      const cancel = this.#env.after(timeout_ms, () =>
        entry.reject(new ConsensusError('timeout', late, outcome)),
      );
    });
  }
}
