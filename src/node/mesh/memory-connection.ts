/** Connections and streams of the in-memory network: what TCP, noise and yamux do, without bytes on a wire. */
import { type CarrierConnection, type CarrierStream, DialError } from './carrier.ts';
import type { MeshProtocol } from './limits.ts';
import type { MemoryPipe } from './memory-pipe.ts';

/** Unread bytes in one direction of a stream before the sender is held back; as yamux's window. */
const window_bytes = 256 * 1024;
/** The receiver says that it has read when it has read half a window, as yamux does, and not at each packet. */
const credit_bytes = window_bytes / 2;

export class MemoryStream implements CarrierStream {
  // Set by `pair`, the only way to make one.
  #other: MemoryStream = this;
  readonly #pipe: MemoryPipe;
  #in_flight = 0;
  /** Read here, and the sender was not told yet. */
  #uncredited = 0;
  #onData: ((chunk: Uint8Array) => void) | null = null;
  #onDrain: (() => void) | null = null;
  #onClose: (() => void) | null = null;
  #unread: Uint8Array[] = [];
  #paused = false;
  #ended = false;
  #remote_ended = false;

  private constructor(pipe: MemoryPipe) {
    this.#pipe = pipe;
  }

  /** Two ends; each sends through its own pipe. */
  static pair(there: MemoryPipe, back: MemoryPipe): readonly [MemoryStream, MemoryStream] {
    const near = new MemoryStream(there);
    const far = new MemoryStream(back);
    near.#other = far;
    far.#other = near;
    return [near, far];
  }

  get writable(): boolean {
    return !this.#ended && this.#in_flight < window_bytes;
  }

  send(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#in_flight += bytes.byteLength;
    this.#pipe.send(() => this.#other.#arrive(bytes));
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    queueMicrotask(() => this.#deliver());
  }

  onDrain(handler: () => void): void {
    this.#onDrain = handler;
  }

  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#ended) queueMicrotask(handler);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
  }

  close(): void {
    if (this.#ended) return;
    this.#pipe.send(() => this.#other.#remoteEnd());
    this.end();
  }

  abort(_reason: string): void {
    this.close();
  }

  /** The stream or its connection is gone on this side. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unread = [];
    this.#onClose?.();
  }

  #arrive(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#unread.push(bytes);
    this.#deliver();
  }

  #deliver(): void {
    while (!this.#paused && !this.#ended && this.#onData !== null && this.#unread.length > 0) {
      const bytes = this.#unread.shift()!;
      this.#uncredited += bytes.byteLength;
      if (this.#uncredited >= credit_bytes) this.#creditSender();
      this.#onData(bytes);
    }
    if (this.#remote_ended && this.#unread.length === 0) this.end();
  }

  /** The window update takes the way back; what is held there holds the sender. */
  #creditSender(): void {
    const bytes = this.#uncredited;
    this.#uncredited = 0;
    this.#pipe.send(() => this.#other.#credit(bytes));
  }

  #credit(bytes: number): void {
    const full = this.#in_flight >= window_bytes;
    this.#in_flight -= bytes;
    if (full && this.writable) this.#onDrain?.();
  }

  #remoteEnd(): void {
    this.#remote_ended = true;
    this.#deliver();
  }
}

export type InboundStream = (
  connection: CarrierConnection,
  protocol: MeshProtocol,
  stream: CarrierStream,
) => void;

export class MemoryConnection implements CarrierConnection {
  readonly peer_id: string;
  readonly remote_address: string;
  readonly #pipe: MemoryPipe;
  readonly #inbound: InboundStream;
  readonly #streams = new Set<MemoryStream>();
  readonly #handlers: ((reason: string) => void)[] = [];
  #other: MemoryConnection | null = null;
  #closed: string | null = null;

  constructor(peer_id: string, remote_address: string, pipe: MemoryPipe, inbound: InboundStream) {
    this.peer_id = peer_id;
    this.remote_address = remote_address;
    this.#pipe = pipe;
    this.#inbound = inbound;
  }

  static join(a: MemoryConnection, b: MemoryConnection): void {
    a.#other = b;
    b.#other = a;
  }

  get open(): boolean {
    return this.#closed === null;
  }

  openStream(protocol: MeshProtocol, signal: AbortSignal): Promise<CarrierStream> {
    return new Promise((resolve, reject) => {
      const other = this.#other;
      if (this.#closed !== null || other === null) {
        reject(new DialError('refused', `the connection is closed (${this.#closed ?? 'never made'})`));
        return;
      }
      const fail = (why: string) => {
        signal.removeEventListener('abort', onAbort);
        reject(new DialError(signal.aborted ? 'timeout' : 'refused', why));
      };
      const onAbort = () => fail('gave up');
      if (signal.aborted) return fail('gave up');
      signal.addEventListener('abort', onAbort, { once: true });
      this.onClose(fail);
      this.#pipe.send(() => {
        if (other.#closed !== null) return;
        const [near, far] = MemoryStream.pair(this.#pipe, other.#pipe);
        other.#track(far);
        // Answered before it is used, as a negotiation is.
        other.#pipe.send(() => {
          signal.removeEventListener('abort', onAbort);
          if (this.#closed !== null) return;
          if (signal.aborted) {
            near.close();
            return;
          }
          this.#track(near);
          resolve(near);
        });
        other.#inbound(other, protocol, far);
      });
    });
  }

  onClose(handler: (reason: string) => void): void {
    const closed = this.#closed;
    if (closed === null) this.#handlers.push(handler);
    else queueMicrotask(() => handler(closed));
  }

  abort(reason: string): void {
    if (this.#closed !== null) return;
    this.#pipe.send(() => this.#other?.vanish('the connection closed'));
    this.vanish(reason);
  }

  /** Gone on this side, without a word to the other. */
  vanish(reason: string): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    for (const stream of [...this.#streams]) stream.end();
    this.#streams.clear();
    for (const handler of this.#handlers.splice(0)) handler(reason);
  }

  #track(stream: MemoryStream): void {
    this.#streams.add(stream);
  }
}
