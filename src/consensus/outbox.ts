/**
 * What waits to be handed out with the next Ready, and which hard state is on disk.
 * It guarantees that no message leaves before what it promises is durable: votes, vote requests and acknowledgements of
 * entries wait for the sync of their Ready, and so does anything said in a term that is not on disk yet.
 */
import { invariant } from './invariant.ts';
import type { HardState, Message } from './types.ts';

export class Outbox {
  readonly #fault: string | undefined;
  #durable: HardState;
  #handed: HardState;
  #writes: { readonly seq: number; readonly hard_state: HardState }[] = [];
  #seq = 0;
  #now: Message[] = [];
  #after_sync: Message[] = [];
  #reads: { readonly context: number; readonly index: number }[] = [];
  #reads_failed: number[] = [];

  /** @param fault why this member's storage cannot be relied on: every message says so */
  constructor(hard_state: HardState, fault?: string) {
    this.#fault = fault;
    this.#durable = hard_state;
    this.#handed = hard_state;
  }

  /** The hard state that is surely on disk. */
  get durable(): HardState {
    return this.#durable;
  }

  /** Whether term or vote differ from what was last handed out for writing. */
  isUnwritten(hard_state: HardState): boolean {
    return hard_state.term !== this.#handed.term || hard_state.vote !== this.#handed.vote;
  }

  get isEmpty(): boolean {
    return (
      this.#now.length === 0 &&
      this.#after_sync.length === 0 &&
      this.#reads.length === 0 &&
      this.#reads_failed.length === 0
    );
  }

  send(message: Message): void {
    const said = this.#fault === undefined ? message : { ...message, faulty: this.#fault };
    if (this.#promises(message)) this.#after_sync.push(said);
    else this.#now.push(said);
  }

  answer(reads: readonly { readonly context: number; readonly index: number }[]): void {
    for (const read of reads) this.#reads.push(read);
  }

  fail(contexts: readonly number[]): void {
    for (const context of contexts) this.#reads_failed.push(context);
  }

  /** The number of the Ready that is being made. */
  nextSeq(): number {
    return ++this.#seq;
  }

  /** Takes all that waits. */
  take(): {
    messages: Message[];
    messages_after_sync: Message[];
    reads: { readonly context: number; readonly index: number }[];
    reads_failed: number[];
  } {
    const taken = {
      messages: this.#now,
      messages_after_sync: this.#after_sync,
      reads: this.#reads,
      reads_failed: this.#reads_failed,
    };
    this.#now = [];
    this.#after_sync = [];
    this.#reads = [];
    this.#reads_failed = [];
    return taken;
  }

  handedOut(seq: number, hard_state: HardState): void {
    this.#handed = hard_state;
    this.#writes.push({ seq, hard_state });
  }

  synced(seq: number): void {
    invariant(seq <= this.#seq, () => `sync of ready ${seq}, the last one was ${this.#seq}`);
    while (this.#writes[0] !== undefined && this.#writes[0].seq <= seq) {
      this.#durable = this.#writes.shift()!.hard_state;
    }
  }

  #promises(message: Message): boolean {
    switch (message.type) {
      case 'vote':
        // A pre-vote asks in a term that nobody has entered yet; it promises nothing.
        return message.pre ? message.term - 1 > this.#durable.term : true;
      case 'vote-reply':
      case 'append-reply':
        return true;
      case 'append':
      case 'heartbeat':
      case 'heartbeat-reply':
      case 'snapshot':
      case 'timeout-now':
        return message.term > this.#durable.term;
    }
  }
}
