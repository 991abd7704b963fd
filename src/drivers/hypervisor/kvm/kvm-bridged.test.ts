import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { createBridgedNetworkDriver, tapName } from '../../network/bridged.ts';
import { createLocalProcessKeeper } from '../../process/local-process-keeper.ts';
import { runCommand } from '../../process/run-command.ts';
import { guestSpec, nicSpec } from '../../testing/guest-spec.ts';
import { inNamespaces } from '../../testing/in-namespace.ts';
import { waitFor } from '../../testing/wait-for.ts';
import { createKvmDriver } from './kvm-driver.ts';

const make_initrd = new URL('../../os/definitions/skein-busybox/make-initrd', import.meta.url).pathname;

await inNamespaces(import.meta.url, ['qemu-system-x86_64', 'busybox', 'cpio', 'ping'], () => {
  test('a guest on a bridge is reached by the network; its tap goes with it', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'br-'));
    const keeper = createLocalProcessKeeper();
    t.after(async () => {
      await keeper.close();
      await rm(dir, { recursive: true });
    });
    const run = (...argv: readonly string[]) => runCommand(argv, { timeout_ms: 20_000, allow_failure: true });
    await run('ip', 'link', 'add', 'br-test', 'type', 'bridge');
    await run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'br-test');
    await run('ip', 'link', 'set', 'br-test', 'up');
    assert.equal((await run(make_initrd, dir)).code, 0);

    const network = new Map([['bridged', createBridgedNetworkDriver()]]);
    const driver = createKvmDriver({ run_dir: join(dir, 'run'), keeper, network, accel: 'tcg' });
    const nic = nicSpec({ mode: 'bridged', link: 'br-test' });
    const hvparams = {
      kernel_path: join(dir, 'vmlinuz'),
      initrd_path: join(dir, 'initrd.gz'),
      kernel_args: 'quiet skein.ip=192.0.2.9/24',
      root_path: '',
    };
    const guest = guestSpec({ name: 'web1', memory_mib: 128, nics: [nic], hvparams });
    await driver.start(guest, { paused: false });
    await waitFor(
      'an answer to ping',
      40_000,
      async () => (await run('ping', '-c1', '-W1', '192.0.2.9')).code === 0,
    );
    assert.match((await run('ip', 'neigh', 'show', '192.0.2.9')).stdout, new RegExp(nic.mac));

    const console_log = join(dir, 'run', 'web1', 'console.log');
    await waitFor('it to count', 40_000, async () => /COUNT/.test(await readFile(console_log, 'latin1')));

    // A crash: the process is gone without our doing, the tap is still there, and cleanup finds it by the record.
    process.kill((await keeper.list())[0]?.pid as number, 'SIGKILL');
    await waitFor('process gone', 5_000, async () => (await keeper.list()).length === 0);
    assert.equal((await run('ip', 'link', 'show', tapName(nic.uuid))).code, 0);
    await driver.cleanup('web1');
    assert.equal((await run('ip', 'link', 'show', tapName(nic.uuid))).code, 1);
    assert.ok(!existsSync(join(dir, 'run', 'web1')));
  });
});
