/** A stand-in for an agent's API in tests: scripted answers over a real unix socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { runCommandLine } from './command-line.ts';
import type { Terminal } from './terminal.ts';

export interface FakeRequest {
  readonly method: string;
  readonly params: Record<string, unknown>;
  /** Sends an event line. */
  event(event: unknown): void;
  /** Ends the connection without an answer. */
  drop(): void;
  readonly socket: Socket;
}

/** Thrown by a handler: the error sent. */
export class FakeError extends Error {
  readonly code: string;
  readonly next: string;
  constructor(code: string, message: string, next = '') {
    super(message);
    this.code = code;
    this.next = next;
  }
}

/** Answers of a handler that are none. */
export const no_answer = Symbol('no answer');

export type FakeHandler = (request: FakeRequest) => unknown;

export interface FakeAgent {
  readonly socket: string;
  readonly dir: string;
  /** Every request so far. */
  readonly requests: { method: string; params: Record<string, unknown> }[];
  handle(method: string, handler: FakeHandler): void;
  close(): Promise<void>;
}

export async function startFakeAgent(): Promise<FakeAgent> {
  const dir = mkdtempSync(join(tmpdir(), 'skein-cli-'));
  const socket_path = join(dir, 'api.sock');
  const handlers = new Map<string, FakeHandler>();
  const requests: FakeAgent['requests'] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let text = '';
    let raw = false;
    socket.on('data', (chunk: Buffer) => {
      if (raw) return;
      text += chunk.toString('utf8');
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
        const line = text.slice(0, at);
        text = text.slice(at + 1);
        const { id, method, params } = JSON.parse(line) as {
          id: number;
          method: string;
          params: Record<string, unknown>;
        };
        requests.push({ method, params });
        const send = (body: object): unknown => socket.write(`${JSON.stringify({ id, ...body })}\n`);
        const request: FakeRequest = {
          method,
          params,
          event: (event) => send({ event }),
          drop: () => socket.destroy(),
          socket,
        };
        try {
          const handler = handlers.get(method);
          if (!handler) throw new FakeError('invalid', `unknown method ${method}`);
          const result = handler(request);
          if (result !== no_answer) send({ result });
          raw = method === 'instance.console' && params.attach === true;
        } catch (error) {
          const { code = 'internal', message, next = '' } = error as FakeError;
          send({ error: { code, message, next } });
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socket_path, resolve));
  return {
    socket: socket_path,
    dir,
    requests,
    handle: (method, handler) => handlers.set(method, handler),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A query handler over fixed rows by resource, as strict about names as the agent. */
export function rowsHandler(
  tables: Readonly<Record<string, readonly Record<string, unknown>[]>>,
): FakeHandler {
  return ({ params }) => {
    const names = (params.names ?? []) as string[];
    const rows = tables[String(params.resource)] ?? [];
    const known = (name: string) => rows.filter((row) => [row.name, row.uuid, String(row.id)].includes(name));
    const missing = names.find((name) => known(name).length === 0);
    if (missing)
      throw new FakeError(
        'not-found',
        `${params.resource} "${missing}" does not exist`,
        `skein ${params.resource} list`,
      );
    return {
      rows: names.length === 0 ? rows : names.flatMap(known),
      stale_ms: params.stale ? 1_500 : null,
      index: 7,
    };
  };
}

export interface RunOptions {
  readonly tty?: boolean;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly columns?: number;
  /** Gets the function that presses Ctrl-C. */
  readonly onStart?: (interrupt: () => void, terminal: { readonly err: () => string }) => void;
}

export interface RunResult {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the whole command line in this process against a socket. */
export async function runCli(
  socket: string | null,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const out: Buffer[] = [];
  let err = '';
  const interrupts = new Set<() => void>();
  const stdin = new PassThrough();
  if (options.input !== undefined) stdin.write(options.input);
  const terminal: Terminal = {
    out: (text) => out.push(Buffer.from(text)),
    err: (text) => {
      err += text;
    },
    stdin,
    stdin_is_tty: options.tty === true,
    out_is_tty: options.tty === true,
    err_is_tty: options.tty === true,
    columns: options.columns ?? 80,
    env: options.env ?? {},
    cwd: options.cwd ?? tmpdir(),
    now_ms: () => 1_700_000_000_000,
    onInterrupt: (handler) => {
      interrupts.add(handler);
      return () => interrupts.delete(handler);
    },
  };
  options.onStart?.(
    () => {
      for (const handler of interrupts) handler();
    },
    { err: () => err },
  );
  const status = await runCommandLine(socket === null ? argv : ['--socket', socket, ...argv], terminal);
  stdin.destroy();
  return { status, out: Buffer.concat(out).toString('utf8'), err };
}

/** A job object as the agent sends it. */
export function fakeJob(
  id: number,
  status: string,
  op: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id,
    request_id: 'r',
    status,
    depends: [],
    locks: [],
    cancel_requested: false,
    received_timestamp: 1,
    start_timestamp: null,
    end_timestamp: null,
    reason: [],
    ops: [
      {
        input: { OP_ID: 'OP_INSTANCE_STARTUP', instance_name: 'web1' },
        version: 1,
        status,
        result: null,
        log: [],
        priority: 0,
        start_timestamp: null,
        exec_timestamp: null,
        end_timestamp: null,
        ...op,
      },
    ],
  };
}
