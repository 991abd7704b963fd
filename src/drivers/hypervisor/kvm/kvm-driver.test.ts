import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { createUserNetworkDriver } from '../../network/user.ts';
import { createLocalProcessKeeper, type LocalProcessKeeper } from '../../process/local-process-keeper.ts';
import { findProgram } from '../../process/program-path.ts';
import { guestSpec, nicSpec } from '../../testing/guest-spec.ts';
import { waitFor } from '../../testing/wait-for.ts';
import type { DriverError, GuestSpec, HypervisorDriver, NetworkDriver } from '../../types.ts';
import { bootSector } from './boot-sector.ts';
import { createKvmDriver } from './kvm-driver.ts';

const skip =
  (await findProgram('qemu-system-x86_64')) === null
    ? 'needs qemu-system-x86_64 (Debian package qemu-system-x86)'
    : false;
const name = 'web1.example.org';

interface Rig {
  readonly dir: string;
  readonly keeper: LocalProcessKeeper;
  readonly driver: HypervisorDriver;
  readonly guest: GuestSpec;
  readonly nic_log: string[];
}

async function setUp(t: TestContext): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'kvm-'));
  const keeper = createLocalProcessKeeper();
  t.after(async () => {
    await keeper.close();
    await rm(dir, { recursive: true });
  });
  const nic_log: string[] = [];
  const user: NetworkDriver = {
    ...createUserNetworkDriver(),
    up: (instance, nic) => {
      nic_log.push(`up ${instance} ${nic.index}`);
      return Promise.resolve({ ifname: null });
    },
    down: (instance, nic) => {
      nic_log.push(`down ${instance} ${nic.index}`);
      return Promise.resolve();
    },
  };
  const driver = createKvmDriver({
    run_dir: join(dir, 'run'),
    keeper,
    network: new Map([['user', user]]),
    accel: 'tcg',
  });
  const path = join(dir, 'disk.img');
  await writeFile(path, Buffer.concat([bootSector('BOOTED\r\n', 'tick'), Buffer.alloc((1 << 20) - 512)]));
  const guest = guestSpec({ disks: [{ path, mode: 'rw', uuid: '11111111-2222-3333-4444-555555555555' }] });
  return { dir, keeper, driver, guest, nic_log };
}

const consoleLog = (rig: Rig): string => join(rig.dir, 'run', name, 'console.log');
const hasBooted = (rig: Rig) => async (): Promise<boolean> =>
  (await readFile(consoleLog(rig), 'utf8')).includes('BOOTED');

async function state(rig: Rig): Promise<string | undefined> {
  return (await rig.driver.list())[0]?.state;
}

test('starts, pauses with CPUs really still, resumes, resets, stops', { skip }, async (t) => {
  const rig = await setUp(t);
  const { driver, guest } = rig;
  await driver.start(guest, { paused: false });
  await waitFor('boot', 20_000, hasBooted(rig));
  const [row] = await driver.list();
  assert.deepEqual(
    { ...row, pid: 0 },
    { name, uuid: guest.uuid, epoch: 1, state: 'running', memory_mib: 4, vcpus: 1, pid: 0 },
  );

  await driver.start(guest, { paused: false }); // Twice is once.
  assert.equal((await driver.list())[0]?.pid, row?.pid);
  for (const other of [
    { ...guest, epoch: 2 },
    { ...guest, uuid: '7f1d3ad4-9b0e-4a6e-8a53-1f0a3c1d2b11' },
  ]) {
    await assert.rejects(
      driver.start(other, { paused: false }),
      (error: DriverError) => error.code === 'exists',
    );
  }
  await assert.rejects(driver.cleanup(name), (error: DriverError) => error.code === 'exists');

  await driver.pause(name, 5_000);
  assert.equal(await state(rig), 'paused');
  const still = (await stat(consoleLog(rig))).size;
  await driver.pause(name, 5_000);
  await driver.start(guest, { paused: false }); // Must not make a paused guest run again.
  assert.equal(await state(rig), 'paused');
  assert.equal((await stat(consoleLog(rig))).size, still);
  await driver.resume(name);
  assert.equal(await state(rig), 'running');
  await waitFor('ticks again', 5_000, async () => (await stat(consoleLog(rig))).size > still);

  await driver.reset(name);
  await waitFor(
    'second boot',
    20_000,
    async () => (await readFile(consoleLog(rig), 'utf8')).split('BOOTED').length === 3,
  );

  await driver.stop(name, 0);
  assert.deepEqual(await driver.list(), []);
  assert.ok(!existsSync(`/proc/${row?.pid}`));
  await driver.stop(name, 0); // Gone already: fine.
  await driver.cleanup(name);
  assert.ok(!existsSync(join(rig.dir, 'run', name)));
});

