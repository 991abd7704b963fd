/**
 * Proposals whose answer somebody waits for. Each is answered once: with its result when the entry at its index *and
 * term* is applied; as lost when the lead is, because nobody here can know then.
 */
import { ConsensusError } from './api.ts';
import { closedError, lostError, notLeader } from './consensus-errors.ts';
import type { Entry, MemberId } from './types.ts';

/** Limits of what may wait (see {@link ReplicaApi.propose}). */
export const proposal_limits = {
  count: 4096,
  bytes: 16 * 1024 * 1024,
  entry_bytes: 2 * 1024 * 1024,
} as const;
/** No proposal waits longer: check-quorum ends a lead without a majority long before. */
export const proposal_timeout_ms = 30_000;

export interface Waiter {
  readonly data: Uint8Array;
  readonly begun_ms: number;
  readonly resolve: (answer: { index: number; result: unknown }) => void;
  readonly reject: (error: ConsensusError) => void;
}

export class WaitingProposals {
  #unproposed: Waiter[] = [];
  readonly #waiting = new Map<number, Waiter & { readonly term: number }>();
  #bytes = 0;

  /** Whether `bytes` more may wait. */
  admits(bytes: number): boolean {
    const count = this.#unproposed.length + this.#waiting.size;
    return count < proposal_limits.count && this.#bytes + bytes <= proposal_limits.bytes;
  }

  add(waiter: Waiter): void {
    this.#unproposed.push(waiter);
    this.#bytes += waiter.data.length;
  }

  /** Those that came since the last call, to be proposed together. */
  takeUnproposed(): readonly Waiter[] {
    return this.#unproposed.splice(0);
  }

  /** They are in the log from `first_index` on. */
  proposed(waiters: readonly Waiter[], first_index: number, term: number): void {
    waiters.forEach((waiter, i) => {
      this.#waiting.set(first_index + i, { ...waiter, term });
    });
  }

  /** They are not in the log. */
  refused(waiters: readonly Waiter[], error: ConsensusError): void {
    for (const waiter of waiters) {
      this.#bytes -= waiter.data.length;
      waiter.reject(error);
    }
  }

  applied(entry: Entry, result: unknown): void {
    const waiter = this.#take(entry.index);
    if (waiter === undefined) return;
    if (waiter.term === entry.term) waiter.resolve({ index: entry.index, result });
    else waiter.reject(lostError('another leader put its own entry in its place', 'not-proposed'));
  }

  /** The lead is lost. Those up to the commit index will still get their result. */
  leadLost(committed: number, leader: MemberId): void {
    this.refused(this.takeUnproposed(), notLeader(leader));
    this.#rejectWhere(
      (index) => index > committed,
      lostError('the lead was lost before it was committed', 'unknown', leader),
    );
  }

  expire(now_ms: number): void {
    const late = (waiter: Waiter) => now_ms - waiter.begun_ms > proposal_timeout_ms;
    // Called at each tick: an error has a stack, and is not made for nothing.
    if (!this.#waiting.values().some(late)) return;
    const error = new ConsensusError('timeout', `no commit within ${proposal_timeout_ms} ms`, 'unknown');
    this.#rejectWhere((_index, waiter) => late(waiter), error);
  }

  close(): void {
    this.refused(this.takeUnproposed(), closedError());
    this.#rejectWhere(() => true, closedError('unknown'));
  }

  #rejectWhere(which: (index: number, waiter: Waiter) => boolean, error: ConsensusError): void {
    for (const [index, waiter] of [...this.#waiting]) {
      if (which(index, waiter)) this.#take(index)?.reject(error);
    }
  }

  #take(index: number): (Waiter & { readonly term: number }) | undefined {
    const waiter = this.#waiting.get(index);
    if (waiter === undefined) return undefined;
    this.#waiting.delete(index);
    this.#bytes -= waiter.data.length;
    return waiter;
  }
}
