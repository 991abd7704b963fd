import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FakeAgent, FakeError, rowsHandler, runCli, startFakeAgent } from './fake-agent.ts';

let agent: FakeAgent;
before(async () => {
  agent = await startFakeAgent();
});
after(() => agent.close());

test('__complete: names of a kind; silence when nobody answers or the agent refuses', async () => {
  agent.handle(
    'query',
    rowsHandler({
      instance: [{ name: 'db1' }, { name: 'web1' }],
      job: [{ id: 7 }],
      os: [
        { name: 'debian', variants: ['small'] },
        { name: 'noop', variants: [] },
      ],
    }),
  );
  assert.deepEqual(await runCli(agent.socket, ['__complete', 'instance']), {
    status: 0,
    out: 'db1\nweb1\n',
    err: '',
  });
  assert.equal(agent.requests[0]?.params.stale, true);
  assert.equal((await runCli(agent.socket, ['__complete', 'job'])).out, '7\n');
  assert.equal((await runCli(agent.socket, ['__complete', 'os'])).out, 'debian+small\nnoop\n');
  assert.deepEqual(await runCli(agent.socket, ['__complete', 'colour']), { status: 0, out: '', err: '' });
  assert.deepEqual(await runCli('/nonexistent/api.sock', ['__complete', 'node']), {
    status: 0,
    out: '',
    err: '',
  });
  agent.handle('query', () => {
    throw new FakeError('no-cluster', 'none');
  });
  assert.deepEqual(await runCli(agent.socket, ['__complete', 'node']), { status: 0, out: '', err: '' });
});

test('-N: lab nodes by the lab’s record, and what is wrong when there is none', async () => {
  const lab = join(agent.dir, 'lab');
  mkdirSync(lab);
  writeFileSync(
    join(lab, 'lab.json'),
    JSON.stringify({ version: 1, nodes: [{ name: 'n1', socket: agent.socket }] }),
  );
  agent.handle('query', rowsHandler({ node: [{ name: 'n1' }] }));
  const env = { SKEIN_LAB: lab };
  assert.equal((await runCli(null, ['__complete', 'labnode'], { env })).out, 'n1\n');
  assert.equal(
    (await runCli(null, ['node', 'list', '-N', 'n1', '-o', 'name', '--no-headers'], { env })).out,
    'n1\n',
  );
  const other = await runCli(null, ['node', 'list', '-N', 'n7'], { env });
  assert.deepEqual([other.status, other.err.split('\n')[1]], [1, 'Try: one of n1']);
  assert.match(
    (await runCli(null, ['node', 'list', '-N', 'n1'], { cwd: agent.dir })).err,
    /there is no lab in/,
  );
  assert.equal((await runCli(agent.socket, ['node', 'list', '-N', 'n1'], { env })).status, 2);
  assert.equal(
    (
      await runCli(null, ['node', 'list', '-o', 'name', '--no-headers'], {
        env: { SKEIN_SOCKET: agent.socket },
      })
    ).out,
    'n1\n',
  );
});

/** What bash offers for a line, with `skein` answering the names given. */
function bashOffers(script: string, words: readonly string[]): readonly string[] {
  const bin = join(agent.dir, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'skein'), '#!/bin/sh\necho "$@" >> "$0.log"\nprintf "web1\\nweb2\\ndb1\\n"\n');
  chmodSync(join(bin, 'skein'), 0o755);
  const code = `${script}\nCOMP_WORDS=("$@")\nCOMP_CWORD=$(($# - 1))\n_skein\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync('bash', ['-c', code, 'bash', ...words], {
    encoding: 'utf8',
    timeout: 10_000,
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
  return out.split('\n').filter((line) => line !== '');
}

test('bash: the script parses, and offers commands, options and live names', async () => {
  const { out: script, status } = await runCli(null, ['completion', 'bash']);
  assert.equal(status, 0);
  assert.equal(spawnSync('bash', ['-n'], { input: script, timeout: 10_000 }).status, 0);
  assert.ok(bashOffers(script, ['skein', '']).includes('instance'));
  assert.ok(!bashOffers(script, ['skein', '']).includes('__complete'));
  assert.deepEqual(bashOffers(script, ['skein', 'instance', 'fail']), ['failover']);
  assert.deepEqual(bashOffers(script, ['skein', '-N', 'n1', 'instance', 'sta']), ['startup', 'start']);
  assert.deepEqual(bashOffers(script, ['skein', 'instance', 'start', 'web']), ['web1', 'web2']);
  assert.deepEqual(bashOffers(script, ['skein', 'instance', 'failover', 'web1', '--targ']), [
    '--target-node',
  ]);
  assert.deepEqual(bashOffers(script, ['skein', 'instance', 'add', '-n', 'd']), ['db1']);
  assert.deepEqual(bashOffers(script, ['skein', 'lab', 'power', '']), ['web1', 'web2', 'db1']);
});

test('zsh and fish scripts hold every command, and parse where the shell is here', async () => {
  const zsh = (await runCli(null, ['completion', 'zsh'])).out;
  assert.match(zsh, /^#compdef skein\n/);
  const fish = (await runCli(null, ['completion', 'fish'])).out;
  for (const path of ["'instance console'", "'job change-priority'", "'lab cut'", "'raft transfer'"]) {
    assert.ok(fish.includes(`case ${path}\n`), path);
    assert.ok(zsh.includes(`${path}) subs=`), path);
  }
  for (const [shell, script] of [
    ['zsh', zsh],
    ['fish', fish],
  ] as const) {
    const found = spawnSync(shell, ['-n'], { input: script, timeout: 10_000 });
    if (!found.error) assert.equal(found.status, 0, found.stderr.toString('utf8'));
  }
});