test('a guest started paused runs nothing until it is resumed; the console is a byte stream', {
  skip,
}, async (t) => {
  const rig = await setUp(t);
  await rig.driver.start(rig.guest, { paused: true });
  assert.equal(await state(rig), 'paused');
  const where = rig.driver.console(name);
  assert.equal(where.kind, 'unix');
  let seen = '';
  const socket = createConnection(where.path);
  t.after(() => socket.destroy());
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    seen += chunk;
  });
  await new Promise((resolve) => socket.once('connect', resolve));
  assert.equal((await stat(consoleLog(rig))).size, 0);
  await rig.driver.resume(name);
  await waitFor('text on the console', 20_000, () => seen.includes('BOOTED'));
  await rig.driver.stop(name, 0);
  assert.equal(rig.driver.console(name).kind, 'none');
});

test('what an agent had begun before it died is finished by the same start again', { skip }, async (t) => {
  const rig = await setUp(t);
  await rig.driver.start(rig.guest, { paused: true });
  const next_agent = createKvmDriver({
    run_dir: join(rig.dir, 'run'),
    keeper: rig.keeper,
    network: new Map(),
    accel: 'tcg',
  });
  await next_agent.start(rig.guest, { paused: false });
  assert.equal((await next_agent.list())[0]?.state, 'running');
});

test('a guest that does not heed the power button is killed in time, one that stands still at once', {
  skip,
}, async (t) => {
  const rig = await setUp(t);
  await rig.driver.start(rig.guest, { paused: false });
  await waitFor('boot', 20_000, hasBooted(rig));
  let looks = 0;
  const counting = { ...rig.keeper, list: () => rig.keeper.list().finally(() => (looks += 1)) };
  const driver = createKvmDriver({
    run_dir: join(rig.dir, 'run'),
    keeper: counting,
    network: new Map(),
    accel: 'tcg',
  });
  const begun = Date.now();
  let stopped = false;
  const stopping = driver.stop(name, 2_000).then(() => {
    stopped = true;
  });
  await waitFor('the guest has been asked', 5_000, () => looks >= 4);
  await driver.pause(name, 5_000);
  assert.ok(!stopped, 'a pause does not wait behind a guest that takes its time to shut down');
  await stopping;
  assert.ok(Date.now() - begun >= 1_990);
  assert.deepEqual(await rig.driver.list(), []);

  await rig.driver.start(rig.guest, { paused: true });
  const again = Date.now();
  await rig.driver.stop(name, 60_000);
  assert.ok(Date.now() - again < 10_000);
});

test('a second QEMU on the same image is refused by the image lock', { skip }, async (t) => {
  const rig = await setUp(t);
  // Protected guests have the lease rules instead.
  await rig.driver.start({ ...rig.guest, protected: false }, { paused: false });
  const other = {
    ...rig.guest,
    protected: false,
    name: 'web2',
    uuid: '7f1d3ad4-9b0e-4a6e-8a53-1f0a3c1d2b11',
  };
  await assert.rejects(
    rig.driver.start(other, { paused: false }),
    (error: DriverError) => error.code === 'failed' && /lock/.test(error.message),
  );
  assert.deepEqual(
    (await rig.driver.list()).map((row) => row.name),
    [name],
  );
});

