/**
 * The leader's side of a snapshot: an offer, then chunks within a window from where the receiver says, each acknowledged;
 * what is not acknowledged is sent again, a transfer without progress is given up and tried again after a pause that
 * grows. At most a few run at a time. The chunks are one consistent copy of the state machine, which is kept for a while
 * so that the next attempt can go on with it; a transfer never mixes two.
 */
import { snapshotHash } from './snapshot-hash.ts';
import type { MemberId, ReplicaEnv, SnapshotMeta } from './types.ts';
import type { TransferFrame } from './wire.ts';

export interface TransferLimits {
  readonly chunk_bytes: number;
  /** Chunks that may be on their way unacknowledged. */
  readonly window: number;
  readonly max_parallel: number;
  readonly resend_ms: number;
  readonly give_up_ms: number;
  /** A longer pause than this is not made between two attempts. */
  readonly max_pause_ms: number;
  /** So long after they last heard of each other both ends keep what they have, for an attempt that goes on with it. */
  readonly keep_ms: number;
  /** A receiver takes no larger snapshot. */
  readonly max_bytes: number;
}

export const transfer_limits: TransferLimits = {
  chunk_bytes: 256 * 1024,
  window: 8,
  max_parallel: 2,
  resend_ms: 1000,
  give_up_ms: 15_000,
  max_pause_ms: 30_000,
  keep_ms: 120_000,
  max_bytes: 4 * 1024 * 1024 * 1024,
};

export interface SenderDeps {
  readonly id: MemberId;
  readonly env: ReplicaEnv;
  readonly limits: TransferLimits;
  readonly snapshot: (chunk_bytes: number) => { meta: SnapshotMeta; chunks: AsyncIterable<Uint8Array> };
  readonly send: (frame: TransferFrame) => void;
  readonly finished: (to: MemberId, ok: boolean) => void;
}

type Chunk = Extract<TransferFrame, { type: 'snapshot-chunk' }>;

/** What all attempts at sending it share. */
interface Snapshot {
  /** The number that its frames carry: of these bytes and no others. */
  readonly id: number;
  readonly meta: SnapshotMeta;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Those who have begun to take it, and are not done. */
  readonly receivers: Set<MemberId>;
  /** When it was made, or a receiver of it last heard: one that is gone for good must not hold the log for ever. */
  used_ms: number;
}

interface Transfer {
  readonly to: MemberId;
  readonly term: number;
  readonly snapshot: Snapshot;
  readonly chunks: AsyncIterator<Uint8Array>;
  readonly hash: ReturnType<typeof snapshotHash>;
  /** The first chunk that the receiver does not have; null: it has not said yet. */
  begin: number | null;
  /** From the first unacknowledged one. */
  unacked: Chunk[];
  read: number;
  ended: boolean;
  filling: boolean;
  progress_ms: number;
  cancelTimer: () => void;
}

export class SnapshotSender {
  readonly #deps: SenderDeps;
  readonly #running = new Map<MemberId, Transfer>();
  #waiting: { readonly to: MemberId; readonly term: number }[] = [];
  /** The newest one. */
  #kept: Snapshot | null = null;
  readonly #failures = new Map<MemberId, number>();
  readonly #pauses = new Map<MemberId, () => void>();

  constructor(deps: SenderDeps) {
    this.#deps = deps;
  }

