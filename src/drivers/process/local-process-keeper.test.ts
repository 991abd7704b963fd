import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { waitFor } from '../testing/wait-for.ts';
import type { DriverError, ProcessSpec } from '../types.ts';
import { createLocalProcessKeeper, type LocalProcessKeeper } from './local-process-keeper.ts';

async function setUp(
  t: TestContext,
): Promise<{ dir: string; keeper: LocalProcessKeeper; spec: (given?: Partial<ProcessSpec>) => ProcessSpec }> {
  const dir = await mkdtemp(join(tmpdir(), 'keeper-'));
  const keeper = createLocalProcessKeeper();
  t.after(async () => {
    await keeper.close();
    await rm(dir, { recursive: true });
  });
  const spec = (given: Partial<ProcessSpec> = {}): ProcessSpec => ({
    name: 'guest/a',
    tag: 'u:1',
    argv: ['/bin/sleep', '300'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    log_file: join(dir, 'log'),
    protected: true,
    ...given,
  });
  return { dir, keeper, spec };
}

test('starts once per name and tag, lists, and kills until proven gone', async (t) => {
  const { keeper, spec } = await setUp(t);
  const [first, second] = await Promise.all([keeper.spawn(spec()), keeper.spawn(spec())]);
  assert.equal(first.pid, second.pid);
  assert.deepEqual(await keeper.list(), [
    { name: 'guest/a', tag: 'u:1', pid: first.pid, protected: true, frozen: false },
  ]);
  await assert.rejects(keeper.spawn(spec({ tag: 'u:2' })), (error: DriverError) => error.code === 'exists');
  process.kill(first.pid, 'SIGSTOP');
  await waitFor('frozen', 2_000, async () => (await keeper.list())[0]?.frozen);
  await keeper.kill('guest/a', 5_000);
  assert.deepEqual(await keeper.list(), []);
  assert.ok(!existsSync(`/proc/${first.pid}`));
  await keeper.kill('guest/a', 5_000); // Gone already: fine.
});

test('tells of an exit with status and the end of the log, once nothing of the group is left', async (t) => {
  const { dir, keeper, spec } = await setUp(t);
  const exits: unknown[] = [];
  keeper.onExit((exit) => exits.push(exit));
  await keeper.spawn(
    spec({ argv: ['/bin/sh', '-c', `sleep 300 & echo $! >${dir}/child; echo last words; exit 4`] }),
  );
  await waitFor('exit told', 5_000, () => exits.length > 0);
  assert.deepEqual(exits, [{ name: 'guest/a', tag: 'u:1', code: 4, signal: null, log_tail: 'last words\n' }]);
  assert.ok(!existsSync(`/proc/${(await readFile(join(dir, 'child'), 'utf8')).trim()}/exe`));
});

test('a missing program is an error, and nothing is kept', async (t) => {
  const { keeper, spec } = await setUp(t);
  await assert.rejects(
    keeper.spawn(spec({ argv: ['/nowhere/qemu-system-x86_64'] })),
    (error: DriverError) => error.code === 'missing-program' && error.hint.includes('qemu-system-x86'),
  );
  assert.deepEqual(await keeper.list(), []);
});

test('its processes die with the process that keeps them', async (t) => {
  const { dir } = await setUp(t);
  const module_url = new URL('./local-process-keeper.ts', import.meta.url).href;
  const script = `
    const { createLocalProcessKeeper } = await import(${JSON.stringify(module_url)});
    const { pid } = await createLocalProcessKeeper().spawn({ name: 'guest/a', tag: 'u:1', argv: ['/bin/sleep', '300'],
      env: { PATH: '/usr/bin:/bin' }, cwd: '/', log_file: ${JSON.stringify(join(dir, 'log'))}, protected: true });
    console.log(pid);
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.on('close', resolve));
  assert.match(output, /^\d+\n$/);
  await waitFor('kept process gone', 3_000, () => !existsSync(`/proc/${output.trim()}`));
});
