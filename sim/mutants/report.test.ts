/** The page of mutants says what runs found, in pieces too, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mutant } from './mutant.ts';
import { pageOf, type Row, real_code, rowsOf } from './report.ts';

const mutant = (name: string, survives?: string): Mutant => ({
  name,
  danger: 'It is only for this test.',
  simulator: 'raft',
  edits: [],
  ...(survives === undefined ? {} : { survives }),
});
const mutants = [mutant('one'), mutant('two'), mutant('three', 'It changes nothing.'), mutant('never-run')];
const row = (name: string, by: string | null, seeds = 4): Row => ({
  name,
  simulator: 'raft',
  by,
  seeds,
  base: 7,
});
const rows = [
  row('one', 'leader completeness'),
  row('two', null, 200),
  row('three', null),
  row(real_code, null, 9),
];

test('a page is read back as it was written, in the order of the mutants', () => {
  const page = pageOf(mutants, [], rows.toReversed());
  assert.deepEqual(rowsOf(page), rows);
  assert.match(page, /^4 mutants; 3 were run: 1 noticed, 1 argued to be harmless, 1 not noticed\./m);
  assert.match(page, /^\| `two` \| raft \| \*\*not noticed\*\* \| 200 \| 0x00000007 \|$/m);
  assert.match(page, /^\| `three` \| raft \| not noticed, as argued \|/m);
  assert.match(page, /^- `three`: It changes nothing\.$/m);
});

test('what was run now takes the place of what was run before, and what is gone goes', () => {
  const gone = row('gone', 'leader completeness');
  const now = [row('one', null, 300), row(real_code, null, 2)];
  const after = rowsOf(pageOf(mutants, [...rows, gone], now));
  assert.deepEqual(after, [now[0], rows[1], rows[2], row(real_code, null, 9)]);
  const failed = row(real_code, 'O8', 1);
  assert.deepEqual(
    rowsOf(pageOf(mutants, rows, [failed])).at(-1),
    failed,
    'a failure of the real code is never hidden',
  );
});

test('a row that is none is an error', () => {
  const page = pageOf(mutants, [], rows);
  assert.throws(() => rowsOf(page.replace('| 200 |', '| many |')), /not a row/);
  assert.throws(() => rowsOf(page.replace('| 200 | 0x00000007 |', '| 200 |')), /not a row/);
});
