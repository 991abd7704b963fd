/**
 * `/skein/join/1`: the one protocol that answers strangers. One request, one answer, small, few at a time, few per
 * address and minute, and only while somebody holds an open token. What is in the request is judged by the handler;
 * this file only makes sure that asking is cheap to refuse.
 */
import { RpcError } from '../mesh-types.ts';
import {
  type Carrier,
  type CarrierConnection,
  type CarrierStream,
  DialError,
  type MeshEnv,
} from './carrier.ts';
import { deadlineSignal, within } from './deadline.ts';
import { FrameChannel } from './frame-channel.ts';
import { join_protocol, mesh_limits } from './limits.ts';
import { decodeWire, encodeWire, errorText } from './wire.ts';

export type JoinHandler = (peer_id: string, request: unknown) => Promise<unknown>;

export class JoinService {
  readonly #env: MeshEnv;
  /** Times of recent attempts by remote address, oldest address first. */
  readonly #attempts = new Map<string, number[]>();
  #open: () => boolean = () => false;
  #handler: JoinHandler | null = null;
  #active = 0;

  constructor(env: MeshEnv) {
    this.#env = env;
  }

  serve(open: () => boolean, handler: JoinHandler): void {
    this.#open = open;
    this.#handler = handler;
  }

  get open(): boolean {
    return this.#handler !== null && this.#open();
  }

  onStream(connection: CarrierConnection, stream: CarrierStream): void {
    const handler = this.#handler;
    if (handler === null || !this.#open()) {
      stream.abort('not open for joining');
      return;
    }
    let asked = false;
    const finish = (answer: unknown) => {
      const frame = encodeWire(answer);
      if (!channel.send(frame))
        channel.send(encodeWire([0, 'too-large', `the answer has ${frame.byteLength} bytes`, null]));
      channel.close();
    };
    const fail = (reason: string) => {
      channel.end();
      stream.abort(reason);
    };
    const channel = new FrameChannel(stream, {
      max_frame_bytes: mesh_limits.join_frame_bytes,
      queue_bytes: mesh_limits.join_frame_bytes + 64,
      onBad: fail,
      onFrame: (frame) => {
        if (asked) return fail('a second request');
        asked = true;
        cancelRead();
        void this.#answer(connection, handler, frame).then(finish);
      },
    });
    const cancelRead = this.#env.after(mesh_limits.join_timeout_ms, () => fail('no request in time'));
    stream.onClose(() => {
      cancelRead();
      // A joiner that has sent its request and gone is no error; the answer has nowhere to go.
      channel.end();
    });
  }

  async #answer(connection: CarrierConnection, handler: JoinHandler, frame: Uint8Array): Promise<unknown> {
    if (!this.#countAttempt(connection.remote_address)) {
      return [
        0,
        'busy',
        `more than ${mesh_limits.join_attempts} attempts in a minute, wait and try again`,
        null,
      ];
    }
    if (this.#active >= mesh_limits.join_max_active)
      return [0, 'busy', 'other hosts are joining, try again', null];
    this.#active++;
    try {
      const request = decodeWire(frame);
      const late = () =>
        new RpcError('timeout', `joining took longer than ${mesh_limits.join_timeout_ms} ms`);
      const result = await within(
        this.#env,
        mesh_limits.join_timeout_ms,
        handler(connection.peer_id, request),
        late,
      );
      return [1, result];
    } catch (error) {
      const code =
        error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'internal';
      return [0, code, errorText(error), error instanceof RpcError ? error.data : null];
    } finally {
      this.#active--;
    }
  }

  #countAttempt(remote_address: string): boolean {
    const host = remote_address.split('/').slice(0, 3).join('/');
    const now_ms = this.#env.now_ms();
    const recent = (this.#attempts.get(host) ?? []).filter(
      (at_ms) => now_ms - at_ms < mesh_limits.join_window_ms,
    );
    const allowed = recent.length < mesh_limits.join_attempts;
    if (allowed) recent.push(now_ms);
    this.#attempts.delete(host);
    this.#attempts.set(host, recent);
    if (this.#attempts.size > mesh_limits.join_max_addresses)
      this.#attempts.delete(this.#attempts.keys().next().value!);
    return allowed;
  }
}

