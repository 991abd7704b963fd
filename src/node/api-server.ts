/**
 * The local API: JSON lines over a unix socket of mode 0600. It parses, bounds and answers; what methods mean is in
 * api-methods.ts. A client that sends garbage loses its connection and nothing else.
 */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { ApiError } from './api-types.ts';
import { type FlowStream, pipeStreams } from './flow.ts';
import type { Env } from './real-env.ts';
import { socketStream } from './socket-stream.ts';

/** One request line at most. */
const max_line_bytes = 1024 * 1024;
const too_long = `a request line may have ${max_line_bytes} bytes at most`;
const max_connections = 512;
const max_calls_per_connection = 64;
/** A client that does not read is dropped when this much waits for it. */
const max_unread_bytes = 16 * 1024 * 1024;
/** Longest path of a unix socket that Linux takes. */
const max_socket_path_bytes = 107;

export class ApiFailure extends Error {
  readonly code: ApiError['code'];
  /** The command to try, or ''. */
  readonly next: string;
  constructor(code: ApiError['code'], message: string, next = '') {
    super(message);
    this.name = 'ApiFailure';
    this.code = code;
    this.next = next;
  }
}

export interface ApiContext {
  readonly signal: AbortSignal;
  event(event: unknown): void;
  /** After the result has been sent, the connection becomes this stream. */
  upgrade(stream: FlowStream): void;
}

export type ApiHandler = (params: Record<string, unknown>, ctx: ApiContext) => Promise<unknown>;

export interface ApiServer {
  close(): Promise<void>;
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiFailure) return { code: error.code, message: error.message, next: error.next };
  if (!(error instanceof Error)) return { code: 'internal', message: String(error), next: '' };
  const { code, message } = error as Error & { code?: string };
  switch (code) {
    case 'no-quorum':
    case 'not-leader':
      return {
        code: 'no-quorum',
        message,
        next: 'skein status to see who is missing, or a list with --stale for what this node has',
      };
    case 'unknown-outcome':
    case 'lost':
      return { code: 'unknown-outcome', message, next: 'skein job list' };
    case 'not-found':
      return { code: 'not-found', message, next: '' };
    case 'exists':
      return { code: 'exists', message, next: '' };
    case 'invalid':
      return { code: 'invalid', message, next: '' };
    case 'denied':
    case 'in-use':
    case 'stale':
    case 'full':
    case 'busy':
    case 'config-refused':
      return { code: 'refused', message, next: '' };
    case 'no-cluster':
      return { code: 'no-cluster', message, next: 'skein cluster init' };
    case 'timeout':
      return { code: 'timeout', message, next: 'skein status' };
    case 'unreachable':
    case 'broken':
    case 'closed':
      return { code: 'unavailable', message, next: 'skein status' };
    default:
      return { code: 'internal', message, next: '' };
  }
}

