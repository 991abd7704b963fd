/**
 * The caller's half of the rpc layer on one connection: calls in flight, their timeouts, notes and cancellation.
 * Every call settles exactly once. It never says `unreachable` for a call that may have left this host.
 */
import { RpcError } from '../mesh-types.ts';
import type { MeshEnv } from './carrier.ts';
import { mesh_limits } from './limits.ts';
import { encodeRpcFrame } from './rpc-frame.ts';
import { errorText } from './wire.ts';

export interface CallOptions {
  readonly timeout_ms: number;
  readonly onNote?: (note: unknown) => void;
  readonly signal?: AbortSignal;
}

interface Pending {
  readonly method: string;
  readonly onNote: ((note: unknown) => void) | undefined;
  settle(error: RpcError | null, result: unknown): void;
}

export class RpcCalls {
  readonly #env: MeshEnv;
  readonly #peer: string;
  readonly #send: (frame: Uint8Array) => boolean;
  readonly #pending = new Map<number, Pending>();
  #next_id = 1;
  #ended: string | null = null;

  /** `peer` names the other end in errors. `send` returns false when its queue is full. */
  constructor(env: MeshEnv, peer: string, send: (frame: Uint8Array) => boolean) {
    this.#env = env;
    this.#peer = peer;
    this.#send = send;
  }

  get in_flight(): number {
    return this.#pending.size;
  }

  call(method: string, params: unknown, options: CallOptions): Promise<unknown> {
    const { timeout_ms, signal } = options;
    if (!(timeout_ms > 0 && timeout_ms <= mesh_limits.max_call_timeout_ms)) {
      return Promise.reject(
        new RpcError('invalid', `timeout_ms ${timeout_ms}, expected 1 to ${mesh_limits.max_call_timeout_ms}`),
      );
    }
    if (this.#ended !== null)
      return Promise.reject(new RpcError('unreachable', `${this.#peer}: ${this.#ended}`));
    if (signal?.aborted)
      return Promise.reject(new RpcError('canceled', `${method} was canceled before it was sent`));
    if (this.#pending.size >= mesh_limits.max_calls) {
      return Promise.reject(
        new RpcError('busy', `${this.#peer} has ${this.#pending.size} calls in flight, no more are allowed`),
      );
    }
    const id = this.#next_id++;
    let frame: Uint8Array;
    try {
      frame = encodeRpcFrame({ kind: 'request', id, method, params });
    } catch (error) {
      return Promise.reject(
        new RpcError('invalid', `parameters of ${method} cannot be encoded: ${errorText(error)}`),
      );
    }
    if (frame.byteLength > mesh_limits.max_frame_bytes) {
      return Promise.reject(
        new RpcError(
          'too-large',
          `${method} has ${frame.byteLength} bytes of parameters, at most ${mesh_limits.max_frame_bytes} are allowed`,
        ),
      );
    }
    if (!this.#send(frame))
      return Promise.reject(new RpcError('busy', `${this.#peer}: the queue of unsent calls is full`));
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#env.after(timeout_ms, () =>
        this.#abandon(id, 'timeout', `no answer in ${timeout_ms} ms`),
      );
      const onAbort = () => this.#abandon(id, 'canceled', 'canceled by the caller');
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        method,
        onNote: options.onNote,
        settle: (error, result) => {
          this.#pending.delete(id);
          cancelTimer();
          signal?.removeEventListener('abort', onAbort);
          if (error === null) resolve(result);
          else reject(error);
        },
      });
    });
  }

  /** An answer to a call that is no longer waited for is dropped. */
  onAnswer(id: number, result: unknown): void {
    this.#pending.get(id)?.settle(null, result);
  }

  onError(id: number, code: string, message: string, data: unknown): void {
    this.#pending.get(id)?.settle(new RpcError(code, message, data ?? null), undefined);
  }

  onNote(id: number, note: unknown): void {
    const pending = this.#pending.get(id);
    if (pending?.onNote === undefined) return;
    try {
      pending.onNote(note);
    } catch (error) {
      // The listener's fault must not cost the connection.
      this.#env.log('error', 'a note listener failed', { method: pending.method, error: errorText(error) });
    }
  }

  /** The connection is gone: what is in flight has an unknown outcome. */
  end(reason: string): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    for (const pending of [...this.#pending.values()]) {
      pending.settle(
        new RpcError('broken', `${pending.method} on ${this.#peer}: ${reason} before the answer`),
        undefined,
      );
    }
  }

  #abandon(id: number, code: 'timeout' | 'canceled', why: string): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    pending.settle(new RpcError(code, `${pending.method} on ${this.#peer}: ${why}`), undefined);
    // If the queue is full the handler goes on to its end; its answer will be dropped.
    this.#send(encodeRpcFrame({ kind: 'cancel', id }));
  }
}
