/**
 * Both halves of the rpc layer on one connection, and the pings between them. Ends with its connection, so that an
 * answer can never meet a call of an earlier life.
 */
import type { ClusterGeneration, RpcHandler } from '../mesh-types.ts';
import type { MeshEnv } from './carrier.ts';
import { type CallOptions, RpcCalls } from './rpc-calls.ts';
import { decodeRpcFrame, encodeRpcFrame, first_generation, RpcFrameError } from './rpc-frame.ts';
import { RpcServe } from './rpc-serve.ts';

export interface RpcSessionParts {
  readonly env: MeshEnv;
  /** The other end: its member number (a joining host learns its own late), and its name in errors. */
  readonly member: () => number;
  readonly peer: string;
  readonly handlers: ReadonlyMap<string, RpcHandler>;
  /** Requests, notes, pings: false when the queue is full. */
  readonly send: (frame: Uint8Array) => boolean;
  /** Answers: cuts the peer off rather than losing one. */
  readonly answer: (frame: Uint8Array) => void;
  readonly onHello: (version: number, generation: number, cluster: ClusterGeneration) => void;
  /** The peer broke the protocol; the owner ends the connection. */
  readonly onBad: (reason: string) => void;
}

export class RpcSession {
  readonly #parts: RpcSessionParts;
  readonly #calls: RpcCalls;
  readonly #serve: RpcServe;
  #nonce = 0;
  #greeted = false;

  constructor(parts: RpcSessionParts) {
    this.#parts = parts;
    this.#calls = new RpcCalls(parts.env, parts.peer, parts.send);
    this.#serve = new RpcServe(parts.env, parts.member, parts.handlers, parts.answer, parts.send);
  }

  get in_flight(): number {
    return this.#calls.in_flight;
  }

  /** Always the first frame of each side. */
  hello(version: number, generation: number, cluster: ClusterGeneration): void {
    this.#parts.send(encodeRpcFrame({ kind: 'hello', version, generation, cluster }));
  }

  call(method: string, params: unknown, options: CallOptions): Promise<unknown> {
    return this.#calls.call(method, params, options);
  }

  ping(): void {
    this.#parts.send(encodeRpcFrame({ kind: 'ping', nonce: this.#nonce++ }));
  }

  onFrame(bytes: Uint8Array): void {
    try {
      this.#dispatch(bytes);
    } catch (error) {
      if (!(error instanceof RpcFrameError)) throw error;
      this.#parts.onBad(error.message);
    }
  }

  end(reason: string): void {
    this.#calls.end(reason);
    this.#serve.end();
  }

  #dispatch(bytes: Uint8Array): void {
    const frame = decodeRpcFrame(bytes);
    if (this.#greeted !== (frame.kind !== 'hello')) {
      throw new RpcFrameError(this.#greeted ? 'a second hello' : `${frame.kind} before hello`);
    }
    switch (frame.kind) {
      case 'hello':
        this.#greeted = true;
        this.#parts.onHello(frame.version, frame.generation, frame.cluster);
        return;
      case 'request':
        this.#serve.onRequest(frame.id, frame.method, frame.params);
        return;
      case 'answer':
        this.#calls.onAnswer(frame.id, frame.result);
        return;
      case 'error':
        this.#calls.onError(frame.id, frame.code, frame.message, frame.data);
        return;
      case 'note':
        this.#calls.onNote(frame.id, frame.note);
        return;
      case 'cancel':
        this.#serve.onCancel(frame.id);
        return;
      case 'ping':
        this.#parts.send(encodeRpcFrame({ kind: 'pong', nonce: frame.nonce }));
        return;
      case 'pong':
        return;
    }
  }
}

/** A session whose other end is itself: calls to the own member behave like all others, without the network. */
export function loopbackSession(
  env: MeshEnv,
  member: () => number,
  handlers: ReadonlyMap<string, RpcHandler>,
): RpcSession {
  const deliver = (frame: Uint8Array) => {
    queueMicrotask(() => session.onFrame(frame));
    return true;
  };
  const session: RpcSession = new RpcSession({
    env,
    member,
    peer: 'this node',
    handlers,
    send: deliver,
    answer: deliver,
    onHello: () => undefined,
    onBad: (reason) => {
      throw new Error(`invariant: own rpc frame is bad: ${reason}`);
    },
  });
  session.hello(0, 0, first_generation);
  return session;
}
