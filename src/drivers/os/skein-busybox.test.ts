import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { createKvmDriver } from '../hypervisor/kvm/kvm-driver.ts';
import { createUserNetworkDriver } from '../network/user.ts';
import { createLocalProcessKeeper, type LocalProcessKeeper } from '../process/local-process-keeper.ts';
import { findProgram } from '../process/program-path.ts';
import { runCommand } from '../process/run-command.ts';
import { createSharedFileStorageDriver } from '../storage/sharedfile.ts';
import { guestSpec, nicSpec } from '../testing/guest-spec.ts';
import { waitFor } from '../testing/wait-for.ts';
import type { DiskSpec, DriverError, GuestSpec, OsRun } from '../types.ts';
import { default_os_paths } from './os-definition.ts';
import { createOsDriver } from './os-driver.ts';

async function missing(): Promise<string | false> {
  const wanted = {
    'qemu-system-x86_64': 'qemu-system-x86',
    busybox: 'busybox-static',
    cpio: 'cpio',
    mformat: 'mtools',
    syslinux: 'syslinux',
  };
  for (const [program, package_name] of Object.entries(wanted)) {
    if ((await findProgram(program)) === null) return `needs ${program} (Debian package ${package_name})`;
  }
  if (!existsSync('/usr/lib/syslinux/mbr/mbr.bin')) return 'needs mbr.bin (Debian package syslinux-common)';
  const versions = existsSync('/lib/modules') ? await readdir('/lib/modules') : [];
  if (!versions.some((version) => existsSync(`/boot/vmlinuz-${version}`)))
    return 'needs a kernel with modules (Debian package linux-image-cloud-amd64)';
  return false;
}
const skip = await missing();
const definition = new URL('./definitions/skein-busybox/', import.meta.url).pathname;
const idle = new AbortController().signal;
const boot_timeout_ms = 60_000;

interface Rig {
  readonly dir: string;
  readonly keeper: LocalProcessKeeper;
  readonly disk: DiskSpec;
  readonly guest: GuestSpec;
  readonly install: (given?: Partial<OsRun>) => Promise<void>;
}

async function setUp(t: TestContext): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'bb-'));
  const keeper = createLocalProcessKeeper();
  t.after(async () => {
    await keeper.close();
    await rm(dir, { recursive: true });
  });
  const base = join(dir, 'shared');
  await mkdir(base);
  const storage = createSharedFileStorageDriver({ allowedDirs: () => [base] });
  const plain = {
    uuid: '0b9b5f6a-53a8-47f3-a0a2-6d5b1d1d7c01',
    instance_name: 'web1',
    index: 0,
    size: 48,
    mode: 'rw',
  } as const;
  const disk: DiskSpec = { ...plain, logical_id: storage.plan(base, plain) };
  await storage.create(disk);
  const guest = guestSpec({
    name: 'web1',
    memory_mib: 128,
    disks: [{ path: String(disk.logical_id[1]), mode: 'rw', uuid: disk.uuid }],
    nics: [nicSpec()],
  });
  const driver = createOsDriver({ paths: default_os_paths, log_dir: dir });
  const install = (given: Partial<OsRun> = {}): Promise<void> =>
    driver.create(
      {
        ...{
          guest,
          os: 'skein-busybox+default',
          osparams: {},
          hypervisor: 'kvm',
          disk_sizes_mib: [disk.size],
          beparams: {},
        },
        ...{ primary_node: 'node1', reinstall: false, log_file: join(dir, 'create.log'), timeout_ms: 60_000 },
        ...given,
      },
      () => undefined,
      idle,
    );
  return { dir, keeper, disk, guest, install };
}

/** One host: a driver with a run directory of its own. */
function host(rig: Rig, name: string) {
  const run_dir = join(rig.dir, name);
  const driver = createKvmDriver({
    run_dir,
    keeper: rig.keeper,
    network: new Map([['user', createUserNetworkDriver()]]),
    accel: 'tcg',
  });
  const log = async (): Promise<string> => {
    const path = join(run_dir, rig.guest.name, 'console.log');
    return existsSync(path) ? (await readFile(path, 'latin1')).replaceAll('\r', '') : '';
  };
  const counts = async (): Promise<readonly number[]> =>
    [...(await log()).matchAll(/^COUNT (\d+)$/gm)].map((match) => Number(match[1]));
  return { driver, log, counts };
}

