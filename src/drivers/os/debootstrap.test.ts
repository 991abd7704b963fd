/**
 * Debian's ganeti-instance-debootstrap, unchanged. The kernel's device-mapper may be missing, so it is told not to
 * partition, in its own way: a line PARTITION_STYLE=none in a variant's file (or in
 * /etc/default/ganeti-instance-debootstrap, for all). To need neither network nor a minute, it finds in its cache a
 * small system that we made, as it would find the one of its last run. Its configuration and cache are replaced
 * inside a mount namespace only.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { runCommand } from '../process/run-command.ts';
import { guestSpec } from '../testing/guest-spec.ts';
import { inNamespaces } from '../testing/in-namespace.ts';
import { createOsDriver } from './os-driver.ts';

const definitions = '/usr/share/ganeti/os';
const missing = existsSync(join(definitions, 'debootstrap'))
  ? false
  : 'needs the Debian package ganeti-instance-debootstrap';

await inNamespaces(import.meta.url, ['mount', 'losetup', 'mke2fs', 'tar', 'busybox', 'dpkg'], () => {
  test('debootstrap installs on an image file, and leaves no loop device', { skip: missing }, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'deb-'));
    const run = (...argv: readonly string[]) => runCommand(argv, { timeout_ms: 20_000 });
    const etc = '/etc/ganeti/instance-debootstrap';
    const cache = '/var/cache/ganeti-instance-debootstrap';
    const mounted: string[] = [];
    t.after(async () => {
      for (const path of mounted.reverse()) await run('umount', path);
      await rm(dir, { recursive: true });
    });
    const mount = async (...argv: readonly string[]): Promise<void> => {
      await run('mount', ...argv);
      mounted.push(argv.at(-1) as string);
    };

    for (const name of ['etc/variants', 'etc/hooks', 'cache', 'root/bin', 'root/etc/network', 'installed'])
      await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, 'etc/variants.list'), 'plain\n');
    await writeFile(join(dir, 'etc/variants/plain.conf'), 'PARTITION_STYLE=none\nSUITE=tiny\n');
    await copyFile((await run('which', 'busybox')).stdout.trim(), join(dir, 'root/bin/busybox'));
    await symlink('busybox', join(dir, 'root/bin/passwd'));
    await writeFile(join(dir, 'root/etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
    const arch = (await run('dpkg', '--print-architecture')).stdout.trim();
    await run('tar', '-c', '-f', join(dir, `cache/cache-tiny-${arch}.tar`), '-C', join(dir, 'root'), '.');
    await mount('--bind', join(dir, 'etc'), etc);
    await mount('--bind', join(dir, 'cache'), cache);

    const image = join(dir, 'disk.img');
    await run('truncate', '-s', '600M', image);
    const driver = createOsDriver({ paths: [definitions], log_dir: dir });
    const guest = guestSpec({
      name: 'deb1',
      disks: [{ path: image, mode: 'rw', uuid: 'u' }],
      hvparams: { serial_console: true },
    });
    const common = {
      guest,
      hypervisor: 'kvm',
      disk_sizes_mib: [600],
      beparams: {},
      primary_node: 'node1',
      reinstall: false,
    };
    const rest = { log_file: join(dir, 'log'), timeout_ms: 50_000 };
    const idle = new AbortController().signal;
    const install = (osparams: Record<string, string>) =>
      driver.create({ os: 'debootstrap+plain', osparams, ...common, ...rest }, () => undefined, idle);

    await assert.rejects(
      install({ filesystem: 'ntfs' }),
      /Invalid value 'ntfs' for the filesystem parameter/,
    );
    await install({ filesystem: 'ext4' });
    assert.equal((await run('losetup', '-j', image)).stdout, '');
    await mount('-o', 'loop,ro', image, join(dir, 'installed'));
    assert.equal(await readFile(join(dir, 'installed/etc/hostname'), 'utf8'), 'deb1\n');
    assert.match(await readFile(join(dir, 'installed/etc/fstab'), 'utf8'), /ext4/);
    assert.match(await readFile(join(dir, 'installed/etc/passwd'), 'utf8'), /^root::/);
  });
});
