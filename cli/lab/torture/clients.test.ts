/** What a client writes down for each answer of an agent: only what the API promises. The agents here are stand-ins. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { LabNode } from '../lab.ts';
import { nodeLayout } from '../layout.ts';
import { in_flight, type RunContext, runClient } from './clients.ts';
import type { HistoryRecord } from './oracle.ts';

interface Request {
  readonly id: number;
  readonly method: string;
}

/** What the stand-in does with a request; null: it hangs up. */
type Reply = (request: Request) => object | null;

/** Runs a client against one stand-in until `enough` records are there; all that it wrote down. */
async function recordsOf(reply: Reply | null, enough: number): Promise<readonly HistoryRecord[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'skein-client-'));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    // The client may have hung up already.
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket }).on('line', (line) => {
      const request = JSON.parse(line) as Request;
      const answer = reply?.(request) ?? null;
      if (answer === null) socket.destroy();
      else if (!socket.destroyed) socket.write(`${JSON.stringify({ id: request.id, ...answer })}\n`);
    });
  });
  const socket = join(scratch, 'api.sock');
  try {
    if (reply !== null) await new Promise<void>((resolve) => server.listen(socket, resolve));
    const layout = { ...nodeLayout(scratch, 1, false), socket };
    const node: LabNode = { ...layout, call: () => Promise.reject(new Error('not used')) };
    const records: HistoryRecord[] = [];
    let now_us = 0;
    let last = 0;
    let turn = 0;
    const context: RunContext = {
      nodes: [node],
      registers: [{ name: 'r', uuid: 'u' }],
      // In turn low, middle and high: a write, a compare-and-set, a read.
      random: () => [0.1, 0.1, 0.1, 0.7, 0.1, 0.9][turn++ % 6]!,
      now_us: () => ++now_us,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      ended: () => records.length >= enough,
      record: (record) => records.push(record),
      onError: () => undefined,
      nextValue: () => ++last,
      nextClient: () => ++last,
      seen: new Map(),
    };
    await runClient(context, 0);
    return records;
  } finally {
    for (const open of sockets) open.destroy();
    if (reply !== null) await new Promise((resolve) => server.close(resolve));
    rmSync(scratch, { recursive: true });
  }
}

const row = { rows: [{ osparams: { v: '5' }, tags: ['v6'] }], stale_ms: null, index: 1 };
const good: Reply = ({ method }) => ({ result: method === 'query' ? row : null });
const error =
  (code: string): Reply =>
  () => ({ error: { code, message: 'said so', next: '' } });
const of = (records: readonly HistoryRecord[], op: string): readonly HistoryRecord[] => {
  const found = records.filter((record) => record.op === op);
  assert.ok(found.length > 0, `no ${op}`);
  return found;
};

test('answered: ok, with what was read', async () => {
  const records = await recordsOf(good, 60);
  for (const record of records) assert.equal(record.outcome, 'ok');
  for (const record of of(records, 'read')) assert.equal(record.result, record.key === 'r/os' ? 5 : 6);
  for (const record of of(records, 'cas')) assert.equal(record.result, true);
  const values = records.map(({ value }) => value).filter((value) => value !== undefined);
  assert.equal(new Set(values).size, values.length);
});

test('the tag is not there: a compare-and-set that was refused, for sure; a write cannot be', async () => {
  const records = await recordsOf(
    (request) => (request.method === 'query' ? good(request) : error('not-found')(request)),
    60,
  );
  for (const record of of(records, 'cas')) assert.deepEqual([record.outcome, record.result], ['ok', false]);
  for (const record of of(records, 'write')) assert.equal(record.outcome, 'fail');
});

for (const code of ['no-quorum', 'no-cluster', 'refused']) {
  test(`${code}: nothing was done`, async () => {
    for (const record of await recordsOf(error(code), 60)) assert.equal(record.outcome, 'fail');
  });
}

for (const code of ['unknown-outcome', 'timeout', 'unavailable', 'internal']) {
  test(`${code}: a change may have been made, a read has no effect; the client gets a new number`, async () => {
    const records = await recordsOf(error(code), 60);
    for (const record of [...of(records, 'write'), ...of(records, 'cas')])
      assert.deepEqual([record.outcome, record.return_us, record.result], ['unknown', null, undefined]);
    for (const record of of(records, 'read')) assert.equal(record.outcome, 'fail');
    const ended = new Set<number>();
    for (const { client, outcome } of records) {
      assert.ok(!ended.has(client), `client ${client} went on after an unknown outcome`);
      if (outcome === 'unknown') ended.add(client);
    }
  });
}

test('the agent dies with requests in its hands: unknown; it cannot be reached at all: nothing was done', async () => {
  for (const record of of(await recordsOf(() => null, 60), 'write')) assert.equal(record.outcome, 'unknown');
  for (const record of of(await recordsOf(null, 60), 'write')) assert.equal(record.outcome, 'fail');
});

test('a refusal that these commands cannot meet ends the run', async () => {
  await assert.rejects(recordsOf(error('invalid'), 60), /refuses an operation that it should take: said so/);
});

test(`${in_flight} operations at a time`, async () => {
  let most = 0;
  const records = await recordsOf(good, 100);
  const times = records.flatMap(({ call_us, return_us }) => [
    { at: call_us, by: 1 },
    { at: return_us!, by: -1 },
  ]);
  let open = 0;
  for (const { by } of times.sort((a, b) => a.at - b.at)) {
    open += by;
    most = Math.max(most, open);
  }
  assert.ok(most >= in_flight, `${most} at most`);
});
