import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { waitFor } from '../testing/wait-for.ts';
import type { DriverError } from '../types.ts';
import { runCommand } from './run-command.ts';

const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true; // ESRCH: no such process.
  }
};

async function inTemporary(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'run-command-'));
  try {
    await body(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('gives input, environment and directory, and takes status and both outputs', async () => {
  const lines: string[] = [];
  const result = await runCommand(
    ['/bin/sh', '-c', 'cat; echo "$A in $PWD" >&2; env | grep -c ^HOME=; exit 3'],
    {
      timeout_ms: 5_000,
      env: { PATH: '/usr/bin:/bin', A: 'b' },
      cwd: '/usr',
      input: 'one\ntwo\n',
      allow_failure: true,
      onLine: (line, stream) => lines.push(`${stream}:${line}`),
    },
  );
  assert.deepEqual(result, { code: 3, stdout: 'one\ntwo\n0\n', stderr: 'b in /usr\n' });
  assert.deepEqual(lines.sort(), ['stderr:b in /usr', 'stdout:0', 'stdout:one', 'stdout:two']);
});

test('a status other than 0 is an error that carries the end of stderr', async () => {
  await assert.rejects(
    runCommand(['/bin/sh', '-c', 'echo lost >&2; exit 7'], { timeout_ms: 5_000 }),
    (error: DriverError) => error.code === 'failed' && /status 7: lost$/.test(error.message),
  );
});

test('a missing program names its Debian package; a missing directory is not taken for one', async () => {
  await assert.rejects(
    runCommand(['/nowhere/arping'], { timeout_ms: 5_000 }),
    (error: DriverError) => error.code === 'missing-program' && error.hint.includes('iputils-arping'),
  );
  await assert.rejects(
    runCommand(['/bin/true'], { timeout_ms: 5_000, cwd: '/nowhere' }),
    (error: DriverError) => error.code === 'not-found' && error.message.includes('"/nowhere"'),
  );
});

test('a timeout kills the whole process group', () =>
  inTemporary(async (dir) => {
    const script = `sleep 300 & echo $! >${dir}/child; echo waiting >&2; wait`;
    await assert.rejects(
      runCommand(['/bin/sh', '-c', script], { timeout_ms: 300 }),
      (error: DriverError) => error.code === 'timeout' && error.message.includes('waiting'),
    );
    const child = Number(await readFile(join(dir, 'child'), 'utf8'));
    await waitFor('grandchild gone', 3_000, () => gone(child));
  }));

test('an abort kills at once, and one that came before starts nothing', () =>
  inTemporary(async (dir) => {
    const controller = new AbortController();
    const run = runCommand(['/bin/sh', '-c', 'echo $$; exec sleep 300'], {
      timeout_ms: 60_000,
      signal: controller.signal,
      onLine: () => controller.abort(),
    });
    await assert.rejects(run, /was canceled/);
    const late = runCommand(['/bin/sh', '-c', `touch ${dir}/started`], {
      timeout_ms: 5_000,
      signal: controller.signal,
    });
    await assert.rejects(late, /was canceled/);
    await assert.rejects(readFile(join(dir, 'started')), /ENOENT/);
  }));

test('a grandchild that keeps the pipes open does not keep us waiting', async () => {
  const begun = Date.now();
  const { stdout } = await runCommand(['/bin/sh', '-c', 'sleep 20 & echo $!'], { timeout_ms: 15_000 });
  assert.ok(Date.now() - begun < 10_000);
  process.kill(Number(stdout), 'SIGKILL');
});

test('output is bounded: the end is kept', async () => {
  const { stdout } = await runCommand(['/bin/sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x; echo end'], {
    timeout_ms: 10_000,
    max_output_bytes: 1_000,
  });
  assert.equal(stdout.length, 1_000);
  assert.ok(stdout.endsWith('xend\n'));
});

test('an error thrown by the listener ends the program and is passed on', async () => {
  const run = runCommand(['/bin/sh', '-c', 'echo hello; exec sleep 300'], {
    timeout_ms: 60_000,
    onLine: () => {
      throw new RangeError('enough');
    },
  });
  await assert.rejects(run, RangeError);
});