test('boots, counts on, has a network and a shell, goes on after a crash elsewhere, powers off by its button', {
  skip,
}, async (t) => {
  const rig = await setUp(t);
  const begun = performance.now();
  await rig.install();
  t.diagnostic(`create: ${Math.round(performance.now() - begun)} ms`);

  const one = host(rig, 'one');
  const started = performance.now();
  await one.driver.start(rig.guest, { paused: false });
  await waitFor('it counts', boot_timeout_ms, async () => (await one.counts()).length >= 2);
  t.diagnostic(`start to second count: ${Math.round(performance.now() - started)} ms`);
  assert.match(await one.log(), /^SKEIN-GUEST web1 up$/m);
  assert.deepEqual((await one.counts()).slice(0, 2), [1, 2]);

  const socket = createConnection(one.driver.console('web1').path);
  t.after(() => socket.destroy());
  socket.write('\n');
  await waitFor('a shell', 20_000, async () => (await one.log()).includes('(a shell;'));
  socket.write('echo "sum $((40+2))"; ip -4 addr show eth0\n');
  await waitFor('the shell answers', 20_000, async () => /^sum 42$/m.test(await one.log()));
  socket.write('exit\n');
  const before = (await one.counts()).length;
  await waitFor('it counts on', 20_000, async () => (await one.counts()).length > before);
  socket.destroy();

  await one.driver.stop('web1', 0); // A crash: nothing is flushed.
  const told = (await one.counts()).at(-1) as number;
  const two = host(rig, 'two');
  await two.driver.start({ ...rig.guest, epoch: 2 }, { paused: false });
  await waitFor('it counts elsewhere', boot_timeout_ms, async () => (await two.counts()).length > 0);
  const first = (await two.counts())[0] as number;
  assert.ok(first > told && first <= told + 2, `told ${told}, then ${first}`);

  await two.driver.stop('web1', 30_000);
  assert.match(await two.log(), /SKEIN-GUEST web1 powers off/);
  assert.deepEqual(await rig.keeper.list(), []);
});

test('parameters: a name of its own, no counting, a fixed address; renamed and reinstalled', {
  skip,
}, async (t) => {
  const rig = await setUp(t);
  await rig.install();
  await rig.install({
    osparams: { hostname: 'other', count: 'no', ip: '10.0.2.99/24', gateway: '10.0.2.2' },
    reinstall: true,
  });
  const guest = { ...rig.guest, hvparams: { disk_type: 'ide' } };
  const one = host(rig, 'one');
  await one.driver.start(guest, { paused: false });
  await waitFor('it is up', boot_timeout_ms, async () =>
    (await one.log()).includes('press Enter for a shell'),
  );
  assert.match(await one.log(), /^SKEIN-GUEST other up$/m);
  assert.deepEqual(await one.counts(), []);
  const socket = createConnection(one.driver.console('web1').path);
  t.after(() => socket.destroy());
  socket.write('\nip -4 -o addr; ip route\n');
  await waitFor(
    'its address',
    20_000,
    async () => /10\.0\.2\.99\/24/.test(await one.log()) && /default via 10\.0\.2\.2/.test(await one.log()),
  );
  await one.driver.stop('web1', 0);

  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    INSTANCE_NAME: 'web2',
    OLD_INSTANCE_NAME: 'web1',
    DISK_COUNT: '1',
    DISK_0_PATH: String(rig.disk.logical_id[1]),
  };
  await runCommand([join(definition, 'rename')], { timeout_ms: 10_000, cwd: definition, env });
  const { stdout } = await runCommand(['mtype', '-i', `${env.DISK_0_PATH}@@1048576`, '::syslinux.cfg'], {
    timeout_ms: 10_000,
  });
  assert.match(stdout, /skein\.hostname=web2 /);
});

test('a diskless guest boots from the pair that make-initrd builds', { skip }, async (t) => {
  const rig = await setUp(t);
  await runCommand([join(definition, 'make-initrd'), rig.dir], { timeout_ms: 30_000 });
  assert.ok((await stat(join(rig.dir, 'initrd.gz'))).size < 8 << 20);
  const hvparams = {
    kernel_path: join(rig.dir, 'vmlinuz'),
    initrd_path: join(rig.dir, 'initrd.gz'),
    kernel_args: 'quiet skein.hostname=bare',
    root_path: '',
    serial_speed: '115200',
  };
  const one = host(rig, 'one');
  await one.driver.start({ ...rig.guest, hvparams, disks: [], nics: [] }, { paused: false });
  await waitFor('it counts', boot_timeout_ms, async () => (await one.counts()).length >= 2);
  assert.match(await one.log(), /^SKEIN-GUEST bare up$/m);
  await rig.install({ guest: { ...rig.guest, disks: [] }, disk_sizes_mib: [] });
});

test('bad parameters and a disk that is too small are refused', { skip }, async (t) => {
  const rig = await setUp(t);
  for (const [osparams, message] of [
    [{ count: 'maybe' }, /parameter count is 'maybe', expected yes or no/],
    [{ hostname: 'a b' }, /parameter hostname is 'a b'/],
    [{ ip: '10.0.0.1' }, /expected a prefix length after it/],
    [{ ip: '10.0.0.1/24 init=/bin/sh' }, /parameter ip is/],
    [{ gateway: 'gw' }, /parameter gateway is 'gw'/],
  ] as const) {
    await assert.rejects(rig.install({ osparams }), (error: DriverError) => message.test(error.message));
  }
  const path = join(rig.dir, 'small.img');
  await runCommand(['truncate', '-s', '20M', path], { timeout_ms: 5_000 });
  const disks = [{ path, mode: 'rw' as const, uuid: 'u' }];
  await assert.rejects(
    rig.install({ guest: { ...rig.guest, disks } }),
    /disk 0 has 20 MiB, expected at least 34/,
  );
});
