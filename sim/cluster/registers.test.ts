/** What clients write down of the registers, for each answer of an agent; and that an agent which errs is found out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRecord, type HistoryRecord, parseRecord } from '../history/jsonl.ts';
import { Trace } from '../kit/trace.ts';
import { SimCluster } from './cluster.ts';
import { Registers } from './registers.ts';
import { runSeed } from './run-seed.ts';

const turn = (next: () => void) => void setImmediate(next);
const keys = ['os', 'tag/a', 'tag/b'];

type Params = Readonly<Record<string, unknown>>;
/** Stands before every agent: what it answers, or what `ask`, the agent itself, does. */
type Between = (
  ask: () => Promise<unknown>,
  method: string,
  params: Params,
  host: string,
) => Promise<unknown>;

/** Registers of a small cluster without faults, after 30 s; `between` from the first client on. */
async function ran(between: Between): Promise<Registers> {
  const habits = { sync_ms: 1, pipe_ms: 0.1, deaf_guests: 0, mute_monitors: 0, start_fails: 0 };
  const cluster = new SimCluster({
    seed: 5,
    nodes: 3,
    trace: new Trace(),
    turn,
    drift: 0,
    lease: 'default',
    candidate_pool_size: 3,
    delays: { least_ms: 0.1, mean_ms: 0.3 },
    habits: { ...habits, master_ip_fails: 0, master_ip_hangs: 0, os_fails: 0 },
  });
  await cluster.found();
  await cluster.joinAll();
  const registers = new Registers(cluster);
  registers.start(3, 300);
  await cluster.until('both tags', 10_000, () => registers.records.length >= 2);
  for (const { agent, name } of cluster.hosts) {
    const real = agent!.call.bind(agent!);
    agent!.call = (method, params) => between(() => real(method, params), method, params, name);
  }
  await cluster.run(30_000);
  registers.stop();
  await cluster.until('the last answers', 10_000, () => registers.idle);
  return registers;
}

const clients = (records: readonly HistoryRecord[]) => records.slice(2);
const failure = (code: string) => Promise.reject(Object.assign(new Error('said so'), { code }));

test('all is well: every kind of operation on every register, read from each host at the end', async () => {
  const registers = await ran((ask) => ask());
  await registers.finish();
  const { records } = registers;
  for (const key of keys) {
    const mine = records.filter((record) => record.key === key);
    assert.ok(mine.every(({ outcome }) => outcome === 'ok'));
    assert.deepEqual(
      [...new Set(mine.map(({ op }) => op))].sort(),
      key === 'os' ? ['read', 'write'] : ['cas', 'read', 'write'],
    );
    const last = mine.filter(({ op }) => op === 'read').slice(-3);
    assert.equal(new Set(last.map(({ client }) => client)).size, 3);
    assert.equal(new Set(last.map(({ result }) => result)).size, 1);
  }
  assert.ok(records.length > 100, `${records.length} operations`);
  const times = records.flatMap(({ call_us, return_us }) => [call_us, return_us]);
  assert.equal(new Set(times).size, times.length, 'no two events at the same time');
});

test('a change that the log refuses is a compare-and-set of another value, one that was not done is none', async () => {
  const refused = await ran((ask, method) => (method === 'query' ? ask() : failure('not-found')));
  const outcomes = (records: readonly HistoryRecord[], op: string) => [
    ...new Set(
      clients(records)
        .filter((one) => one.op === op)
        .map((one) => `${one.outcome} ${one.result}`),
    ),
  ];
  assert.deepEqual(outcomes(refused.records, 'cas'), ['ok false']);
  assert.deepEqual(outcomes(refused.records, 'write'), ['fail undefined']);
  for (const code of ['no-quorum', 'no-cluster', 'refused']) {
    const { records } = await ran((ask, method) => (method === 'query' ? ask() : failure(code)));
    assert.deepEqual(outcomes(records, 'cas'), ['fail undefined']);
    assert.deepEqual(outcomes(records, 'write'), ['fail undefined']);
  }
});

test('whatever else: a change may have been made, a read was none; the client goes on under another number', async () => {
  for (const code of ['unknown-outcome', 'timeout', '']) {
    const registers = await ran(() => failure(code));
    const records = clients(registers.records);
    const ended = new Set<number>();
    for (const { client, op, outcome, return_us } of records) {
      assert.equal(outcome, op === 'read' ? 'fail' : 'unknown');
      assert.equal(return_us === null, outcome === 'unknown');
      assert.ok(!ended.has(client));
      if (outcome === 'unknown') ended.add(client);
    }
    registers.judge();
  }
});

test('an agent that does not answer is given up; until then its operations are under way', async () => {
  const registers = await ran((ask, method) => (method === 'query' ? ask() : new Promise(() => undefined)));
  for (const { op, return_us, outcome } of clients(registers.records))
    if (op !== 'read') assert.deepEqual([outcome, return_us], ['unknown', null]);
});

test('an agent that answers with what it once read is found out', async () => {
  const once = new Map<unknown, unknown>();
  const registers = await ran(async (ask, method, { resource }, host) => {
    if (method !== 'query' || host !== 'n2') return ask();
    if (!once.has(resource)) once.set(resource, await ask());
    return once.get(resource);
  });
  await assert.rejects(registers.finish(), /^Error: O3: register \S+ is not linearizable: /);
});

test('a change that was acknowledged and not made is found out', async () => {
  let count = 0;
  const registers = await ran((ask, method) => {
    count += method === 'query' ? 0 : 1;
    return method !== 'query' && count === 10 ? Promise.resolve(null) : ask();
  });
  await assert.rejects(registers.finish(), /^Error: O3: register \S+ is not linearizable: /);
});

test('a run hands over its history, line by line as the format has it, a breach or not', async () => {
  let records: readonly HistoryRecord[] = [];
  const history = (all: readonly HistoryRecord[]) => {
    records = all;
  };
  const options = { seed: 33, nodes: 3, minutes: 1, protection_changes: false, turn, history };
  await runSeed(options);
  const lines = records.map(formatRecord);
  assert.ok(lines.length > 20, `${lines.length} lines`);
  lines.forEach((line, at) => void parseRecord(line, at + 1));
  const whole = lines.length;
  const fail = runSeed({
    ...options,
    observe: (cluster) => void cluster.time.after(40_000, () => cluster.fail('O0: asked for')),
  });
  await assert.rejects(fail, /O0: asked for/);
  assert.ok(records.length > 0 && records.length < whole);
});
