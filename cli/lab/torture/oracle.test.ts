import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatRecord, type HistoryRecord, judgeFile, type Verdict } from './oracle.ts';
import { Tally } from './tally.ts';

async function judge(records: readonly HistoryRecord[], more = ''): Promise<Verdict> {
  const scratch = mkdtempSync(join(tmpdir(), 'skein-oracle-'));
  try {
    const path = join(scratch, 'history.jsonl');
    writeFileSync(path, records.map(formatRecord).join('') + more);
    return await judgeFile(path, 0);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const base = { client: 1, key: 'k', outcome: 'ok' } as const;
const write = (call_us: number, return_us: number, value: number): HistoryRecord => ({
  ...{ ...base, op: 'write', call_us, return_us, value },
});
const cas = (call_us: number, expected: number, value: number, result: boolean): HistoryRecord => ({
  ...{ ...base, op: 'cas', call_us, return_us: call_us + 1, expected, value, result },
});
const read = (call_us: number, result: number): HistoryRecord => ({
  ...{ ...base, op: 'read', call_us, return_us: call_us + 1, result },
});

test('a good history: nothing lost, what failed is left out', async () => {
  const failed: HistoryRecord = { ...write(4, 5, 9), outcome: 'fail' };
  const verdict = await judge([write(0, 1, 1), cas(2, 1, 2, true), cas(3, 1, 7, false), failed, read(6, 2)]);
  assert.deepEqual(verdict, { operations: 4, linearizable: { ok: true }, lost: [] });
});

test('acknowledged changes after the one that is there in the end are lost, and counted', async () => {
  const verdict = await judge([write(0, 1, 1), write(2, 3, 2), cas(4, 2, 3, true), read(6, 1)]);
  assert.deepEqual(
    verdict.lost.map(({ value }) => value),
    [2, 3],
  );
  assert.equal(verdict.linearizable.ok, false);
  assert.equal((await judge([write(0, 1, 1), read(2, 0)])).lost.length, 1);
});

test('what ran at the same time, what was refused, and what was never sure is not lost', async () => {
  assert.deepEqual((await judge([write(0, 5, 1), write(2, 9, 2), read(10, 1)])).lost, []);
  assert.deepEqual((await judge([write(0, 1, 1), cas(2, 9, 3, false), read(6, 1)])).lost, []);
  const unknown: HistoryRecord = { ...write(0, 0, 1), return_us: null, outcome: 'unknown' };
  assert.deepEqual((await judge([unknown, write(2, 3, 2), read(6, 1)])).lost, []);
});

test('only the last read decides what is there in the end', async () => {
  const verdict = await judge([write(0, 1, 1), read(2, 1), write(4, 5, 2), read(6, 2)]);
  assert.deepEqual(verdict.lost, []);
});

test('a file that is cut in the middle of a line is no history', async () => {
  await assert.rejects(judge([write(0, 1, 1)], '{"client":1,"op"'), /^HistoryFormatError: line 2: no JSON/);
});

test('tally: outcomes, the longest gap between acknowledged changes, percentiles', () => {
  const tally = new Tally(1_000_000);
  for (let at = 1; at <= 100; at++) tally.add(write(2_000_000, 2_000_000 + at * 1_000, at));
  tally.add({ ...write(5_000_000, 6_000_000, 0), outcome: 'fail' });
  tally.add(read(6_500_000, 1));
  tally.add(cas(4_099_999, 1, 2, false));
  tally.end(5_000_000);
  tally.error('timeout');
  const found = tally.summary();
  assert.deepEqual(found.counts.write, { ok: 100, fail: 1, unknown: 0 });
  assert.deepEqual([found.acknowledged, found.cas_refused, found.errors], [101, 1, { timeout: 1 }]);
  assert.equal(found.longest_unavailability_ms, 2_000);
  assert.ok(found.change_p99_ms >= 98 && found.change_p99_ms <= 104, String(found.change_p99_ms));
  assert.ok(found.change_p50_ms >= 49 && found.change_p50_ms <= 53, String(found.change_p50_ms));
});
