/**
 * The arithmetic of consensus against the data-driven tests of etcd's Raft library (quorum and configuration changes),
 * byte for byte. Skipped, with the reason, where the data is not installed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChangeFile } from './change-file.ts';
import { parseCases } from './datadriven.ts';
import { runQuorumCase } from './quorum-case.ts';
import { type DataFile, dataFiles, libraryFolder, missing } from './testdata.ts';

const library = libraryFolder();

/** Cases that every release since 2019 has; fewer would mean that some were not found. */
const parts = { quorum: 127, confchange: 58 } as const;

function checkFile(file: DataFile, run: (of: DataFile['cases'][number]) => string): void {
  const fences = file.text.split('\n').filter((line) => line === '----').length;
  assert.equal(file.cases.length, fences, `${file.name}: a case was not read`);
  for (const of of file.cases) {
    assert.equal(run(of), of.expected, `${file.name}, line ${of.line}: ${of.command}`);
  }
}

for (const part of ['quorum', 'confchange'] as const) {
  test(`${part}: every case gives the output that etcd's Raft library gives`, async (t) => {
    if (library === null) {
      t.skip(missing);
      return;
    }
    const files = dataFiles(library, part);
    // Releases before 3.5 begin a member at 0, later ones at 1; the data says which it is of.
    const least_next = files.some(({ text }) => text.includes(' next=0')) ? 0 : 1;
    for (const file of files) {
      await t.test(`${file.name}: ${file.cases.length} cases`, () => {
        const changes = new ChangeFile(least_next);
        checkFile(file, part === 'quorum' ? runQuorumCase : (of) => changes.run(of));
      });
    }
    const count = files.reduce((sum, file) => sum + file.cases.length, 0);
    assert.ok(count >= parts[part], `${count} cases, expected at least ${parts[part]}`);
  });
}

test('the format: comments, arguments, input, output with and without a second fence', () => {
  const text = [
    '# a comment',
    '',
    'simple',
    'v1 v2',
    '----',
    'voters=(1)',
    '',
    'committed cfg=(1, 2) cfgj=zero flag idx=(_,5)',
    '----',
    '----',
    'one',
    '',
    'two',
    '----',
    '----',
    '',
    'leave-joint',
    '----',
    'last line without a line feed',
  ].join('\n');
  assert.deepEqual(parseCases(text), [
    { line: 3, command: 'simple', args: [], input: ['v1 v2'], expected: 'voters=(1)\n' },
    {
      line: 8,
      command: 'committed',
      args: [
        ['cfg', ['1', '2']],
        ['cfgj', ['zero']],
        ['flag', []],
        ['idx', ['_', '5']],
      ],
      input: [],
      expected: 'one\n\ntwo\n',
    },
    { line: 17, command: 'leave-joint', args: [], input: [], expected: 'last line without a line feed\n' },
  ]);
});

test('what is no such file is refused with the line', () => {
  assert.throws(() => parseCases('vote cfg=(1\n----\nx\n'), /line 1: not a directive/);
  assert.throws(() => parseCases('\nvote cfg=(1)\nx\n'), /line 2: no "----"/);
  assert.throws(() => parseCases('vote\n----\n----\nx\n'), /line 2: the output has no end/);
});
