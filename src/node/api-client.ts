/**
 * The client's end of the agent's unix-socket API (api-types.ts), for the CLI, the lab and tests. It needs nothing
 * but node:net, since its load time is part of every command. A request that may have reached the agent without an
 * answer ends with `unknown-outcome`, never with a guess.
 */
import { connect, type Socket } from 'node:net';
import type { ApiError, ApiMethods } from './api-types.ts';
import type { ByteStream } from './mesh-types.ts';

/** Longest line an agent may send; beyond it the connection is ended instead of memory. */
const max_line_bytes = 256 * 1024 * 1024;

/** An error of the API, or of the way to it (`unavailable`, `timeout`, `unknown-outcome`). */
export class ApiCallError extends Error {
  readonly code: ApiError['code'];
  readonly next: string;
  constructor(code: ApiError['code'], message: string, next: string) {
    super(message);
    this.name = 'ApiCallError';
    this.code = code;
    this.next = next;
  }
}

export interface CallOptions {
  /** Until the final answer; null for streams that end when they end. Default 60,000. */
  readonly timeout_ms?: number | null;
  /** Gets what a streaming method sends before its result. */
  readonly onEvent?: (event: unknown) => void;
}

export interface ApiClient {
  /** Calls a method. Rejects with {@link ApiCallError}. Calls may overlap. */
  call<M extends keyof ApiMethods>(
    method: M,
    params: ApiMethods[M]['params'],
    options?: CallOptions,
  ): Promise<ApiMethods[M]['result']>;
  /** Attaches to a guest's console: afterwards the connection is the byte stream and takes no more calls. */
  attachConsole(
    instance: string,
    timeout_ms: number,
  ): Promise<{ readonly result: ApiMethods['instance.console']['result']; readonly stream: ByteStream }>;
  /** Ends the connection; calls that wait end with `unknown-outcome`. */
  close(): void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: ((event: unknown) => void) | undefined;
  readonly timer: NodeJS.Timeout | null;
  readonly raw: boolean;
}

interface Line {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: ApiError;
  readonly event?: unknown;
}

const agent_hint = 'skein lab status, or on an installed host: systemctl status skeind';

/** Connects to an agent. Rejects with `unavailable` naming the socket. */
export function connectApi(socket_path: string, timeout_ms = 5_000): Promise<ApiClient> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socket_path });
    const fail = (why: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ApiCallError('unavailable', `no agent answers on ${socket_path}: ${why}`, agent_hint));
    };
    const timer = setTimeout(() => fail(`no connection within ${timeout_ms} ms`), timeout_ms);
    const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message);
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeListener('error', onError);
      resolve(createClient(socket, socket_path));
    });
  });
}

