/**
 * The shell tests that come with Ganeti's htools, run against ours: those that need nothing but our programs and the
 * samples. Skipped, with the reason, where they are not installed.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hail } from '../../cli/htools/hail.ts';
import { hbal } from '../../cli/htools/hbal.ts';
import { hcheck } from '../../cli/htools/hcheck.ts';
import { hinfo } from '../../cli/htools/hinfo.ts';
import { hroller } from '../../cli/htools/hroller.ts';
import { hspace } from '../../cli/htools/hspace.ts';
import type { Program } from '../../cli/htools/program.ts';
import { runHtool, type Said } from '../../cli/htools/test-world.ts';
import { sampleFolder, samples_missing, shellTestFolder } from './htools-peer.ts';
import { type Expectation, parseShellTests, type ShellTest } from './shelltest.ts';

const programs: ReadonlyMap<string, (args: readonly string[]) => Promise<Said>> = new Map([
  ['hail', (args) => run(hail, args)],
  ['hbal', (args) => run(hbal, args)],
  ['hcheck', (args) => run(hcheck, args)],
  ['hinfo', (args) => run(hinfo, args)],
  ['hroller', (args) => run(hroller, args)],
  ['hspace', (args) => run(hspace, args)],
]);

function run<O>(program: Program<O>, args: readonly string[]): Promise<Said> {
  return runHtool(program, args, (path) => readFileSync(path, 'utf8'));
}

/** The program and its arguments; null if the test is not about one of ours, or needs files that other tests make. */
function ours(command: string, samples: string): (() => Promise<Said>) | null {
  const [program = '', ...args] = command
    .replaceAll('$TESTDATA_DIR', samples)
    .replaceAll('$RAPI_URL', `file://${join(samples, 'rapi')}`)
    .trim()
    .split(/\s+/);
  const start = programs.get(program.replace('./test/hs/', ''));
  return start === undefined || /[$>|;]/.test(args.join(' ')) ? null : () => start(args);
}

function check(expected: Expectation | null, text: string, what: string): void {
  if (expected === null) return;
  if ('text' in expected) assert.equal(text, expected.text, what);
  else assert.equal(expected.pattern.test(text), !expected.not, `${what}: ${expected.pattern} in:\n${text}`);
}

test('shell tests of Ganeti’s htools', async (t) => {
  const samples = sampleFolder();
  const folder = shellTestFolder();
  if (samples === null || folder === null) return t.skip(samples_missing);
  let ran = 0;
  for (const file of readdirSync(folder).sort()) {
    const tests: readonly ShellTest[] = parseShellTests(readFileSync(join(folder, file), 'utf8'));
    for (const { line, command, out, err, exit } of tests) {
      const start = ours(command, samples);
      if (start === null) continue;
      const what = `${file}, line ${line}: ${command}`;
      const outcome = await start();
      check(out, outcome.out, what);
      check(err, outcome.err, what);
      if (exit !== null)
        assert.equal(outcome.status === exit.code, !exit.not, `${what}: exit ${outcome.status}`);
      ran += 1;
    }
  }
  assert.ok(ran >= 150, `${ran} tests were run, expected at least 150`);
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
  assert.deepEqual(tests[0]!.out, { pattern: /one\n(.|\n)*two/m, not: false });
  assert.deepEqual(tests[1]!.err, { text: 'Error: something\n' });
  assert.deepEqual(tests[2]!.out, { pattern: /never/m, not: true });
  assert.deepEqual(tests[2]!.err, { pattern: /warned/m, not: false });
});
