/**
 * Console streams: raw bytes between two members after a hello. They travel in frames, joined like all others, with
 * flow control from end to end: a reader that pauses holds the writer back, whose `write` then says so. A writer that
 * goes on regardless loses the stream, not the agent its memory.
 */
import { type ByteStream, RpcError } from '../mesh-types.ts';
import type { CarrierStream, MeshEnv } from './carrier.ts';
import { FrameChannel } from './frame-channel.ts';
import { mesh_limits } from './limits.ts';
import { decodeWire, encodeWire, errorText } from './wire.ts';

/** What the mesh's byte streams are besides {@link ByteStream}. */
export interface FlowByteStream extends ByteStream {
  /** False: queued, but stop until `onDrain`. */
  write(bytes: Uint8Array): boolean;
  onDrain(handler: () => void): void;
  pause(): void;
  resume(): void;
}

/** Stop at this much unsent; well under the bound at which the stream is closed. */
const high_water_bytes = 256 * 1024;

export class MeshByteStream implements FlowByteStream {
  readonly #env: MeshEnv;
  readonly #stream: CarrierStream;
  readonly #channel: FrameChannel;
  #onFrame: ((frame: Uint8Array) => void) | null;
  #onData: ((bytes: Uint8Array) => void) | null = null;
  #onClose: (() => void) | null = null;
  #onDrain: (() => void) | null = null;
  #early: Uint8Array[] = [];
  #paused = false;
  #need_drain = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #cancelLinger: () => void = () => undefined;

  /** `onFirst` gets the first frame: the hello, or the answer to it. Everything after is data. */
  constructor(env: MeshEnv, stream: CarrierStream, onFirst: (frame: Uint8Array) => void) {
    this.#env = env;
    this.#stream = stream;
    this.#onFrame = onFirst;
    this.#channel = new FrameChannel(stream, {
      max_frame_bytes: mesh_limits.byte_stream_hello_bytes,
      queue_bytes: mesh_limits.byte_stream_queue_bytes,
      onFrame: (frame) => this.#receive(frame),
      onBad: (reason) => this.abort(reason),
    });
    this.#channel.onEmpty(() => {
      if (!this.#need_drain) return;
      this.#need_drain = false;
      this.#onDrain?.();
    });
    stream.onClose(() => this.#closed());
  }

  /** A control frame, before data. */
  control(frame: Uint8Array): boolean {
    return this.#channel.send(frame);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return false;
    for (let at = 0; at < bytes.byteLength; at += mesh_limits.byte_stream_frame_bytes) {
      // Copied: the caller may reuse its buffer before the frame has left.
      if (!this.#channel.send(bytes.slice(at, at + mesh_limits.byte_stream_frame_bytes))) {
        this.abort(`${this.#channel.queued_bytes} bytes are unsent and the writer does not wait`);
        return false;
      }
    }
    if (this.#channel.queued_bytes > high_water_bytes) this.#need_drain = true;
    return !this.#need_drain;
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    this.#onData = handler;
    if (!this.#paused) this.resume();
  }

  onDrain(handler: () => void): void {
    this.#onDrain = handler;
  }

  onClose(handler: () => void): void {
    this.#onClose = handler;
    if (this.#state === 'closed') queueMicrotask(handler);
  }

  pause(): void {
    if (this.#paused || this.#state === 'closed') return;
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#onData === null) return;
    while (this.#early.length > 0 && !this.#paused) this.#onData(this.#early.shift()!);
    if (!this.#paused && this.#state !== 'closed') this.#stream.resume();
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#cancelLinger = this.#env.after(mesh_limits.linger_ms, () =>
      this.abort('it did not take the rest in time'),
    );
    this.#channel.close();
  }

  abort(reason: string): void {
    this.#stream.abort(reason);
    this.#closed();
  }

  #receive(frame: Uint8Array): void {
    const first = this.#onFrame;
    if (first !== null) {
      this.#onFrame = null;
      first(frame);
      // Nobody listens yet: hold the sender back.
      if (this.#onData === null && this.#state === 'open') this.#stream.pause();
    } else if (this.#onData === null || this.#paused || this.#early.length > 0) this.#early.push(frame);
    else this.#onData(frame);
  }

  #closed(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelLinger();
    this.#channel.end();
    this.#onClose?.();
  }
}

export type ByteStreamHandler = (from: number, hello: unknown, stream: ByteStream) => void;

/** The opener's side, on a fresh carrier stream. Rejects with {@link RpcError}. */
export function greetByteStream(
  env: MeshEnv,
  stream: CarrierStream,
  purpose: string,
  hello: unknown,
  timeout_ms: number,
): Promise<MeshByteStream> {
  return new Promise((resolve, reject) => {
    const fail = (error: RpcError) => {
      cancel();
      // First: ending the stream comes back here as its close.
      reject(error);
      bytes.abort(error.message);
    };
    const cancel = env.after(timeout_ms, () =>
      fail(new RpcError('timeout', `stream ${purpose}: no answer in ${timeout_ms} ms`)),
    );
    const bytes: MeshByteStream = new MeshByteStream(env, stream, (frame) => {
      const refusal = readAnswer(frame);
      if (refusal !== null) fail(refusal);
      else {
        cancel();
        resolve(bytes);
      }
    });
    bytes.onClose(() => fail(new RpcError('broken', `stream ${purpose}: closed before it was accepted`)));
    if (!bytes.control(encodeWire([purpose, hello]))) {
      fail(
        new RpcError(
          'too-large',
          `stream ${purpose}: the hello is over ${mesh_limits.byte_stream_hello_bytes} bytes`,
        ),
      );
    }
  });
}

/** The other side: reads the hello, finds who serves its purpose, answers. */
export function acceptByteStream(
  env: MeshEnv,
  from: number,
  stream: CarrierStream,
  handlers: ReadonlyMap<string, ByteStreamHandler>,
): void {
  const bytes = new MeshByteStream(env, stream, (frame) => {
    cancel();
    const hello = readHello(frame);
    const handler = hello === null ? undefined : handlers.get(hello.purpose);
    if (hello === null || handler === undefined) {
      bytes.control(
        encodeWire([
          0,
          'no-method',
          `nothing here serves stream ${hello?.purpose.slice(0, 64) ?? '(bad hello)'}`,
        ]),
      );
      bytes.close();
      return;
    }
    bytes.control(encodeWire([1]));
    try {
      handler(from, hello.hello, bytes);
    } catch (error) {
      env.log('error', 'a stream handler failed', { purpose: hello.purpose, error: errorText(error) });
      bytes.abort('its handler failed');
    }
  });
  const cancel = env.after(mesh_limits.byte_stream_hello_ms, () => bytes.abort('no hello in time'));
  bytes.onClose(cancel);
}

function readHello(frame: Uint8Array): { purpose: string; hello: unknown } | null {
  const value = tryDecode(frame);
  if (!Array.isArray(value) || typeof value[0] !== 'string') return null;
  return { purpose: value[0], hello: value[1] };
}

/** Null: accepted. */
function readAnswer(frame: Uint8Array): RpcError | null {
  const value = tryDecode(frame);
  if (Array.isArray(value) && value[0] === 1) return null;
  if (Array.isArray(value) && typeof value[1] === 'string') return new RpcError(value[1], String(value[2]));
  return new RpcError('broken', 'the answer to a stream hello is malformed');
}

function tryDecode(frame: Uint8Array): unknown {
  try {
    return decodeWire(frame);
  } catch {
    return null; // the callers say what is wrong with it
  }
}
