import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isLinearizable } from './brute-force.ts';
import { type CheckResult, checkHistory, HistoryChecker, type Operation } from './check.ts';
import { generateHistory, type HistoryOptions, randomOf } from './generate.ts';

let client = 0;
const read = (call: number, end: number | null, result: unknown, key = 'k'): Operation => ({
  ...{ client: ++client, kind: 'read', key, result, call, return: end },
});
const write = (call: number, end: number | null, value: unknown, key = 'k'): Operation => ({
  ...{ client: ++client, kind: 'write', key, value, call, return: end },
});
const cas = (
  call: number,
  end: number | null,
  expected: unknown,
  value: unknown,
  result?: boolean,
): Operation => ({ client: ++client, kind: 'cas', key: 'k', expected, value, result, call, return: end });

function streamed(history: readonly Operation[], every: number, initial?: unknown): CheckResult {
  const checker = new HistoryChecker(initial);
  const by_call = [...history].sort((a, b) => a.call - b.call);
  for (const [at, op] of by_call.entries()) {
    if (at % every === 0) checker.advance(op.call);
    checker.add(op);
  }
  return checker.finish();
}

describe('linearizable, by hand', () => {
  const good: Record<string, readonly Operation[]> = {
    'nothing at all': [],
    'nothing there at first': [read(0, 1, null)],
    'one after the other': [write(0, 1, 'a'), read(2, 3, 'a'), write(4, 5, 'b'), read(6, 7, 'b')],
    'a read during a write sees either': [
      write(0, 1, 'a'),
      write(2, 9, 'b'),
      read(3, 4, 'a'),
      read(5, 6, 'b'),
      read(10, 11, 'b'),
    ],
    'two writes at once, the first called is the last to happen': [
      write(0, 9, 'a'),
      write(1, 8, 'b'),
      read(10, 11, 'a'),
    ],
    'times that touch are at once': [write(0, 5, 'a'), read(5, 6, null)],
    'an unknown write that takes effect late': [
      write(0, null, 'late'),
      read(1, 2, null),
      write(3, 4, 'b'),
      read(5, 6, 'b'),
      read(7, 8, 'late'),
    ],
    'an unknown write that never does': [write(0, null, 'never'), write(1, 2, 'a'), read(3, 4, 'a')],
    'an unknown write makes a compare-and-set fail': [
      write(0, null, 'u'),
      write(1, 2, 'a'),
      cas(3, 4, 'a', 'b', false),
      read(5, 6, 'u'),
    ],
    'a chain of unknown compare-and-sets': [
      write(0, 1, 'a'),
      cas(2, null, 'b', 'c'),
      cas(3, null, 'a', 'b'),
      read(4, 5, 'a'),
      read(6, 7, 'c'),
    ],
    'compare-and-set, then refused': [
      write(0, 1, 'a'),
      cas(2, 3, 'a', 'b', true),
      cas(4, 5, 'a', 'c', false),
      read(6, 7, 'b'),
    ],
    'a compare-and-set on nothing': [cas(0, 1, null, 'a', true), cas(2, 3, null, 'b', false)],
    'equal objects are equal': [write(0, 1, { a: 1, b: [2] }), read(2, 3, { b: [2], a: 1 })],
    'the same value twice': [write(0, 1, 'a'), write(2, 3, 'b'), write(4, 5, 'a'), read(6, 7, 'a')],
  };
  for (const [name, history] of Object.entries(good)) {
    test(name, () => {
      assert.deepEqual(checkHistory(history), { ok: true });
      assert.deepEqual(streamed(history, 1), { ok: true });
    });
  }

  test('keys do not disturb each other, and hold what they are said to hold at first', () => {
    const history = [read(0, 1, 7, 'x'), write(2, 3, 1, 'x'), read(4, 5, 7, 'y')];
    assert.deepEqual(checkHistory(history, 7), { ok: true });
    assert.equal(checkHistory(history).ok, false);
  });
});

