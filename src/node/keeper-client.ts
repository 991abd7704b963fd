/**
 * The agent's end of the pipe to its keeper. Guarantees: lines leave in the order of the calls, so that a spawn or a
 * lease is judged by what was known when it was asked for; every request ends, by an answer, its timeout or the
 * keeper's death. An agent whose keeper is gone must exit (`onClosed`): it may hold no lease.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { KeptProcess, MasterIpParams, ProcessKeeper, ProcessSpec } from '../drivers/types.ts';
import { DriverError } from '../drivers/types.ts';
import { encodeLine, LineReader } from './keeper/json-lines.ts';
import type { KeeperInput, KeeperOutput } from './keeper/protocol-more.ts';
import { keeper_protocol_version } from './keeper-protocol.ts';

export type Welcome = Extract<KeeperOutput, { type: 'welcome' }>;
export type Fenced = { readonly frozen: readonly string[]; readonly killed: readonly string[] };
type ExitHandler = Parameters<ProcessKeeper['onExit']>[0];
type Reply = Extract<KeeperOutput, { type: 'reply' }>;

export interface KeeperClient extends ProcessKeeper {
  readonly boot: number;
  readonly boot_id: string;
  readonly watchdog: Welcome['watchdog'];
  /** What ran when the keeper greeted us: the guests that an earlier agent of this boot left. */
  readonly processes_at_start: readonly KeptProcess[];
  /** Sent-at + L of the last granted renewal on the boot-time clock, and K. Lower only with `reset`. */
  setLease(deadline_ms: number, guard_slack_ms: number, reset: boolean): void;
  /** Resolves once it is durable and no release of the address is under way: only then may the address be started. 0: not master, address let go. */
  setMaster(deadline_ms: number, params: MasterIpParams | null): Promise<void>;
  /** For an address that `setMaster` has made ours. Nothing is waited for: a keeper that has let go of it meanwhile says so. */
  extendMaster(deadline_ms: number, params: MasterIpParams): void;
  /** `false` must have resolved before the guest is resumed: otherwise a frozen guest may wake without proof. */
  setPaused(name: string, proven: boolean): Promise<void>;
  onFenced(handler: (fenced: Fenced) => void): void;
  onThawed(handler: (names: readonly string[]) => void): void;
  /** The keeper let go of the master address by itself; if we still lead, it must be started again. */
  onMasterDropped(handler: (params: MasterIpParams, error: string) => void): void;
  /** The keeper is gone. The agent drops the master address and exits. */
  onClosed(handler: (reason: string) => void): void;
  close(): void;
}

export interface KeeperConnection {
  /** Descriptor inherited from the keeper, or (tests) a stream to one. */
  readonly stream: number | Duplex;
  readonly beat_ms?: number;
  readonly welcome_timeout_ms?: number;
}

const request_timeout_ms = 30_000;
/** A master release under way may run a hanging script for 30 s before it is cut short. */
const sync_timeout_ms = 70_000;
const max_requests = 4096;