/** The joiner's side: asks `peer_id` at its addresses, one after the other. Rejects with {@link RpcError}. */
export async function requestJoin(
  env: MeshEnv,
  carrier: Carrier,
  addresses: readonly string[],
  peer_id: string,
  request: unknown,
  timeout_ms: number,
): Promise<unknown> {
  const frame = encodeWire(request);
  if (frame.byteLength > mesh_limits.join_frame_bytes) {
    throw new RpcError(
      'too-large',
      `the join request has ${frame.byteLength} bytes, at most ${mesh_limits.join_frame_bytes}`,
    );
  }
  if (addresses.length === 0) throw new RpcError('invalid', 'no address to join at');
  const end_ms = env.now_ms() + timeout_ms;
  const failures: string[] = [];
  let code = 'unreachable';
  for (const address of addresses.slice(0, mesh_limits.max_addresses)) {
    const left_ms = end_ms - env.now_ms();
    if (left_ms <= 0) break;
    const deadline = deadlineSignal(env, Math.min(mesh_limits.dial_timeout_ms, left_ms));
    let connection: CarrierConnection | null = null;
    try {
      connection = await carrier.dial(peer_id, address, deadline.signal);
      const stream = await openJoinStream(connection, deadline.signal);
      deadline.clear();
      // From here on it may have been heard: no other address is tried.
      return await exchange(env, stream, frame, Math.max(1, end_ms - env.now_ms()));
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      if (error.code === 'wrong-peer' || error.code === 'refused') code = error.code;
      failures.push(`${address}: ${error.message}`);
    } finally {
      deadline.clear();
      connection?.abort('join is over');
    }
  }
  if (failures.length === 0) failures.push(`no time to try (${timeout_ms} ms)`);
  throw new RpcError(code, `cannot join through ${peer_id}: ${failures.join('; ')}`);
}

/** A peer that is not open for joining ends the connection after the handshake, or refuses the stream. */
async function openJoinStream(connection: CarrierConnection, signal: AbortSignal): Promise<CarrierStream> {
  try {
    return await connection.openStream(join_protocol, signal);
  } catch (error) {
    throw new DialError(
      signal.aborted ? 'timeout' : 'refused',
      `it does not let this host join now (${errorText(error)})`,
    );
  }
}

function exchange(
  env: MeshEnv,
  stream: CarrierStream,
  frame: Uint8Array,
  timeout_ms: number,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const end = (error: RpcError | null, result: unknown) => {
      cancel();
      channel.end();
      if (error === null) resolve(result);
      else reject(error);
    };
    const channel = new FrameChannel(stream, {
      max_frame_bytes: mesh_limits.join_frame_bytes,
      queue_bytes: mesh_limits.join_frame_bytes + 64,
      onBad: (reason) =>
        end(new RpcError('broken', `the answer to the join request is bad: ${reason}`), null),
      onFrame: (answer) => {
        const value = readAnswer(answer);
        if (value instanceof RpcError) end(value, null);
        else end(null, value.result);
      },
    });
    const cancel = env.after(timeout_ms, () =>
      end(new RpcError('timeout', `no answer to the join request in ${timeout_ms} ms`), null),
    );
    stream.onClose(() =>
      end(new RpcError('broken', 'the connection ended before the join request was answered'), null),
    );
    channel.send(frame);
  });
}

function readAnswer(frame: Uint8Array): RpcError | { readonly result: unknown } {
  let value: unknown;
  try {
    value = decodeWire(frame);
  } catch (error) {
    return new RpcError('broken', `the answer to the join request is bad: ${errorText(error)}`);
  }
  if (Array.isArray(value) && value[0] === 1) return { result: value[1] };
  if (Array.isArray(value) && typeof value[1] === 'string')
    return new RpcError(value[1], String(value[2]), value[3] ?? null);
  return new RpcError('broken', 'the answer to the join request is malformed');
}