  /** The lowest index that a snapshot in use stands at: entries after it are still needed. Infinity: there is none. */
  get lowest_index(): number {
    const used = [...this.#running.values()].map((t) => t.snapshot);
    if (this.#kept !== null) used.push(this.#kept);
    return Math.min(Number.POSITIVE_INFINITY, ...used.map(({ meta }) => meta.index));
  }

  /** Sends a snapshot to `to`, now or when one of those under way is over. */
  request(to: MemberId, term: number): void {
    if (this.#running.has(to) || this.#pauses.has(to) || this.#waiting.some((w) => w.to === to)) return;
    this.#waiting.push({ to, term });
    this.#startNext();
  }

  /** The log begins after `index` now: whoever took an older snapshot would need another one. */
  compacted(index: number): void {
    if (this.#kept !== null && this.#kept.meta.index < index) this.#kept = null;
  }

  /** Lets go of a snapshot that nobody goes on with. */
  expire(): void {
    const { env, limits } = this.#deps;
    if (this.#kept !== null && env.now_ms() - this.#kept.used_ms > limits.keep_ms) this.#kept = null;
  }

  onAck(frame: Extract<TransferFrame, { type: 'snapshot-ack' }>): void {
    const t = this.#running.get(frame.from);
    if (t === undefined || t.snapshot.id !== frame.transfer) return;
    t.snapshot.used_ms = this.#deps.env.now_ms();
    switch (frame.state) {
      case 'done':
        this.#failures.delete(t.to);
        t.snapshot.receivers.delete(t.to);
        if (t.snapshot.receivers.size === 0) this.#forget(t.snapshot);
        this.#end(t);
        this.#deps.finished(t.to, true);
        break;
      case 'failed':
        this.#forget(t.snapshot);
        this.#fail(t, 'the receiver could not use it');
        break;
      case 'more':
      case 'busy': {
        const before = t.unacked.length;
        t.unacked = t.unacked.filter((chunk) => chunk.sequence >= frame.next);
        const begins = t.begin === null && frame.state === 'more';
        if (begins) this.#begin(t, frame.next);
        if (begins || t.unacked.length < before || frame.state === 'busy')
          t.progress_ms = this.#deps.env.now_ms();
        void this.#fill(t);
        break;
      }
      default:
        frame.state satisfies never;
    }
  }

  /** The lead is lost or the replica closes: nothing more is sent or reported. */
  abort(): void {
    this.#waiting = [];
    for (const t of [...this.#running.values()]) this.#end(t);
    this.#kept = null;
    for (const cancel of this.#pauses.values()) cancel();
    this.#pauses.clear();
  }

  #startNext(): void {
    while (this.#running.size < this.#deps.limits.max_parallel) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#start(next.to, next.term);
    }
  }

  #start(to: MemberId, term: number): void {
    const { env } = this.#deps;
    const snapshot = this.#snapshot();
    snapshot.receivers.add(to);
    const t: Transfer = {
      to,
      term,
      snapshot,
      chunks: snapshot.chunks[Symbol.asyncIterator](),
      hash: snapshotHash(snapshot.meta),
      begin: null,
      unacked: [],
      read: 0,
      ended: false,
      filling: false,
      progress_ms: env.now_ms(),
      cancelTimer: () => undefined,
    };
    this.#running.set(to, t);
    env.log('info', 'sending a snapshot', { to, index: snapshot.meta.index });
    this.#offer(t);
    this.#watch(t);
  }

  #begin(t: Transfer, chunk: number): void {
    t.begin = chunk;
    if (chunk > 0)
      this.#deps.env.log('info', 'goes on with a snapshot', {
        to: t.to,
        index: t.snapshot.meta.index,
        chunk,
      });
  }

  /** The one that is kept, or a new one. */
  #snapshot(): Snapshot {
    const { env, limits } = this.#deps;
    if (this.#kept === null) {
      const id = Math.floor(env.random() * 2 ** 48);
      const copy = this.#deps.snapshot(limits.chunk_bytes);
      this.#kept = { id, ...copy, receivers: new Set(), used_ms: env.now_ms() };
    }
    return this.#kept;
  }

  #forget(snapshot: Snapshot): void {
    if (this.#kept === snapshot) this.#kept = null;
  }

  #offer(t: Transfer): void {
    const { id: from, send } = this.#deps;
    const { id: transfer, meta } = t.snapshot;
    send({ type: 'snapshot-offer', from, to: t.to, term: t.term, transfer, meta });
  }

  #watch(t: Transfer): void {
    const { env, limits } = this.#deps;
    t.cancelTimer = env.after(limits.resend_ms, () => {
      const silent_ms = env.now_ms() - t.progress_ms;
      if (silent_ms >= limits.give_up_ms) {
        this.#fail(t, `no progress for ${silent_ms} ms`);
        return;
      }
      if (silent_ms >= limits.resend_ms) {
        this.#offer(t);
        for (const chunk of t.unacked) this.#deps.send(chunk);
      }
      this.#watch(t);
    });
  }

  /** Reads, and sends from where the receiver wants it, as far as the window reaches. */
  async #fill(t: Transfer): Promise<void> {
    if (t.filling || t.begin === null) return;
    t.filling = true;
    try {
      while (!t.ended && t.unacked.length < this.#deps.limits.window && this.#running.get(t.to) === t) {
        const { value, done } = await t.chunks.next();
        if (this.#running.get(t.to) !== t) return;
        t.ended = done === true;
        const data: Uint8Array = done === true ? new Uint8Array(0) : value;
        t.hash.update(data);
        const hash = t.ended ? new Uint8Array(t.hash.digest()) : new Uint8Array(0);
        const sequence = t.read++;
        if (sequence < t.begin) {
          await this.#breathe(sequence);
          continue;
        }
        const envelope = { type: 'snapshot-chunk', from: this.#deps.id, to: t.to, term: t.term } as const;
        const chunk: Chunk = { ...envelope, transfer: t.snapshot.id, sequence, data, hash };
        t.unacked.push(chunk);
        this.#deps.send(chunk);
      }
    } catch (error) {
      this.#forget(t.snapshot);
      this.#fail(t, `the state machine could not be read: ${String(error)}`);
    } finally {
      t.filling = false;
    }
  }

  /** What the receiver has already is only hashed, which must not hold up the rest of the process. */
  #breathe(sequence: number): Promise<void> {
    const { env, limits } = this.#deps;
    if (sequence % limits.window !== 0) return Promise.resolve();
    return new Promise((resolve) => env.after(0, resolve));
  }

  #fail(t: Transfer, reason: string): void {
    if (this.#running.get(t.to) !== t) return;
    const { env, limits, finished } = this.#deps;
    const failures = (this.#failures.get(t.to) ?? 0) + 1;
    this.#failures.set(t.to, failures);
    const pause_ms =
      Math.min(limits.max_pause_ms, 500 * 2 ** Math.min(failures - 1, 16)) * (0.5 + env.random() / 2);
    env.log('warn', 'a snapshot was not taken', { to: t.to, index: t.snapshot.meta.index, reason, pause_ms });
    this.#pauses.set(
      t.to,
      env.after(pause_ms, () => {
        this.#pauses.delete(t.to);
        finished(t.to, false);
      }),
    );
    this.#end(t);
  }

  #end(t: Transfer): void {
    this.#running.delete(t.to);
    t.cancelTimer();
    t.chunks.return?.().catch((error: unknown) => {
      this.#deps.env.log('warn', 'closing a snapshot failed', { error: String(error) });
    });
    this.#startNext();
  }
}