/** Greets the keeper on the given descriptor (SKEIN_KEEPER_FD). @throws Error when it does not answer in time. */
export async function connectKeeper(connection: KeeperConnection): Promise<KeeperClient> {
  const { stream: end, beat_ms = 1000, welcome_timeout_ms = 10_000 } = connection;
  const stream = typeof end === 'number' ? new Socket({ fd: end, readable: true, writable: true }) : end;
  const pending = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void; timer: NodeJS.Timeout }
  >();
  const handlers = {
    exit: [] as ExitHandler[],
    fenced: [] as ((fenced: Fenced) => void)[],
    thawed: [] as ((names: readonly string[]) => void)[],
    dropped: [] as ((params: MasterIpParams, error: string) => void)[],
    closed: [] as ((reason: string) => void)[],
  };
  let next_id = 1;
  let closed_reason: string | null = null;
  let beat: NodeJS.Timeout | null = null;
  // What comes before somebody listens is kept: an exit that was missed would leave a guest believed running.
  const early: ((handler: ExitHandler) => void)[] = [];
  const greeted = Promise.withResolvers<Welcome>();

  function send(line: KeeperInput): void {
    if (closed_reason === null) stream.write(encodeLine(line));
  }

  function request(build: (id: number) => KeeperInput, timeout_ms: number): Promise<unknown> {
    if (closed_reason !== null) return Promise.reject(new DriverError('failed', closed_reason));
    if (pending.size >= max_requests)
      return Promise.reject(new DriverError('failed', `${max_requests} requests wait for the keeper`));
    const id = next_id++;
    const line = build(id);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        pending.delete(id);
        reject(new DriverError('timeout', `the keeper did not answer ${line.type} within ${timeout_ms} ms`));
      }, timeout_ms);
      pending.set(id, { resolve, reject, timer });
      send(line);
    });
  }

  function onReply(reply: Reply): void {
    const waiting = pending.get(reply.id);
    if (waiting === undefined) return;
    pending.delete(reply.id);
    clearTimeout(waiting.timer);
    if (reply.ok) waiting.resolve(reply.value);
    else waiting.reject(new DriverError('failed', reply.error));
  }

  function onLine(line: KeeperOutput): void {
    switch (line.type) {
      case 'welcome':
        greeted.resolve(line);
        return;
      case 'reply':
        onReply(line);
        return;
      case 'exit': {
        const deliver = (handler: ExitHandler) =>
          handler({
            name: line.name,
            tag: line.tag,
            code: line.code,
            signal: line.signal,
            log_tail: line.log_tail,
          });
        if (handlers.exit.length === 0) early.push(deliver);
        for (const handler of handlers.exit) deliver(handler);
        return;
      }
      case 'fenced':
        for (const handler of handlers.fenced) handler({ frozen: line.frozen, killed: line.killed });
        return;
      case 'thawed':
        for (const handler of handlers.thawed) handler(line.names);
        return;
      case 'master-dropped':
        for (const handler of handlers.dropped) handler(line.params, line.error);
        return;
    }
  }

  function shut(reason: string): void {
    if (closed_reason !== null) return;
    closed_reason = reason;
    if (beat !== null) clearInterval(beat);
    greeted.reject(new Error(reason));
    for (const { reject, timer } of pending.values()) {
      clearTimeout(timer);
      reject(new DriverError('failed', reason));
    }
    pending.clear();
    stream.destroy();
    for (const handler of handlers.closed) handler(reason);
  }

  const reader = new LineReader((line) => onLine(line as unknown as KeeperOutput));
  stream.on('data', (chunk: Uint8Array) => {
    try {
      reader.push(chunk);
    } catch (error) {
      shut(`the keeper sent what no keeper sends: ${(error as Error).message}`);
    }
  });
  stream.on('error', (error) => shut(`pipe to the keeper: ${error.message}`));
  stream.on('end', () => shut('the keeper is gone'));
  stream.on('close', () => shut('the keeper is gone'));

  const late = setTimeout(
    () => shut(`the keeper did not greet within ${welcome_timeout_ms} ms`),
    welcome_timeout_ms,
  );
  send({ type: 'hello', v: keeper_protocol_version, pid: process.pid });
  beat = setInterval(() => send({ type: 'beat' }), beat_ms);
  const welcome = await greeted.promise.finally(() => clearTimeout(late));
  if (welcome.v !== keeper_protocol_version) {
    shut(`the keeper speaks version ${welcome.v}, this agent ${keeper_protocol_version}`);
    throw new Error(
      `the keeper speaks version ${welcome.v}, this agent ${keeper_protocol_version}: restart skeind`,
    );
  }
  const sync = () => request((id) => ({ type: 'sync', id }), sync_timeout_ms).then(() => undefined);

  return {
    boot: welcome.boot,
    boot_id: welcome.boot_id,
    watchdog: welcome.watchdog,
    processes_at_start: welcome.processes,
    spawn: async (spec: ProcessSpec) =>
      (await request((id) => ({ type: 'spawn', id, spec }), request_timeout_ms)) as { readonly pid: number },
    kill: async (name, timeout_ms) => {
      await request((id) => ({ type: 'kill', id, name, timeout_ms }), timeout_ms + request_timeout_ms);
    },
    list: async () =>
      (await request((id) => ({ type: 'list', id }), request_timeout_ms)) as readonly KeptProcess[],
    onExit(handler) {
      handlers.exit.push(handler);
      for (const deliver of early.splice(0)) deliver(handler);
    },
    setLease: (deadline_ms, guard_slack_ms, reset) =>
      send({ type: 'lease', deadline_ms, guard_slack_ms, reset }),
    setMaster(deadline_ms, params) {
      send({ type: 'master', deadline_ms, params });
      return sync();
    },
    extendMaster: (deadline_ms, params) => send({ type: 'master', deadline_ms, params }),
    setPaused(name, proven) {
      send({ type: 'paused', name, proven });
      // Any answer shows that the line before it has taken effect; `sync` would also wait for the master address.
      return request((id) => ({ type: 'list', id }), request_timeout_ms).then(() => undefined);
    },
    onFenced: (handler) => void handlers.fenced.push(handler),
    onThawed: (handler) => void handlers.thawed.push(handler),
    onMasterDropped: (handler) => void handlers.dropped.push(handler),
    onClosed(handler) {
      handlers.closed.push(handler);
      if (closed_reason !== null) handler(closed_reason);
    },
    close: () => shut('closed by the agent'),
  };
}