test('a start that fails tells why and leaves no process and no NIC', { skip }, async (t) => {
  const rig = await setUp(t);
  const nics = [nicSpec()];
  const bad = { ...rig.guest, nics, hvparams: { machine_version: 'pc-nonesuch' } };
  await assert.rejects(rig.driver.start(bad, { paused: false }), (error: DriverError) =>
    error.message.includes('unsupported machine type'),
  );
  assert.deepEqual(await rig.keeper.list(), []);
  assert.deepEqual(rig.nic_log, [`up ${name} 0`, `down ${name} 0`]);
});

test('bad input changes nothing and names what was expected', async (t) => {
  const rig = await setUp(t);
  const attempt = (given: Partial<GuestSpec>) =>
    rig.driver.start({ ...rig.guest, ...given }, { paused: false });
  await assert.rejects(attempt({ memory_mib: 0 }), /memory_mib 0 of .*: expected a whole number from 1/);
  await assert.rejects(attempt({ vcpus: 1.5 }), /vcpus 1.5/);
  await assert.rejects(attempt({ name: '../x' }), /instance name/);
  await assert.rejects(
    attempt({ disks: [{ path: '/nowhere/d.img', mode: 'rw', uuid: 'u' }] }),
    /disk 0 of .*: "\/nowhere\/d.img": no such file/,
  );
  await assert.rejects(
    attempt({ hvparams: { kernel_path: '/nowhere/vmlinuz' } }),
    /hypervisor parameter kernel_path .*: no such file/,
  );
  await assert.rejects(
    attempt({ nics: [nicSpec({ mode: 'routed' })] }),
    /NIC mode "routed": expected one of user/,
  );
  await assert.rejects(
    attempt({ hvparams: { kvm_path: '/nowhere/qemu' } }),
    (error: DriverError) => error.code === 'missing-program' && error.hint.includes('qemu-system-x86'),
  );
  for (const act of [rig.driver.pause(name, 1_000), rig.driver.resume(name), rig.driver.reset(name)]) {
    await assert.rejects(act, (error: DriverError) => error.code === 'not-found');
  }
  assert.ok(!existsSync(join(rig.dir, 'run')));
});

test('QEMU takes every kind of device that the parameters offer', { skip }, async (t) => {
  const rig = await setUp(t);
  const kinds: readonly GuestSpec['hvparams'][] = [
    { machine_version: 'q35', usb_mouse: 'tablet', vga: 'virtio', acpi: false },
    { disk_type: 'ide', nic_type: 'e1000', boot_order: 'network,disk', vga: 'cirrus', keymap: 'de' },
    { disk_type: 'scsi', nic_type: 'rtl8139', usb_mouse: 'mouse', reboot_behavior: 'exit' },
    {
      disk_type: 'scsi-hd',
      scsi_controller_type: 'virtio-scsi-pci',
      nic_type: 'pcnet',
      disk_cache: 'writethrough',
    },
    { disk_type: 'scsi-hd', scsi_controller_type: 'megasas', nic_type: 'i82551', disk_discard: 'unmap' },
    { disk_aio: 'io_uring', nic_type: 'i82557b', vnc_bind_address: rig.dir },
    { nic_type: 'i82559er', serial_console: false, use_localtime: true, cpu_type: 'qemu64', cpu_cores: 1 },
    { nic_type: 'ne2k_pci', cdrom_image_path: rig.guest.disks[0]?.path ?? '', boot_order: 'cdrom,disk' },
    { nic_type: 'ne2k_isa', kvm_extra: '-device pvpanic' },
  ];
  for (const hvparams of kinds) {
    const disks = hvparams['cdrom_image_path'] === undefined ? rig.guest.disks : [];
    await rig.driver.start({ ...rig.guest, disks, hvparams, nics: [nicSpec()] }, { paused: true });
    await rig.driver.stop(name, 0);
  }
  assert.equal(rig.nic_log.filter((line) => line.startsWith('up')).length, kinds.length);
});
