/**
 * The serving half of the rpc layer on one connection: runs handlers side by side, tells them when their caller gave
 * up or went away, and answers. A slow handler holds up nobody; a peer cannot have more than a bounded number running.
 */
import type { RpcHandler } from '../mesh-types.ts';
import type { MeshEnv } from './carrier.ts';
import { mesh_limits } from './limits.ts';
import { encodeRpcFrame, type RpcFrame, RpcFrameError } from './rpc-frame.ts';
import { errorText } from './wire.ts';

/** Says of a call that it was not sent or not begun; from a handler it would be a lie about the call it serves. */
const reserved_codes: ReadonlySet<string> = new Set(['unreachable', 'busy']);

export class RpcServe {
  readonly #env: MeshEnv;
  readonly #from: () => number;
  readonly #handlers: ReadonlyMap<string, RpcHandler>;
  readonly #answer: (frame: Uint8Array) => void;
  readonly #note: (frame: Uint8Array) => boolean;
  readonly #running = new Map<number, AbortController>();
  #ended = false;

  /** `answer` must not lose frames while the connection lives; `note` may (returns false). */
  constructor(
    env: MeshEnv,
    from: () => number,
    handlers: ReadonlyMap<string, RpcHandler>,
    answer: (frame: Uint8Array) => void,
    note: (frame: Uint8Array) => boolean,
  ) {
    this.#env = env;
    this.#from = from;
    this.#handlers = handlers;
    this.#answer = answer;
    this.#note = note;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Throws {@link RpcFrameError} when the id is already running. */
  onRequest(id: number, method: string, params: unknown): void {
    if (this.#ended) return;
    if (this.#running.has(id)) throw new RpcFrameError(`request ${id} is already running`);
    if (this.#running.size >= mesh_limits.max_calls) {
      this.#sendError(
        id,
        'busy',
        `${mesh_limits.max_calls} calls of this peer are running, no more are allowed`,
        null,
      );
      return;
    }
    const handler = this.#handlers.get(method);
    if (handler === undefined) {
      this.#sendError(id, 'no-method', `no method ${JSON.stringify(method.slice(0, 64))} here`, null);
      return;
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    void this.#run(id, method, handler, params, controller.signal);
  }

  onCancel(id: number): void {
    this.#running.get(id)?.abort('canceled by the caller');
  }

  /** The caller is gone: handlers are told, their answers dropped. */
  end(): void {
    this.#ended = true;
    for (const controller of [...this.#running.values()]) controller.abort('the caller is gone');
  }

  async #run(
    id: number,
    method: string,
    handler: RpcHandler,
    params: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const result = await handler(this.#from(), params, {
        signal,
        note: (note) => this.#sendNote(id, method, note),
      });
      this.#running.delete(id);
      this.#send(id, { kind: 'answer', id, result });
    } catch (error) {
      this.#running.delete(id);
      const { code, data } = codeOf(error);
      this.#sendError(id, code, errorText(error), data);
    }
  }

  #sendNote(id: number, method: string, note: unknown): void {
    if (this.#ended || !this.#running.has(id)) return;
    const frame = encodeRpcFrame({ kind: 'note', id, note });
    if (frame.byteLength > mesh_limits.max_frame_bytes || !this.#note(frame)) {
      this.#env.log('debug', 'dropped a note: too large, or the peer does not read', {
        method,
        bytes: frame.byteLength,
      });
    }
  }

  #sendError(id: number, code: string, message: string, data: unknown): void {
    this.#send(id, { kind: 'error', id, code, message, data });
  }

  #send(id: number, frame: RpcFrame): void {
    if (this.#ended) return;
    let bytes: Uint8Array;
    try {
      bytes = encodeRpcFrame(frame);
    } catch (error) {
      const message = `the answer cannot be encoded: ${errorText(error)}`;
      bytes = encodeRpcFrame({ kind: 'error', id, code: 'internal', message, data: null });
    }
    if (bytes.byteLength > mesh_limits.max_frame_bytes) {
      const message = `the answer has ${bytes.byteLength} bytes, at most ${mesh_limits.max_frame_bytes} are allowed`;
      bytes = encodeRpcFrame({ kind: 'error', id, code: 'too-large', message, data: null });
    }
    this.#answer(bytes);
  }
}

function codeOf(error: unknown): { code: string; data: unknown } {
  if (typeof error !== 'object' || error === null) return { code: 'internal', data: null };
  const code =
    'code' in error && typeof error.code === 'string' && error.code !== '' ? error.code : 'internal';
  const data = 'data' in error ? error.data : null;
  return { code: reserved_codes.has(code) ? `remote-${code}` : code, data: data ?? null };
}
