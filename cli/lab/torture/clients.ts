/**
 * Clients that read and change registers through the agents' API, many operations at a time, over one connection to each
 * agent. Every operation ends in the history, with the outcome that the API promised and nothing better: what may have
 * reached an agent and was not answered for sure is `unknown`.
 */
import { ApiCallError, type ApiClient, connectApi } from '../../../src/node/api-client.ts';
import type { LabNode } from '../lab.ts';
import type { Pause } from './nemesis.ts';
import type { HistoryRecord, Outcome } from './oracle.ts';
import {
  casCommand,
  initial_value,
  osKey,
  type Register,
  readParams,
  tagKey,
  valuesOf,
  writeCommand,
} from './registers.ts';

/** An agent takes 64 calls on one connection; a client stays far below. */
export const in_flight = 8;
/** Beyond this a client gives up; the agent may still be at it. */
const call_timeout_ms = 5_000;
const connect_timeout_ms = 1_000;
/** A client that fled from an agent comes back to its own after so many operations. */
const home_every = 200;

const write_share = 0.6;
const cas_share = 0.25;

/** What all clients of a run share. */
export interface RunContext {
  readonly nodes: readonly LabNode[];
  readonly registers: readonly Register[];
  readonly random: () => number;
  readonly now_us: () => number;
  readonly pause: Pause;
  readonly ended: () => boolean;
  readonly record: (record: HistoryRecord) => void;
  readonly onError: (code: string) => void;
  /** The same value is never given twice. */
  readonly nextValue: () => number;
  /** A number that no client has had. */
  readonly nextClient: () => number;
  /** What the tag of a register was last seen to be: a guess for the next compare-and-set. */
  readonly seen: Map<Register, number>;
}

/** Codes of the API that promise that nothing was done (docs of each: src/node/leader-client.ts, api-server.ts). */
const not_done: ReadonlySet<string> = new Set(['no-quorum', 'no-cluster', 'refused']);

/** A client's connections, one for each agent, made when needed and dropped when they are of no more use. */
class Connections {
  readonly #by_node = new Map<LabNode, Promise<ApiClient>>();

  get(node: LabNode): Promise<ApiClient> {
    const known = this.#by_node.get(node);
    if (known) return known;
    const made = connectApi(node.socket, connect_timeout_ms);
    this.#by_node.set(node, made);
    return made;
  }

