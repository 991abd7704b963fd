/**
 * The shell tests that come with Ganeti's htools, run against ours: those that need nothing but our programs and the
 * samples. Skipped, with the reason, where they are not installed.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { no_samples, our_programs, type ProgramName, runOurs, samplesFolder } from './htools-peer.ts';
import { type Expectation, parseShellTests } from './shelltest.ts';

const samples = samplesFolder();

function isOurs(name: string): name is ProgramName {
  return Object.hasOwn(our_programs, name);
}

/** The program and its arguments; null if the test is not about one of ours, or needs files that other tests make. */
function ours(
  command: string,
  folder: string,
): { readonly name: ProgramName; readonly args: readonly string[] } | null {
  const [program = '', ...args] = command
    .replaceAll('$TESTDATA_DIR', join(folder, 'data', 'htools'))
    .replaceAll('$RAPI_URL', `file://${join(folder, 'data', 'htools', 'rapi')}`)
    .split(/\s+/);
  const name = program.replace('./test/hs/', '');
  return isOurs(name) && !/[$>|;]/.test(args.join(' ')) ? { name, args } : null;
}

function check(expected: Expectation | null, text: string, what: string): void {
  if (expected === null) return;
  if ('text' in expected) assert.equal(text, expected.text, what);
  else assert.equal(expected.pattern.test(text), !expected.not, `${what}: ${expected.pattern} in:\n${text}`);
}

test('shell tests of Ganeti’s htools', async (t) => {
  if (samples === null) return t.skip(no_samples);
  const folder = join(samples, 'hs', 'shelltests');
  let run = 0;
  for (const file of readdirSync(folder).sort()) {
    for (const { line, command, out, err, exit } of parseShellTests(
      readFileSync(join(folder, file), 'utf8'),
    )) {
      const found = ours(command, samples);
      if (found === null) continue;
      const what = `${file}, line ${line}: ${command}`;
      const outcome = await runOurs(found.name, found.args);
      check(out, outcome.out, what);
      check(err, outcome.err, what);
      if (exit !== null) assert.equal(outcome.exit === exit.code, !exit.not, `${what}: exit ${outcome.exit}`);
      run += 1;
    }
  }
  assert.ok(run >= 50, `${run} tests were run, expected at least 50`);
});

test('the format: patterns, texts, both streams, exit codes', () => {
  const text = [
    '# a comment',
    './test/hs/hbal -t x',
    '>>>/one',
    '(.|',
    ')*two/',
    '>>>= 0',
    './test/hs/hbal',
    '>>>2',
    'Error: something',
    '>>>= !0',
    '',
    './test/hs/hinfo',
    '>>> !/never/',
    '>>>2 /warned/',
    '',
    '>>>=1',
    '',
  ].join('\n');
  const tests = parseShellTests(text);
  assert.deepEqual(
    tests.map(({ command, exit }) => [command, exit]),
    [
      ['./test/hs/hbal -t x', { code: 0, not: false }],
      ['./test/hs/hbal', { code: 0, not: true }],
      ['./test/hs/hinfo', { code: 1, not: false }],
    ],
  );
  assert.deepEqual(tests[0]!.out, { pattern: /one\n(.|\n)*two/, not: false });
  assert.deepEqual(tests[1]!.err, { text: 'Error: something\n' });
  assert.deepEqual(tests[2]!.out, { pattern: /never/, not: true });
  assert.deepEqual(tests[2]!.err, { pattern: /warned/, not: false });
});
