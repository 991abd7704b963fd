/** Every patch applies, in one place, to code that still loads; and the quickest mutants are killed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { filesOf, PatchError, patched } from './mutant.ts';
import { oracleOf } from './oracle-names.ts';
import { mutants } from './table.ts';

const root = new URL('../../', import.meta.url);
const sourceOf = (file: string) => readFileSync(new URL(file, root), 'utf8');

function run(...args: readonly string[]): { readonly status: number | null; readonly text: string } {
  const script = fileURLToPath(new URL('sim/run-mutants.ts', root));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

/** `file.ts?mutant=NAME` is that file as the mutant has it, beside the real one. */
registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const { href, searchParams } = new URL(url);
    const name = searchParams.get('mutant');
    const mutant = mutants.find((one) => one.name === name);
    if (mutant === undefined) return loaded;
    const file = href.slice(root.href.length).replace(/\?.*$/, '');
    return { ...loaded, source: patched(file, sourceOf(file), mutant.edits) };
  },
});

for (const mutant of mutants) {
  test(`applies: ${mutant.name}`, async () => {
    for (const file of filesOf(mutant)) {
      assert.notEqual(patched(file, sourceOf(file), mutant.edits), sourceOf(file));
      await import(new URL(`${file}?mutant=${mutant.name}`, root).href);
    }
  });
}

test('at least 30, each with a name of its own and a reason', () => {
  assert.ok(mutants.length >= 30, `${mutants.length} mutants`);
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  for (const { name, danger } of mutants) assert.match(danger, /^[A-Z].{20,}\.$/, name);
});

test('a text that is missing or there twice is an error', () => {
  const edit = (find: string) => [{ file: 'a.ts', find, replace: 'x' }];
  assert.equal(patched('a.ts', 'one two', edit('two')), 'one x');
  assert.equal(patched('b.ts', 'one two', edit('two')), 'one two');
  assert.throws(() => patched('a.ts', 'one two', edit('three')), PatchError);
  assert.throws(() => patched('a.ts', 'two two', edit('two')), PatchError);
});

test('two mutants are killed, and the real code is not', () => {
  const { status, text } = run(
    ...['--mutant', 'no-check-quorum', '--mutant', 'vote-answered-before-sync'],
    ...['--base', '7', '--seeds', '20'],
  );
  assert.equal(status, 0, text);
  assert.match(text, /no-check-quorum +scenes +scene: nobody answers the leader/);
  assert.match(text, /vote-answered-before-sync +raft +promise left early/);
  assert.match(text, /2 of 2 killed/);
  assert.equal(text.match(/the real code +\w+ +- /g)?.length, 2, text);
});

test('a mutant that the simulator cannot see survives, and the run fails', () => {
  // Too few runs of the wrong simulator: damage is never looked for in these.
  const { status, text } = run(
    '--mutant',
    'undo-skipped',
    '--base',
    '1',
    '--seeds',
    '1',
    '--budget',
    '0.001',
  );
  assert.equal(status, 1, text);
  assert.match(text, /SURVIVED undo-skipped/);
});

test('breaches are named after their oracle', () => {
  assert.equal(oracleOf('O1: instance i1 runs on n1 while it runs on n2 (at 5 ms)'), 'O1');
  assert.equal(oracleOf('members 1 and 2 both lead term 3\nnode sim'), 'one leader a term');
  assert.equal(oracleOf('member 3 ended itself: an invariant is broken: entry 4'), 'assertion of the core');
});
