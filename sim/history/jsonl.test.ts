import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkHistory } from './check.ts';
import { generateHistory } from './generate.ts';
import { formatRecord, HistoryFormatError, type HistoryRecord, operationOf, parseRecord } from './jsonl.ts';

const plain = { client: 1, key: 'k', call_us: 10, return_us: 12, outcome: 'ok' } as const;
const record: HistoryRecord = { ...plain, op: 'cas', value: 'b', expected: 'a', result: true };

test('a record is one line, and comes back as it was', () => {
  const records: readonly HistoryRecord[] = [
    record,
    { ...record, result: false },
    { ...plain, op: 'read', result: null },
    { ...plain, op: 'read', result: 'two\nlines' },
    { ...plain, op: 'write', value: { deep: [1] } },
    { ...plain, op: 'write', value: 1, return_us: null, outcome: 'unknown' },
    { ...plain, op: 'read', outcome: 'fail' },
  ];
  for (const one of records) {
    const line = formatRecord(one);
    assert.equal(line.indexOf('\n'), line.length - 1);
    assert.deepEqual(parseRecord(line, 1), one);
  }
});

test('what failed is no operation; what is unknown has no return, even if the client heard so', () => {
  assert.equal(operationOf({ ...record, outcome: 'fail' }), null);
  assert.equal(operationOf({ ...record, result: undefined, outcome: 'unknown' })?.return, null);
  assert.equal(operationOf(record)?.return, 12);
});

test('a history written and read again is judged the same', () => {
  const shape = { clients: 5, keys: 2, operations: 500, unknown: 0.05, values: 9, writes: 0.4 };
  const history = generateHistory({ ...shape, seed: 1 });
  const lines = history.map((op) => {
    const { kind, call, return: end, ...rest } = op;
    const outcome = end === null ? 'unknown' : 'ok';
    return formatRecord({ ...rest, op: kind, call_us: call, return_us: end, outcome });
  });
  const again = lines.map((line, at) => operationOf(parseRecord(line, at + 1)));
  assert.deepEqual(
    again.map((op) => ({ ...op })),
    history.map((op) => ({ value: undefined, expected: undefined, result: undefined, ...op })),
  );
  assert.deepEqual(checkHistory(again.filter((op) => op !== null)), { ok: true });
});

test('errors name the line and the field', () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ['', /^line 7: no JSON/],
    ['[]', /^line 7: expected an object/],
    [{ ...record, client: 1.5 }, /client is 1.5: expected a whole number/],
    [{ ...record, op: 'delete' }, /op is "delete": expected read, write or cas/],
    [{ ...record, key: undefined }, /key is missing: expected a text/],
    [{ ...record, outcome: 'maybe' }, /outcome is "maybe"/],
    [{ ...record, call_us: '10' }, /call_us is "10": expected a number/],
    [{ ...record, return_us: 9 }, /return_us is 9: expected a number, not before call_us/],
    [{ ...record, return_us: null }, /return_us is null/],
    [{ ...record, value: undefined }, /value is missing: expected a value/],
    [{ ...record, op: 'write' }, /expected is "a": expected nothing here/],
    [{ ...record, result: 1 }, /result is 1: expected true or false/],
    [{ ...plain, op: 'read' }, /result is missing/],
    [{ ...record, outcome: 'unknown' }, /result is true: expected nothing here/],
    [{ ...record, when: 1 }, /unknown field "when"/],
  ];
  for (const [line, message] of cases) {
    const text = typeof line === 'string' ? line : JSON.stringify(line);
    assert.throws(
      () => parseRecord(text, 7),
      (error: unknown) =>
        error instanceof HistoryFormatError && error.line === 7 && message.test(error.message),
      text,
    );
  }
});
