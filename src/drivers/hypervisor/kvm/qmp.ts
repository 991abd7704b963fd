/**
 * A client of QEMU's machine protocol: JSON lines over a unix socket. Guarantees that every command is answered,
 * refused or timed out, and that a peer that talks nonsense is hung up on. QEMU serves one client at a time, so
 * connections are short. It never sends `quit`: on a stalled disk that hangs the whole of QEMU.
 */
import { connect } from 'node:net';
import { DriverError } from '../../types.ts';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface QmpClient {
  /** What QEMU said of itself first. */
  readonly greeting: Readonly<Record<string, unknown>>;
  /** Rejects with `failed` (QEMU refused, or the connection broke) or `timeout` (it may still be carried out). */
  execute(command: string, args?: Readonly<Record<string, unknown>>, timeout_ms?: number): Promise<unknown>;
  onEvent(handler: (event: QmpEvent) => void): () => void;
  /** The next event of that name; rejects when it does not come in time or the connection breaks. */
  waitEvent(name: string, timeout_ms: number): Promise<QmpEvent>;
  /** Resolves with the reason once the connection is gone. */
  readonly closed: Promise<string>;
  close(): void;
}

interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  readonly command: string;
}

const default_timeout_ms = 5_000;
const max_line_bytes = 4 << 20;

type Message = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Connects, reads the greeting and leaves negotiation mode, all within `timeout_ms`. */
export async function connectQmp(path: string, options: { readonly timeout_ms: number }): Promise<QmpClient> {
  const socket = connect(path);
  const waiters = new Map<number, Waiter>();
  const handlers = new Set<(event: QmpEvent) => void>();
  let next_id = 1;
  let buffer = '';
  let ended: string | null = null;
  let onGreeting: (greeting: Message) => void = () => undefined;
  let onEnd: (reason: string) => void = () => undefined;
  const closed = new Promise<string>((resolve) => {
    onEnd = resolve;
  });

  function end(reason: string): void {
    if (ended !== null) return;
    ended = reason;
    socket.destroy();
    for (const waiter of waiters.values()) {
      clearTimeout(waiter.timer);
      waiter.reject(new DriverError('failed', `QMP ${waiter.command} on ${path}: ${reason}`));
    }
    waiters.clear();
    onEnd(reason);
  }

  function receive(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      return void end(`peer sent something that is not JSON: ${JSON.stringify(line.slice(0, 80))}`);
    }
    if (!isObject(message))
      return void end(`peer sent ${JSON.stringify(line.slice(0, 80))}, expected an object`);
    if (isObject(message.QMP)) return void onGreeting(message.QMP);
    if (typeof message.event === 'string') {
      const event = { event: message.event, data: isObject(message.data) ? message.data : {} };
      for (const handler of [...handlers]) handler(event);
      return;
    }
    const waiter = waiters.get(message.id as number);
    if (waiter === undefined) return; // The answer to a command that we gave up waiting for.
    waiters.delete(message.id as number);
    clearTimeout(waiter.timer);
    if (isObject(message.error)) {
      const { class: kind, desc } = message.error;
      waiter.reject(
        new DriverError('failed', `QMP ${waiter.command} was refused: ${String(kind)}: ${String(desc)}`),
      );
    } else {
      waiter.resolve(message.return);
    }
  }

  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    buffer += chunk;
    for (let at = buffer.indexOf('\n'); at !== -1 && ended === null; at = buffer.indexOf('\n')) {
      const line = buffer.slice(0, at).trim();
      buffer = buffer.slice(at + 1);
      if (line !== '') receive(line);
    }
    if (buffer.length > max_line_bytes) end(`peer sent a line of more than ${max_line_bytes} bytes`);
  });
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('connection closed'));

  function execute(command: string, args?: Message, timeout_ms = default_timeout_ms): Promise<unknown> {
    if (ended !== null)
      return Promise.reject(new DriverError('failed', `QMP ${command} on ${path}: ${ended}`));
    const id = next_id++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiters.delete(id);
        reject(
          new DriverError('timeout', `QMP ${command} on ${path} was not answered within ${timeout_ms} ms`),
        );
      }, timeout_ms);
      waiters.set(id, { resolve, reject, timer, command });
      socket.write(
        `${JSON.stringify(args === undefined ? { execute: command, id } : { execute: command, arguments: args, id })}\n`,
      );
    });
  }

  const begun_ms = Date.now();
  const greeting = await greet(path, options.timeout_ms, closed, (handler) => {
    onGreeting = handler;
  }).catch((error: unknown) => {
    end('no greeting');
    throw error;
  });
  try {
    await execute('qmp_capabilities', undefined, Math.max(1, options.timeout_ms - (Date.now() - begun_ms)));
  } catch (error) {
    end('negotiation failed');
    throw error;
  }

  return {
    greeting,
    execute,
    closed,
    close: () => end('closed by us'),
    onEvent(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    waitEvent(name, timeout_ms) {
      return new Promise((resolve, reject) => {
        const settle = (fn: () => void): void => {
          clearTimeout(timer);
          handlers.delete(handler);
          fn();
        };
        const handler = (event: QmpEvent): void => {
          if (event.event === name) settle(() => resolve(event));
        };
        const timer = setTimeout(
          () =>
            settle(() =>
              reject(
                new DriverError(
                  'timeout',
                  `QMP event ${name} did not come on ${path} within ${timeout_ms} ms`,
                ),
              ),
            ),
          timeout_ms,
        );
        handlers.add(handler);
        void closed.then((reason) =>
          settle(() => reject(new DriverError('failed', `QMP event ${name} on ${path}: ${reason}`))),
        );
      });
    },
  };
}

function greet(
  path: string,
  timeout_ms: number,
  closed: Promise<string>,
  listen: (handler: (greeting: Message) => void) => void,
): Promise<Message> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const hint = 'QEMU may hang, or another client may hold its monitor';
      reject(new DriverError('timeout', `no QMP greeting on ${path} within ${timeout_ms} ms`, hint));
    }, timeout_ms);
    listen((greeting) => {
      clearTimeout(timer);
      resolve(greeting);
    });
    void closed.then((reason) => {
      clearTimeout(timer);
      reject(new DriverError('failed', `QMP on ${path}: ${reason}`));
    });
  });
}