describe('not linearizable, by hand', () => {
  const bad: Record<string, readonly [RegExp, readonly Operation[]]> = {
    'a stale read': [/read of "a"/, [write(0, 1, 'a'), write(2, 3, 'b'), read(4, 5, 'a')]],
    'a lost write': [/read of null/, [write(0, 1, 'a'), read(2, 3, null)]],
    'a write that comes back': [
      /read of "a"/,
      [write(0, 1, 'a'), write(2, 3, 'b'), read(4, 5, 'b'), read(6, 7, 'a')],
    ],
    'a value from nowhere': [/read of "x".*could only hold "a"/, [write(0, 1, 'a'), read(2, 3, 'x')]],
    'reads of a write under way, new then old': [
      /read of "a"/,
      [write(0, 1, 'a'), write(2, 9, 'b'), read(3, 4, 'b'), read(5, 6, 'a')],
    ],
    'the same compare-and-set twice': [
      /cas of "a" to "c", done/,
      [write(0, 1, 'a'), cas(2, 9, 'a', 'b', true), cas(3, 8, 'a', 'c', true), read(10, 11, 'c')],
    ],
    'refused although it was there': [
      /cas of "a" to "b", refused/,
      [write(0, 1, 'a'), cas(2, 3, 'a', 'b', false)],
    ],
    'an unknown write that takes effect twice': [
      /read of "u"/,
      [write(0, null, 'u'), read(1, 2, 'u'), write(3, 4, 'b'), read(5, 6, 'b'), read(7, 8, 'u')],
    ],
    'an unknown write before its call': [/read of "u"/, [read(0, 1, 'u'), write(2, null, 'u')]],
    'an unknown compare-and-set without its value': [
      /read of "c"/,
      [write(0, 1, 'a'), cas(2, null, 'b', 'c'), read(3, 4, 'c')],
    ],
    'one unknown write cannot make two compare-and-sets fail': [
      /refused/,
      [
        ...[write(0, null, 'u'), write(1, 2, 'a'), cas(3, 4, 'a', 'x', false)],
        ...[write(5, 6, 'b'), cas(7, 8, 'b', 'x', false)],
      ],
    ],
  };
  for (const [name, [reason, history]] of Object.entries(bad)) {
    test(name, () => {
      for (const found of [checkHistory(history), streamed(history, 1), streamed(history, 3)]) {
        assert.ok(!found.ok);
        assert.equal(found.key, 'k');
        assert.match(found.reason, reason);
      }
    });
  }

  test('the key that is wrong is named', () => {
    const found = checkHistory([write(0, 1, 1, 'x'), read(0, 1, 9, 'y'), read(2, 3, 1, 'x')]);
    assert.equal(!found.ok && found.key, 'y');
  });
});

test('misuse is told', () => {
  assert.throws(() => checkHistory([write(5, 4, 'a')]), /returns at 4, called at 5/);
  const checker = new HistoryChecker();
  checker.advance(10);
  assert.throws(() => checker.add(write(9, 12, 'a')), /called at 9 comes after all before 10 was known/);
});

test('streamed: what a long read finds may be set only after the known part', () => {
  const history = [write(0, 1, 'b'), write(2, 3, 'c'), read(5, 100, 'b'), write(20, 21, 'b')];
  assert.deepEqual(streamed(history, 3), { ok: true });
});

test('streamed: what is forgotten is never what is there, or may come', () => {
  const checker = new HistoryChecker();
  const last = 20_000;
  checker.add(write(0, null, 'late'));
  for (let value = 1; value <= last; value++) {
    checker.add(write(2 * value, 2 * value + 1, value));
    if (value % 1_000 === 0) assert.deepEqual(checker.advance(2 * value + 2), { ok: true });
  }
  checker.add(read(2 * last + 2, 2 * last + 3, last));
  checker.add(read(2 * last + 4, 2 * last + 5, 'late'));
  assert.deepEqual(checker.advance(2 * last + 6), { ok: true });
  checker.add(read(2 * last + 6, 2 * last + 7, last));
  assert.equal(checker.finish().ok, false);
});

