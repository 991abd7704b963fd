/** The swarm as people start it: runs made twice, and the history of one run for other checkers. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkHistory } from '../history/check.ts';
import { formatRecord, type HistoryRecord, operationOf, parseRecord } from '../history/jsonl.ts';
import { runSeed } from './run.ts';
import { runTwice } from './twice.ts';

const program = fileURLToPath(new URL('../run-raft.ts', import.meta.url));
let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'skein-raft-'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

test('every so many runs one is made twice', () => {
  const { status, text } = run('--seeds', '6', '--base', '7', '--ms', '3000', '--twice-every', '2');
  assert.equal(status, 0, text);
  assert.match(text, /runs 6, breaches 0, 3 run twice/);
  assert.match(run('--seeds', '3', '--base', '7', '--ms', '1000').text, /runs 3, breaches 0, 0 run twice/);
});

test('a run that goes in two ways is a breach', async () => {
  let nth = 0;
  const runs = async (seed: number) => ({ trace_hash: `${seed} ${nth++}` });
  await assert.rejects(runTwice(runs, 5), /seed 0x00000005 ran in two ways: 5 0, 5 1/);
  const same = async (seed: number) => ({ trace_hash: `${seed}`, nth: nth++ });
  assert.deepEqual(await runTwice(same, 5), { trace_hash: '5', nth: 2 });
});

/** What the file says, and whether that is linearizable. */
function judge(records: readonly HistoryRecord[]) {
  return checkHistory(records.flatMap((record) => operationOf(record) ?? []));
}

test('a history is written, read back and judged; a client is not heard of again after an unknown outcome', () => {
  const file = join(dir, 'history.jsonl');
  const { status, text } = run('--seed', '0x3', '--ms', '15000', '--history', file);
  assert.equal(status, 0, text);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const records = lines.map((line, at) => parseRecord(line, at + 1));
  assert.deepEqual(judge(records), { ok: true });
  for (const outcome of ['ok', 'fail', 'unknown'])
    assert.ok(
      records.some((record) => record.outcome === outcome),
      `some are ${outcome}`,
    );
  for (const kind of ['read', 'write', 'cas'])
    assert.ok(
      records.some(({ op, outcome }) => op === kind && outcome === 'ok'),
      `a ${kind} succeeded`,
    );
  const by_client = Map.groupBy(records, ({ client }) => client);
  for (const [client, own] of by_client) {
    own.sort((a, b) => a.call_us - b.call_us);
    for (const [at, { call_us, outcome }] of own.entries()) {
      if (at > 0)
        assert.ok(call_us > own[at - 1]!.return_us!, `client ${client} does one thing after another`);
      if (outcome === 'unknown')
        assert.equal(at, own.length - 1, `client ${client} after an unknown outcome`);
    }
  }
  const ends = records.map(({ return_us }) => return_us).filter((end) => end !== null);
  assert.deepEqual(
    ends,
    ends.toSorted((a, b) => a - b),
    'in the order in which outcomes became known',
  );

  // It is a history that could be wrong: what one read saw is what nobody wrote before it.
  const read = records.findIndex(
    ({ op, outcome, result }) => op === 'read' && outcome === 'ok' && result !== null,
  );
  assert.ok(read >= 0);
  assert.equal(judge(records.with(read, { ...records[read]!, result: 'never written' })).ok, false);
});

test('a breach leaves its history', async () => {
  const sink = (line: string) => {
    if (line.endsWith('all faults end')) throw new Error('a breach');
  };
  let records: readonly HistoryRecord[] = [];
  const history = (of: readonly HistoryRecord[]) => {
    records = of;
  };
  await assert.rejects(runSeed(3, { ms: 15_000, sink, history }), /a breach/);
  assert.ok(records.length > 0);
  for (const [at, record] of records.entries())
    assert.deepEqual(parseRecord(formatRecord(record), at + 1), JSON.parse(JSON.stringify(record)));
});

test('a history of many runs is refused', () => {
  const { status, text } = run('--seeds', '2', '--history', join(dir, 'none'));
  assert.notEqual(status, 0);
  assert.match(text, /--history: expected --seed/);
});