interface Request {
  readonly id: number | string;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

function parseRequest(line: string): Request {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('a request is an object');
  const { id, method, params } = value as Record<string, unknown>;
  if (typeof id !== 'number' && typeof id !== 'string')
    throw new Error('a request has an id, a number or a string');
  if (typeof method !== 'string') throw new Error('a request has a method, a string');
  if (params !== undefined && (typeof params !== 'object' || params === null || Array.isArray(params))) {
    throw new Error('params is an object');
  }
  return { id, method, params: (params ?? {}) as Record<string, unknown> };
}

/** Serves one connection until it closes or is upgraded to a raw stream. */
function serveConnection(
  socket: Socket,
  methods: ReadonlyMap<string, ApiHandler>,
  env: Pick<Env, 'log'>,
): void {
  const calls = new Map<number | string, AbortController>();
  /** What came after the last whole line. Kept as bytes: a character may be cut in two on the way. */
  let rest: Buffer = Buffer.alloc(0);
  let mode: 'lines' | 'raw' | 'closing' = 'lines';

  const send = (value: unknown) => {
    if (socket.destroyed || socket.writableEnded || mode === 'raw') return;
    socket.write(`${JSON.stringify(value)}\n`);
    if (socket.writableLength > max_unread_bytes) socket.destroy();
  };
  const refuse = (id: number | string | null, message: string) =>
    send({ id, error: { code: 'invalid', message, next: '' } satisfies ApiError });

  /** The answer so far still leaves; nothing more is taken. */
  function hangUp(message: string): void {
    refuse(null, message);
    mode = 'closing';
    rest = Buffer.alloc(0);
    socket.destroySoon();
  }

  async function serve(request: Request): Promise<void> {
    const handler = methods.get(request.method);
    if (!handler) return refuse(request.id, `unknown method ${JSON.stringify(request.method.slice(0, 64))}`);
    if (calls.has(request.id)) return refuse(request.id, `id ${JSON.stringify(request.id)} is in use`);
    if (calls.size >= max_calls_per_connection)
      return refuse(request.id, `more than ${max_calls_per_connection} calls at a time`);
    const abort = new AbortController();
    calls.set(request.id, abort);
    let stream: FlowStream | null = null;
    try {
      const result = await handler(request.params, {
        signal: abort.signal,
        event: (event) => send({ id: request.id, event }),
        upgrade: (upgrade) => {
          stream = upgrade;
        },
      });
      send({ id: request.id, result: result ?? null });
      if (stream) join(stream);
      stream = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      const api_error = toApiError(error);
      if (api_error.code === 'internal') {
        env.log('warn', 'an API call failed', {
          method: request.method,
          error: error instanceof Error ? error.stack : String(error),
        });
      }
      send({ id: request.id, error: api_error });
    } finally {
      // Given to us, and not passed on: nobody else closes it.
      (stream as FlowStream | null)?.close();
      calls.delete(request.id);
    }
  }

  function join(stream: FlowStream): void {
    if (socket.destroyed || mode !== 'lines') {
      stream.close();
      return;
    }
    mode = 'raw';
    const early = rest;
    rest = Buffer.alloc(0);
    if (early.length > 0) stream.write(early);
    const client = socketStream(socket, max_unread_bytes);
    // What the stream still has to say must reach the client before its end does.
    pipeStreams({ ...client, close: () => socket.end() }, stream);
  }

  socket.on('data', (bytes: Buffer) => {
    if (mode !== 'lines') return;
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(10); end >= 0 && mode === 'lines'; end = rest.indexOf(10)) {
      if (end > max_line_bytes) return hangUp(too_long);
      const line = rest.toString('utf8', 0, end);
      rest = rest.subarray(end + 1);
      if (line.trim() === '') continue;
      let request: Request;
      try {
        request = parseRequest(line);
      } catch (error) {
        return hangUp(`not a request: ${(error as Error).message}`);
      }
      void serve(request);
    }
    if (mode === 'lines' && rest.length > max_line_bytes) hangUp(too_long);
  });
  socket.on('close', () => {
    for (const abort of calls.values()) abort.abort();
  });
  socket.on('error', (error) => env.log('debug', 'API connection', { error: error.message }));
}

/** Listens at `path`, replacing a socket that a former agent left. Refuses a path that is too long for a socket. */
export async function startApiServer(
  path: string,
  methods: ReadonlyMap<string, ApiHandler>,
  env: Pick<Env, 'log'>,
): Promise<ApiServer> {
  if (Buffer.byteLength(path) > max_socket_path_bytes) {
    throw new Error(
      `the API socket's path is ${Buffer.byteLength(path)} bytes long, ${max_socket_path_bytes} are possible: ${path}`,
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serveConnection(socket, methods, env);
  });
  server.maxConnections = max_connections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // Later errors (no descriptors left, say) cost the connection concerned, not the agent.
  server.on('error', (error) => env.log('error', 'the API socket', { error: error.message }));
  await chmod(path, 0o600);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