const shapes: readonly Omit<HistoryOptions, 'seed'>[] = [
  { clients: 10, keys: 3, operations: 300, unknown: 0, values: Number.POSITIVE_INFINITY, writes: 0.34 },
  { clients: 5, keys: 1, operations: 200, unknown: 0.05, values: Number.POSITIVE_INFINITY, writes: 0.34 },
  { clients: 8, keys: 2, operations: 200, unknown: 0.05, values: 4, writes: 0.2 },
  { clients: 10, keys: 1, operations: 200, unknown: 0.02, values: Number.POSITIVE_INFINITY, writes: 0.8 },
];

test('1,000 histories of a real register are linearizable; with one value altered, most are not', () => {
  let altered = 0;
  let caught = 0;
  for (let seed = 0; seed < 1_000; seed++) {
    const history = generateHistory({ ...shapes[seed % shapes.length]!, seed });
    assert.deepEqual(checkHistory(history), { ok: true }, `seed ${seed}`);
    if (seed % 4 === 0) assert.deepEqual(streamed(history, 50), { ok: true }, `seed ${seed}, streamed`);
    const random = randomOf(seed + 1_000_000);
    const reads = [...history.keys()].filter(
      (at) => history[at]?.kind === 'read' && history[at].return !== null,
    );
    const at = reads[Math.floor(random() * reads.length)]!;
    const values = history.filter((op) => op.key === history[at]?.key && op.value !== history[at]?.result);
    const other = values[Math.floor(random() * values.length)]?.value ?? 'nothing like it';
    const wrong = history.map((op, n) => (n === at ? { ...op, result: other } : op));
    altered++;
    const found = checkHistory(wrong);
    if (!found.ok) caught++;
    assert.equal(streamed(wrong, 1_000_000).ok, found.ok, `seed ${seed}`);
  }
  // Some alterations are true as well: a concurrent write's value, or with few values the same one again.
  assert.ok(caught > 0.85 * altered, `${caught} of ${altered} caught`);
});

test('tiny histories: the same answer as the definition, whole and streamed', () => {
  const random = randomOf(7);
  const below = (n: number): number => Math.floor(random() * n);
  const counts = { good: 0, bad: 0 };
  for (let round = 0; round < 6_000; round++) {
    const history: Operation[] = Array.from({ length: 2 + below(5) }, (_, at) => {
      const call = below(12);
      const kind = (['read', 'write', 'cas'] as const)[below(3)]!;
      const lost = random() < 0.2;
      const common = { client: at, kind, key: 'k', call, return: lost ? null : call + below(6) };
      if (kind === 'read') return { ...common, ...(lost ? {} : { result: [null, 1, 2][below(3)] }) };
      if (kind === 'write') return { ...common, value: 1 + below(2) };
      return {
        ...common,
        ...{ expected: [null, 1, 2][below(3)], value: 1 + below(2) },
        ...(lost ? {} : { result: random() < 0.5 }),
      };
    });
    const truth = isLinearizable(history, null);
    counts[truth ? 'good' : 'bad']++;
    assert.equal(checkHistory(history).ok, truth, JSON.stringify(history));
    // The streaming form may refuse a good one (see its comment), and never takes a bad one.
    if (streamed(history, 1).ok) assert.ok(truth, JSON.stringify(history));
  }
  assert.ok(counts.good > 1_000 && counts.bad > 1_000, JSON.stringify(counts));
});

test('100,000 operations of ten clients take seconds, also on one key, and a breach late in them is found', () => {
  for (const keys of [10, 1]) {
    const shape = { clients: 10, keys, operations: 100_000, unknown: 0.002, writes: 0.34 };
    const history = generateHistory({ ...shape, seed: 3, values: Number.POSITIVE_INFINITY });
    assert.deepEqual(checkHistory(history), { ok: true });
    const at = history.findLastIndex((op) => op.kind === 'read' && op.return !== null);
    const first = history.find((op) => op.kind === 'write' && op.key === history[at]?.key)!;
    const found = checkHistory(history.with(at, { ...history[at]!, result: first.value }));
    assert.equal(found.ok, false);
  }
});
