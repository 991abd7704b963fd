/** What the load needs of a store, whichever it is. */

export interface StoreClient {
  /** Resolves when the store says that it is committed. */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Linearizable. Resolves to the number of bytes of the answer, the value among them; rejects when there is none. */
  get(key: string): Promise<number>;
  close(): void;
}

/** Joins what is sent within one turn of the event loop into one write, as clients of both stores do. */
export class JoinedWrites {
  readonly #write: (bytes: readonly Uint8Array[]) => void;
  #waiting: Uint8Array[] = [];

  constructor(write: (bytes: readonly Uint8Array[]) => void) {
    this.#write = write;
  }

  send(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    if (this.#waiting.length > 1) return;
    queueMicrotask(() => {
      const all = this.#waiting;
      this.#waiting = [];
      this.#write(all);
    });
  }
}
