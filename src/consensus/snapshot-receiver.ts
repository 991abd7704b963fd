/**
 * The follower's side of a snapshot: takes chunks in order, acknowledges each, checks the hash over all of them, and
 * only then has it installed. One at a time; a newer offer takes the place of an unfinished older one. Nothing of the
 * state machine is touched before the last byte is there and proven.
 */
import { createHash } from 'node:crypto';
import { sameBytes } from './crc.ts';
import type { TransferLimits } from './snapshot-transfer.ts';
import type { MemberId, ReplicaEnv, SnapshotMeta } from './types.ts';
import type { TransferFrame } from './wire.ts';

export interface ReceiverDeps {
  readonly id: MemberId;
  readonly env: ReplicaEnv;
  readonly limits: TransferLimits;
  readonly send: (frame: TransferFrame) => void;
  /** Whether this sender leads, in the term that is current here. */
  readonly accepts: (from: MemberId, term: number) => boolean;
  /** Up to where this member needs nothing. */
  readonly commit: () => number;
  /** Puts it into state machine and log store. False: it was refused, nothing changed. */
  readonly install: (meta: SnapshotMeta, chunks: readonly Uint8Array[]) => Promise<boolean>;
}

type Offer = Extract<TransferFrame, { type: 'snapshot-offer' }>;
type Chunk = Extract<TransferFrame, { type: 'snapshot-chunk' }>;
type AckState = Extract<TransferFrame, { type: 'snapshot-ack' }>['state'];

interface Incoming {
  readonly offer: Offer;
  readonly chunks: Uint8Array[];
  readonly hash: ReturnType<typeof createHash>;
  bytes: number;
  heard_ms: number;
  installing: boolean;
}

export class SnapshotReceiver {
  readonly #deps: ReceiverDeps;
  #incoming: Incoming | null = null;
  /** The last one installed, in case its `done` was lost. */
  #done = 0;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  onOffer(offer: Offer): void {
    if (!this.#deps.accepts(offer.from, offer.term)) return;
    const current = this.#incoming;
    if (current?.installing === true) {
      this.#ack(offer, current.chunks.length, 'busy');
    } else if (offer.meta.index <= this.#deps.commit()) {
      this.#ack(offer, 0, 'done');
    } else if (current?.offer.transfer === offer.transfer && current.offer.from === offer.from) {
      this.#ack(offer, current.chunks.length, 'more');
    } else {
      const heard_ms = this.#deps.env.now_ms();
      this.#incoming = {
        offer,
        chunks: [],
        hash: createHash('sha256'),
        bytes: 0,
        heard_ms,
        installing: false,
      };
      this.#ack(offer, 0, 'more');
    }
  }

  async onChunk(chunk: Chunk): Promise<void> {
    const current = this.#incoming;
    if (current === null || chunk.transfer !== current.offer.transfer || chunk.from !== current.offer.from) {
      if (chunk.transfer === this.#done) this.#ack(chunk, 0, 'done');
      return;
    }
    current.heard_ms = this.#deps.env.now_ms();
    if (current.installing || chunk.sequence !== current.chunks.length) {
      this.#ack(chunk, current.chunks.length, current.installing ? 'busy' : 'more');
      return;
    }
    current.chunks.push(chunk.data);
    current.hash.update(chunk.data);
    current.bytes += chunk.data.length;
    if (current.bytes > this.#deps.limits.max_bytes) {
      this.#refuse(current, `more than ${this.#deps.limits.max_bytes} bytes`);
    } else if (chunk.hash.length === 0) {
      this.#ack(chunk, current.chunks.length, 'more');
    } else if (!sameBytes(new Uint8Array(current.hash.digest()), chunk.hash)) {
      this.#refuse(current, 'its hash is wrong');
    } else {
      await this.#install(current);
    }
  }

  /** Frees the memory of a transfer that nobody goes on with. */
  expire(): void {
    const current = this.#incoming;
    if (current === null || current.installing) return;
    if (this.#deps.env.now_ms() - current.heard_ms > this.#deps.limits.give_up_ms) this.#incoming = null;
  }

  async #install(current: Incoming): Promise<void> {
    current.installing = true;
    this.#ack(current.offer, current.chunks.length, 'busy');
    const ok = await this.#deps.install(current.offer.meta, current.chunks);
    this.#incoming = null;
    if (ok) this.#done = current.offer.transfer;
    this.#ack(current.offer, current.chunks.length, ok ? 'done' : 'failed');
  }

  #refuse(current: Incoming, reason: string): void {
    this.#deps.env.log('warn', 'snapshot refused', { from: current.offer.from, reason });
    this.#incoming = null;
    this.#ack(current.offer, current.chunks.length, 'failed');
  }

  #ack(frame: Offer | Chunk, next: number, state: AckState): void {
    const { id: from, send } = this.#deps;
    send({
      type: 'snapshot-ack',
      from,
      to: frame.from,
      term: frame.term,
      transfer: frame.transfer,
      next,
      state,
    });
  }
}
