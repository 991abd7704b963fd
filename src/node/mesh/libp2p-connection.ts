/** libp2p's connections and streams in the carrier's terms. Nothing here decides anything. */
import type { Connection, Stream } from '@libp2p/interface';
import type { CarrierConnection, CarrierStream, MeshEnv } from './carrier.ts';
import type { MeshProtocol } from './limits.ts';
import { errorText } from './wire.ts';

/** libp2p's send never blocks and buffers without bound; above this much unsent we hold back. */
const write_high_water_bytes = 64 * 1024;

export class Libp2pStream implements CarrierStream {
  readonly #stream: Stream;
  readonly #env: MeshEnv;
  #closed = false;
  #onClose: (() => void) | null = null;

  constructor(stream: Stream, env: MeshEnv) {
    this.#stream = stream;
    this.#env = env;
    stream.addEventListener('end', () => this.#ended());
    stream.addEventListener('close', () => this.#ended());
    if (stream.status !== 'open' || stream.readableEnded) queueMicrotask(() => this.#ended());
  }

  get writable(): boolean {
    const stream = this.#stream;
    return !this.#closed && !stream.writableNeedsDrain && stream.writeBufferLength < write_high_water_bytes;
  }

  send(bytes: Uint8Array): void {
    if (this.#closed || this.#stream.writeStatus !== 'writable') return;
    try {
      this.#stream.send(bytes);
    } catch (error) {
      this.abort(errorText(error));
    }
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#stream.addEventListener('message', (event) => {
      const { data } = event;
      if (data instanceof Uint8Array) handler(data);
      else for (const part of data) handler(part);
    });
  }

  onDrain(handler: () => void): void {
    // Not at once: libp2p says "idle" while it still counts as sending, and takes what is written then into its buffer
    // without ever looking at it again, until a later write. One that waits for room here would wait for ever.
    const later = () => queueMicrotask(handler);
    this.#stream.addEventListener('drain', later);
    this.#stream.addEventListener('idle', later);
  }

  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#closed) queueMicrotask(handler);
  }

  pause(): void {
    const { readStatus } = this.#stream;
    if (readStatus === 'readable') this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume();
  }

  close(): void {
    if (this.#closed && this.#stream.writeStatus !== 'writable') return;
    this.#stream
      .close({ signal: AbortSignal.timeout(5000) })
      .catch((error: unknown) => this.abort(errorText(error)));
  }

  abort(reason: string): void {
    this.#stream.abort(new Error(reason));
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    // The remote has ended its side; none of our protocols goes on one-way.
    if (this.#stream.writeStatus === 'writable') {
      this.#stream.close({ signal: AbortSignal.timeout(5000) }).catch((error: unknown) => {
        this.#env.log('debug', 'a stream did not end cleanly', { error: errorText(error) });
        this.#stream.abort(new Error('it did not end cleanly'));
      });
    }
    this.#onClose?.();
  }
}

export class Libp2pConnection implements CarrierConnection {
  readonly peer_id: string;
  readonly remote_address: string;
  /** Somebody waits for this outbound connection. */
  claimed = false;
  readonly #connection: Connection;
  readonly #env: MeshEnv;
  readonly #handlers = new Set<(reason: string) => void>();
  #closed = false;
  #reason = 'the connection closed';

  constructor(connection: Connection, env: MeshEnv) {
    this.#connection = connection;
    this.#env = env;
    this.peer_id = connection.remotePeer.toString();
    this.remote_address = connection.remoteAddr.toString();
    connection.addEventListener('close', () => this.#ended());
    if (connection.status !== 'open') queueMicrotask(() => this.#ended());
  }

  get open(): boolean {
    return !this.#closed && this.#connection.status === 'open';
  }

  async openStream(protocol: MeshProtocol, signal: AbortSignal): Promise<CarrierStream> {
    return new Libp2pStream(await this.#connection.newStream(protocol, { signal }), this.#env);
  }

  onClose(handler: (reason: string) => void): void {
    if (!this.#closed) this.#handlers.add(handler);
    else queueMicrotask(() => handler(this.#reason));
  }

  abort(reason: string): void {
    if (this.#closed) return;
    // First, as ending its streams comes back here: libp2p cannot be aborted while it aborts.
    this.#closed = true;
    this.#reason = reason;
    try {
      this.#connection.abort(new Error(reason));
    } catch (error) {
      // The muxer wanted to say goodbye on a dead transport; the second time it is past that and closes the socket.
      this.#env.log('debug', 'a connection did not end cleanly', { error: errorText(error) });
      this.#connection.abort(new Error(reason));
    }
    this.#notify();
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#notify();
  }

  #notify(): void {
    const handlers = [...this.#handlers];
    this.#handlers.clear();
    for (const handler of handlers) handler(this.#reason);
  }
}
