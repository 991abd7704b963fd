/**
 * Between core and log store: writes go out one after the other without waiting, and are reported back in order.
 * A message that depends on a write is handed on only after that write *and all before it* are durable.
 */
import type { HardState, LogStore, Message, Ready } from './types.ts';

interface Write {
  readonly seq: number;
  readonly messages: readonly Message[];
  readonly begun_ms: number;
  done: boolean;
}

export interface LogPipelineEvents {
  /** Everything up to `seq` is durable; `messages` may leave. */
  readonly durable: (seq: number, messages: readonly Message[]) => void;
  /** The disk failed. Nothing is reported after this. */
  readonly failed: (error: unknown) => void;
}

export class LogPipeline {
  readonly #log: LogStore;
  readonly #events: LogPipelineEvents;
  #writes: Write[] = [];
  #failed = false;
  #idle: (() => void)[] = [];
  #hard_state: HardState;

  constructor(log: LogStore, hard_state: HardState, events: LogPipelineEvents) {
    this.#log = log;
    this.#hard_state = hard_state;
    this.#events = events;
  }

  /** The last hard state that was given to the log store. */
  get hard_state(): HardState {
    return this.#hard_state;
  }

  push(ready: Ready, now_ms: number): void {
    const { seq, messages_after_sync, hard_state, entries } = ready;
    const write: Write = { seq, messages: messages_after_sync, begun_ms: now_ms, done: false };
    this.#writes.push(write);
    if (hard_state === null && entries.length === 0) {
      write.done = true;
      this.#report();
      return;
    }
    if (hard_state !== null) this.#hard_state = hard_state;
    this.#log.append(hard_state, entries).then(
      () => {
        write.done = true;
        this.#report();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** How long the oldest write has been under way, in ms. */
  age_ms(now_ms: number): number {
    const oldest = this.#writes[0];
    return oldest === undefined ? 0 : now_ms - oldest.begun_ms;
  }

  /** Resolves when no write is under way, or the disk failed. */
  idle(): Promise<void> {
    if (this.#writes.length === 0 || this.#failed) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #report(): void {
    while (!this.#failed && this.#writes[0]?.done === true) {
      const { seq, messages } = this.#writes.shift()!;
      this.#events.durable(seq, messages);
    }
    if (this.#writes.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const resolve of this.#idle.splice(0)) resolve();
    this.#events.failed(error);
  }
}