  /** Closes it, unless it has been replaced already; other calls on it end with outcome unknown. */
  drop(node: LabNode, connection: Promise<ApiClient>): void {
    if (this.#by_node.get(node) !== connection) return;
    this.#by_node.delete(node);
    closeWhenOpen(connection);
  }

  closeAll(): void {
    for (const connection of this.#by_node.values()) closeWhenOpen(connection);
    this.#by_node.clear();
  }
}

function closeWhenOpen(connection: Promise<ApiClient>): void {
  connection.then(
    (client) => client.close(),
    // It was never made, which whoever waited for it was told.
    () => undefined,
  );
}

type Answer =
  | { readonly outcome: 'ok'; readonly value: unknown }
  | { readonly outcome: Exclude<Outcome, 'ok'> | 'refused' };

/** Runs {@link in_flight} operations at a time until the run ends and all have been answered or given up. */
export async function runClient(context: RunContext, index: number): Promise<void> {
  const connections = new Connections();
  try {
    await Promise.all(Array.from({ length: in_flight }, () => lane(context, connections, index)));
  } finally {
    connections.closeAll();
  }
}

async function lane(context: RunContext, connections: Connections, index: number): Promise<void> {
  const { nodes, random } = context;
  let client = context.nextClient();
  let at = index;
  for (let count = 1; !context.ended(); count++) {
    if (count % home_every === 0) at = index;
    const outcome = await operate(context, connections, client, nodes[at % nodes.length]!);
    if (outcome === 'ok') continue;
    if (outcome === 'unknown') client = context.nextClient();
    at++;
    await context.pause(20 + 80 * random());
  }
}

async function operate(
  context: RunContext,
  connections: Connections,
  client: number,
  node: LabNode,
): Promise<Outcome> {
  const { random, registers, seen } = context;
  const register = registers[Math.floor(random() * registers.length)]!;
  const chance = random();
  const call_us = context.now_us();
  const time = Date.now() / 1000;
  const common = { client, call_us };

  if (chance < write_share) {
    const value = context.nextValue();
    const answer = await change(context, connections, node, writeCommand(register, value, time));
    const outcome = answer.outcome === 'refused' ? 'fail' : answer.outcome;
    context.record({ ...common, op: 'write', key: osKey(register), value, ...ending(context, outcome) });
    return outcome;
  }
  if (chance < write_share + cas_share) {
    const value = context.nextValue();
    const expected = seen.get(register) ?? initial_value;
    const answer = await change(context, connections, node, casCommand(register, expected, value, time));
    const done = answer.outcome === 'ok';
    if (done) seen.set(register, value);
    const outcome = answer.outcome === 'refused' ? 'ok' : answer.outcome;
    const cas = { ...common, op: 'cas', key: tagKey(register), value, expected } as const;
    context.record({ ...cas, ...(outcome === 'ok' ? { result: done } : {}), ...ending(context, outcome) });
    // What was expected is not there: see what is.
    return outcome === 'ok' && !done ? read(context, connections, client, node, register) : outcome;
  }
  return read(context, connections, client, node, register);
}

function ending(context: RunContext, outcome: Outcome): Pick<HistoryRecord, 'return_us' | 'outcome'> {
  return { return_us: outcome === 'unknown' ? null : context.now_us(), outcome };
}

async function read(
  context: RunContext,
  connections: Connections,
  client: number,
  node: LabNode,
  register: Register,
): Promise<Outcome> {
  const call_us = context.now_us();
  const answer = await call(context, connections, node, (api) =>
    api.call('query', readParams(register), { timeout_ms: call_timeout_ms }),
  );
  const both = { client, op: 'read', call_us } as const;
  if (answer.outcome !== 'ok') {
    // A read has no effect, whatever became of it.
    for (const key of [osKey(register), tagKey(register)])
      context.record({ ...both, key, return_us: context.now_us(), outcome: 'fail' });
    return 'fail';
  }
  const { rows } = answer.value as { readonly rows: readonly Record<string, unknown>[] };
  const { os, tag } = valuesOf(rows[0]!);
  if (typeof tag === 'number') context.seen.set(register, tag);
  const end = ending(context, 'ok');
  context.record({ ...both, key: osKey(register), result: os, ...end });
  context.record({ ...both, key: tagKey(register), result: tag, ...end });
  return 'ok';
}

/** One read of a register through `node`, recorded; asked again until it is answered or the time is over. */
export async function readSurely(context: RunContext, node: LabNode, register: Register): Promise<void> {
  const connections = new Connections();
  const deadline_us = context.now_us() + 60_000_000;
  try {
    const client = context.nextClient();
    while ((await read(context, connections, client, node, register)) !== 'ok') {
      if (context.now_us() > deadline_us)
        throw new Error(`${node.name} answers no reads 60 s after all was healed`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    connections.closeAll();
  }
}

function change(
  context: RunContext,
  connections: Connections,
  node: LabNode,
  command: ReturnType<typeof writeCommand>,
): Promise<Answer> {
  return call(context, connections, node, (api) =>
    api.call('test.propose', { command }, { timeout_ms: call_timeout_ms }),
  );
}

async function call(
  context: RunContext,
  connections: Connections,
  node: LabNode,
  act: (api: ApiClient) => Promise<unknown>,
): Promise<Answer> {
  const connection = connections.get(node);
  let api: ApiClient;
  try {
    api = await connection;
  } catch (error) {
    if (!(error instanceof ApiCallError)) throw error;
    connections.drop(node, connection);
    context.onError('no connection');
    return { outcome: 'fail' };
  }
  try {
    return { outcome: 'ok', value: await act(api) };
  } catch (error) {
    if (!(error instanceof ApiCallError)) throw error;
    // The one refusal that the commands used here can meet: the tag to be replaced is not there.
    if (error.code === 'not-found') return { outcome: 'refused' };
    context.onError(error.code);
    if (not_done.has(error.code)) return { outcome: 'fail' };
    if (error.code === 'invalid' || error.code === 'exists')
      throw new Error(`${node.name} refuses an operation that it should take: ${error.message}`, {
        cause: error,
      });
    connections.drop(node, connection);
    return { outcome: 'unknown' };
  }
}
