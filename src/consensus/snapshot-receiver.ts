/**
 * The follower's side of a snapshot: takes chunks in order into a spool, acknowledges each that is there, checks the hash
 * over all of them, and only then has it installed. One at a time. A transfer that broke off goes on where it stood when
 * the same leader offers the same snapshot again; another offer takes its place and begins anew. Nothing of the state
 * machine is touched before the last byte is there and proven. A full disk ends the transfer, any other error of the disk
 * rejects, and is fatal.
 */
import { sameBytes } from './crc.ts';
import { isDiskFull } from './reserve-file.ts';
import { snapshotHash } from './snapshot-hash.ts';
import { memorySpool } from './snapshot-spool.ts';
import type { TransferLimits } from './snapshot-transfer.ts';
import type { MemberId, ReplicaEnv, SnapshotMeta, SnapshotSpool } from './types.ts';
import type { TransferFrame } from './wire.ts';

export interface ReceiverDeps {
  readonly id: MemberId;
  readonly env: ReplicaEnv;
  readonly limits: TransferLimits;
  /** Absent: it waits in memory. */
  readonly spool?: SnapshotSpool | undefined;
  readonly send: (frame: TransferFrame) => void;
  /** Whether this sender leads, in the term that is current here. */
  readonly accepts: (from: MemberId, term: number) => boolean;
  /** Up to where this member needs nothing. */
  readonly commit: () => number;
  /** Puts it into state machine and log store. False: it was refused, nothing changed. */
  readonly install: (meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>) => Promise<boolean>;
}

type Offer = Extract<TransferFrame, { type: 'snapshot-offer' }>;
type Chunk = Extract<TransferFrame, { type: 'snapshot-chunk' }>;
type AckState = Extract<TransferFrame, { type: 'snapshot-ack' }>['state'];

interface Incoming {
  readonly offer: Offer;
  readonly hash: ReturnType<typeof snapshotHash>;
  /** Chunks that came, and how many of them the spool has. */
  taken: number;
  spooled: number;
  bytes: number;
  heard_ms: number;
  installing: boolean;
}

export class SnapshotReceiver {
  readonly #deps: ReceiverDeps;
  readonly #spool: SnapshotSpool;
  #incoming: Incoming | null = null;
  /** The last one installed, in case its `done` was lost. */
  #done = 0;
  /** What is done with the spool: one after the other. */
  #turns: Promise<void> = Promise.resolve();

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
    this.#spool = deps.spool ?? memorySpool();
  }

  /** Removes what a former life left. */
  begin(): Promise<void> {
    return this.#inTurn(() => this.#spool.clear());
  }

  async onOffer(offer: Offer): Promise<void> {
    if (!this.#deps.accepts(offer.from, offer.term)) return;
    const current = this.#incoming;
    if (current?.installing === true) {
      this.#ack(offer, current.spooled, 'busy');
    } else if (offer.meta.index <= this.#deps.commit()) {
      this.#ack(offer, 0, 'done');
    } else if (current !== null && isSame(current.offer, offer)) {
      current.heard_ms = this.#deps.env.now_ms();
      this.#ack(offer, current.spooled, 'more');
    } else {
      const heard_ms = this.#deps.env.now_ms();
      const hash = snapshotHash(offer.meta);
      this.#incoming = { offer, hash, taken: 0, spooled: 0, bytes: 0, heard_ms, installing: false };
      this.#ack(offer, 0, 'more');
      await this.#inTurn(() => this.#spool.clear());
    }
  }

  async onChunk(chunk: Chunk): Promise<void> {
    const current = this.#incoming;
    if (current === null || chunk.transfer !== current.offer.transfer || chunk.from !== current.offer.from) {
      if (chunk.transfer === this.#done) this.#ack(chunk, 0, 'done');
      return;
    }
    current.heard_ms = this.#deps.env.now_ms();
    if (current.installing || chunk.sequence !== current.taken) {
      this.#ack(chunk, current.spooled, current.installing ? 'busy' : 'more');
      return;
    }
    current.taken += 1;
    await this.#inTurn(() => this.#take(current, chunk));
  }

  /** Frees the room of a transfer that nobody goes on with. */
  async expire(): Promise<void> {
    const current = this.#incoming;
    if (current === null || current.installing) return;
    if (this.#deps.env.now_ms() - current.heard_ms <= this.#deps.limits.keep_ms) return;
    this.#incoming = null;
    await this.#inTurn(() => this.#spool.clear());
  }

  /** Resolves when nothing is done with the spool any more. */
  idle(): Promise<void> {
    return this.#turns;
  }

  async #take(current: Incoming, chunk: Chunk): Promise<void> {
    if (this.#incoming !== current) return;
    current.bytes += chunk.data.length;
    if (current.bytes > this.#deps.limits.max_bytes) {
      await this.#refuse(current, `more than ${this.#deps.limits.max_bytes} bytes`);
      return;
    }
    const fits = await this.#append(chunk.data);
    // Another offer came meanwhile.
    if (this.#incoming !== current) return;
    current.hash.update(chunk.data);
    current.spooled += 1;
    if (!fits) {
      await this.#refuse(current, 'the disk is full');
    } else if (chunk.hash.length === 0) {
      this.#ack(chunk, current.spooled, 'more');
    } else if (!sameBytes(new Uint8Array(current.hash.digest()), chunk.hash)) {
      await this.#refuse(current, 'its hash is wrong');
    } else {
      await this.#install(current);
    }
  }

  /** False: the disk is full. */
  async #append(bytes: Uint8Array): Promise<boolean> {
    try {
      if (bytes.length > 0) await this.#spool.append(bytes);
      return true;
    } catch (error) {
      if (isDiskFull(error)) return false;
      throw error;
    }
  }

  async #install(current: Incoming): Promise<void> {
    current.installing = true;
    this.#ack(current.offer, current.spooled, 'busy');
    const ok = await this.#deps.install(current.offer.meta, this.#spool.read());
    this.#incoming = null;
    if (ok) this.#done = current.offer.transfer;
    await this.#spool.clear();
    this.#ack(current.offer, current.spooled, ok ? 'done' : 'failed');
  }

  async #refuse(current: Incoming, reason: string): Promise<void> {
    this.#deps.env.log('warn', 'snapshot refused', { from: current.offer.from, reason });
    this.#incoming = null;
    await this.#spool.clear();
    this.#ack(current.offer, current.spooled, 'failed');
  }

  async #inTurn(act: () => Promise<void>): Promise<void> {
    const turn = this.#turns.then(act);
    // Whoever asked for it is told; the next one has its turn all the same.
    this.#turns = turn.catch(() => undefined);
    await turn;
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

/** The number is the sender's for this snapshot; the rest guards against a number that is drawn twice. */
function isSame(a: Offer, b: Offer): boolean {
  return (
    a.transfer === b.transfer &&
    a.from === b.from &&
    a.meta.index === b.meta.index &&
    a.meta.term === b.meta.term
  );
}