function createClient(socket: Socket, socket_path: string): ApiClient {
  const pending = new Map<number, Pending>();
  const decoder = new LineDecoder();
  let next_id = 1;
  let ended: string | null = null;
  let raw: RawStream | null = null;

  const settle = (id: number): Pending | undefined => {
    const call = pending.get(id);
    pending.delete(id);
    if (call?.timer) clearTimeout(call.timer);
    return call;
  };

  const end = (why: string): void => {
    if (ended !== null) return;
    ended = why;
    raw?.finish();
    for (const id of [...pending.keys()]) {
      const text = `the connection to the agent on ${socket_path} ended before the answer (${why})`;
      settle(id)?.reject(new ApiCallError('unknown-outcome', text, 'the same command again'));
    }
    socket.destroy();
  };

  const onLine = (text: string): void => {
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      end(`not JSON: ${text.slice(0, 60)}`);
      return;
    }
    const call = pending.get(line.id ?? 0);
    // An answer that comes after its call timed out has nobody waiting: nothing to do.
    if (!call) return;
    if ('event' in line) {
      call.onEvent?.(line.event);
      return;
    }
    settle(line.id ?? 0);
    if (line.error) {
      const { code, message, next } = line.error;
      call.reject(new ApiCallError(code, message, next ?? ''));
      return;
    }
    if (call.raw && isAttached(line.result)) {
      raw = new RawStream(socket);
      raw.push(decoder.rest());
      call.resolve({ result: line.result, stream: raw });
      return;
    }
    call.resolve(call.raw ? { result: line.result, stream: null } : line.result);
  };

  socket.on('data', (chunk: Buffer) => {
    if (raw) {
      raw.push(chunk);
      return;
    }
    if (!decoder.push(chunk)) {
      end(`a line longer than ${max_line_bytes} bytes`);
      return;
    }
    for (let line = decoder.next(); line !== null && ended === null; line = decoder.next()) {
      onLine(line);
      if (raw) return;
    }
  });
  socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  socket.on('close', () => end('closed'));

  const send = (method: string, params: unknown, options: CallOptions, is_raw: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (ended !== null || raw !== null) {
        reject(new ApiCallError('unavailable', `the connection to ${socket_path} has ended`, agent_hint));
        return;
      }
      const id = next_id++;
      const timeout_ms = options.timeout_ms === undefined ? 60_000 : options.timeout_ms;
      const timer =
        timeout_ms === null
          ? null
          : setTimeout(() => {
              const text = `no answer to ${method} from the agent on ${socket_path} within ${timeout_ms} ms`;
              settle(id)?.reject(new ApiCallError('timeout', text, 'skein status'));
            }, timeout_ms);
      pending.set(id, { resolve, reject, onEvent: options.onEvent, timer, raw: is_raw });
      socket.write(`${JSON.stringify({ id, method, params })}\n`);
    });

  return {
    call: <M extends keyof ApiMethods>(
      method: M,
      params: ApiMethods[M]['params'],
      options: CallOptions = {},
    ) => send(method, params, options, false) as Promise<ApiMethods[M]['result']>,
    attachConsole: async (instance, timeout_ms) => {
      const answer = await send('instance.console', { instance, attach: true }, { timeout_ms }, true);
      const { result, stream } = answer as {
        result: ApiMethods['instance.console']['result'];
        stream: ByteStream | null;
      };
      if (!stream) {
        throw new ApiCallError(
          'refused',
          result.message || `${instance} has no console`,
          'skein instance info',
        );
      }
      return { result, stream };
    },
    close: () => end('closed by this side'),
  };
}

/** A guest without a console is answered too, with kind `none`; then nothing is attached. */
function isAttached(result: unknown): boolean {
  return typeof result === 'object' && result !== null && (result as { kind?: unknown }).kind !== 'none';
}

const newline = Buffer.from('\n');

/** Splits a byte stream into lines without ever copying what it has already seen. */
class LineDecoder {
  private chunks: Buffer[] = [];
  private bytes = 0;
  private lines: Buffer[] = [];

  /** False when the line under way is too long. */
  push(chunk: Buffer): boolean {
    let start = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      this.chunks.push(chunk.subarray(start, at));
      this.lines.push(Buffer.concat(this.chunks));
      this.chunks = [];
      this.bytes = 0;
      start = at + 1;
    }
    if (start < chunk.length) {
      this.chunks.push(chunk.subarray(start));
      this.bytes += chunk.length - start;
    }
    return this.bytes <= max_line_bytes;
  }

  next(): string | null {
    return this.lines.shift()?.toString('utf8') ?? null;
  }

  /** What follows the last taken line, as bytes. */
  rest(): Buffer {
    // Lines after the upgrade are the guest's own output, cut at its newlines: put them together again.
    const lines = this.lines.splice(0).flatMap((line) => [line, newline]);
    return Buffer.concat([...lines, ...this.chunks.splice(0)]);
  }
}

class RawStream implements ByteStream {
  private readonly socket: Socket;
  private data: ((bytes: Uint8Array) => void) | null = null;
  private closed: (() => void) | null = null;
  private waiting: Buffer[] = [];
  private finished = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.data) this.data(chunk);
    else this.waiting.push(chunk);
  }

  finish(): void {
    if (this.finished) return;
    this.finished = true;
    this.closed?.();
  }

  write(bytes: Uint8Array): void {
    if (!this.finished) this.socket.write(bytes);
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    this.data = handler;
    for (const chunk of this.waiting.splice(0)) handler(chunk);
  }

  onClose(handler: () => void): void {
    this.closed = handler;
    if (this.finished) handler();
  }

  close(): void {
    this.socket.end();
    this.finish();
  }
}
