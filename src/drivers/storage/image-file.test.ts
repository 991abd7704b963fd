import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { runCommand } from '../process/run-command.ts';
import { inNamespaces } from '../testing/in-namespace.ts';
import type { DiskSpec, DriverError, StorageDriver } from '../types.ts';
import { createDisklessDriver } from './diskless.ts';
import { createFileStorageDriver } from './file.ts';
import { createSharedFileStorageDriver } from './sharedfile.ts';

const uuid = '0b9b5f6a-53a8-47f3-a0a2-6d5b1d1d7c01';

interface Rig {
  readonly top: string;
  readonly base: string;
  readonly driver: StorageDriver;
  readonly disk: DiskSpec;
}

async function setUp(t: TestContext): Promise<Rig> {
  const top = await mkdtemp(join(tmpdir(), 'storage-'));
  t.after(() => rm(top, { recursive: true }));
  const base = join(top, 'base');
  await mkdir(base);
  const driver = createSharedFileStorageDriver({ allowedDirs: () => [base] });
  const logical_id = driver.plan(base, { uuid, instance_name: 'web1', index: 0 });
  return {
    top,
    base,
    driver,
    disk: { uuid, instance_name: 'web1', index: 0, size: 8, mode: 'rw', logical_id },
  };
}

const at = (rig: Rig, path: string): DiskSpec => ({ ...rig.disk, logical_id: ['loop', path] });
const code =
  (expected: DriverError['code'], message: RegExp) =>
  (error: DriverError): boolean =>
    error.code === expected && message.test(error.message);

test('creates a sparse image under a name that Ganeti would give it, once, and removes it with its directory', async (t) => {
  const { base, driver, disk } = await setUp(t);
  assert.deepEqual(disk.logical_id, ['loop', `${base}/web1/${uuid}.sharedfile.disk0`]);
  const path = String(disk.logical_id[1]);
  assert.deepEqual(await driver.info(disk), { exists: false, size: 0, path });
  await driver.create(disk);
  await writeFile(path, 'precious', { flag: 'r+' });
  await driver.create(disk); // Twice is once, and keeps what is there.
  assert.equal((await readFile(path, 'latin1')).slice(0, 8), 'precious');
  assert.deepEqual(await driver.info(disk), { exists: true, size: 8, path });
  const { blocks, mode } = await stat(path);
  assert.ok(blocks * 512 < 1 << 20, 'it is sparse');
  assert.equal(mode & 0o777, 0o600);
  await assert.rejects(
    driver.create({ ...disk, size: 9 }),
    code('exists', /exists with 8388608 bytes, not 9437184/),
  );

  const second = { ...disk, uuid: uuid.replace('0b', '1b'), index: 1 };
  const second_disk = { ...second, logical_id: driver.plan(base, second) };
  await driver.create(second_disk);
  await driver.remove(disk);
  await driver.remove(disk); // Gone already: fine.
  assert.deepEqual(await readdir(join(base, 'web1')), [`${second.uuid}.sharedfile.disk1`]);
  await driver.remove(second_disk);
  assert.deepEqual(await readdir(base), []);
});

test('what an interrupted create left is taken over by the next, and removed by remove', async (t) => {
  const rig = await setUp(t);
  const left = join(rig.base, 'web1', `.${uuid}.sharedfile.disk0.new`);
  await mkdir(join(rig.base, 'web1'));
  await writeFile(left, 'half');
  await rig.driver.remove(rig.disk);
  assert.deepEqual(await readdir(rig.base), []);
  await mkdir(join(rig.base, 'web1'));
  await writeFile(left, 'half');
  await rig.driver.create(rig.disk);
  assert.deepEqual(await readdir(join(rig.base, 'web1')), [`${uuid}.sharedfile.disk0`]);
});

test('no path outside the configured directory', async (t) => {
  const rig = await setUp(t);
  const file = `${uuid}.file.disk0`;
  for (const path of [
    `${rig.top}/other/web1/${file}`,
    `${rig.base}/../other/${file}`,
    `${rig.base}/web1/../../${file}`,
    `${rig.base}-evil/web1/${file}`,
    `${rig.base}/${file}`,
    `${rig.base}/a/b/${file}`,
    `base/web1/${file}`,
    `${rig.base}/web1/${file}\0`,
    '',
  ]) {
    for (const act of ['create', 'remove', 'info'] as const) {
      await assert.rejects(rig.driver[act](at(rig, path)), code('invalid', /disk path/), `${act} ${path}`);
    }
  }
  await assert.rejects(
    rig.driver.create(at(rig, `${rig.base}/web1/disk0`)),
    code('invalid', /expected the disk's uuid/),
  );
  assert.throws(
    () => rig.driver.plan(rig.base, { uuid, instance_name: '../x', index: 0 }),
    code('invalid', /instance name/),
  );
  assert.throws(
    () => rig.driver.plan(rig.base, { uuid: '/etc', instance_name: 'a', index: 0 }),
    code('invalid', /disk uuid/),
  );
  assert.deepEqual(await readdir(rig.base), []);
});

test('no symbolic link leads out', async (t) => {
  const rig = await setUp(t);
  const outside = join(rig.top, 'outside');
  const name = `${uuid}.sharedfile.disk0`;
  await mkdir(outside);
  await writeFile(join(outside, name), 'precious');
  await symlink(outside, join(rig.base, 'web1'));
  for (const act of ['create', 'remove', 'info'] as const) {
    await assert.rejects(rig.driver[act](rig.disk), code('invalid', /not a plain directory/), act);
  }
  await rm(join(rig.base, 'web1'));
  await mkdir(join(rig.base, 'web1'));
  await symlink(join(outside, name), join(rig.base, 'web1', name));
  for (const act of ['create', 'remove', 'info'] as const) {
    await assert.rejects(rig.driver[act](rig.disk), code('invalid', /not a regular file/), act);
  }
  assert.equal(await readFile(join(outside, name), 'utf8'), 'precious');

  // The directory that the operator configured may itself be a link.
  const link = join(rig.top, 'link');
  await symlink(rig.base, link);
  await rm(join(rig.base, 'web1'), { recursive: true });
  const driver = createFileStorageDriver({ allowedDirs: () => [link] });
  await driver.create({ ...rig.disk, logical_id: driver.plan(link, rig.disk) });
  assert.ok((await lstat(join(rig.base, 'web1', `${uuid}.file.disk0`))).isFile());
});

test('a missing storage directory is an error, never made', async (t) => {
  const rig = await setUp(t);
  await rm(rig.base, { recursive: true });
  for (const act of ['create', 'remove', 'info'] as const) {
    await assert.rejects(rig.driver[act](rig.disk), code('not-found', /does not exist/), act);
  }
  assert.ok(!existsSync(rig.base));
  assert.match((await rig.driver.capabilities()).reason, /ENOENT.*create or mount it/);
});

test('wrong sizes and sizes beyond the free space leave nothing', async (t) => {
  const rig = await setUp(t);
  for (const size of [0, -1, 1.5, Number.NaN, 2 ** 40]) {
    await assert.rejects(
      rig.driver.create({ ...rig.disk, size }),
      code('invalid', /disk size .*: expected a whole number/),
    );
  }
  await assert.rejects(
    rig.driver.create({ ...rig.disk, size: 64 << 20 }),
    code('no-space', /only \d+ MiB are free/),
  );
  assert.deepEqual(await readdir(rig.base), []);
  assert.equal((await rig.driver.capabilities()).available, true);
});

test('diskless refuses every disk', async () => {
  const driver = createDisklessDriver();
  const disk: DiskSpec = { uuid, instance_name: 'web1', index: 0, size: 1, mode: 'rw', logical_id: [] };
  for (const act of [driver.create(disk), driver.remove(disk), driver.info(disk)])
    await assert.rejects(act, /has no disks/);
  assert.equal((await driver.capabilities()).available, true);
});

await inNamespaces(import.meta.url, ['mount'], () => {
  test('a full file system: no-space, and nothing is left', async (t) => {
    const base = await mkdtemp(join(tmpdir(), 'full-'));
    t.after(async () => {
      await runCommand(['umount', base], { timeout_ms: 5_000 });
      await rm(base, { recursive: true });
    });
    // Two inodes: the root's and the instance's directory. The file itself finds no room.
    await runCommand(['mount', '-t', 'tmpfs', '-o', 'size=64m,nr_inodes=2', 'tmpfs', base], {
      timeout_ms: 5_000,
    });
    const driver = createFileStorageDriver({ allowedDirs: () => [base] });
    const logical_id = driver.plan(base, { uuid, instance_name: 'web1', index: 0 });
    const disk: DiskSpec = { uuid, instance_name: 'web1', index: 0, size: 8, mode: 'rw', logical_id };
    await assert.rejects(driver.create(disk), code('no-space', /no room for/));
    assert.deepEqual(await readdir(base), []);
    await assert.rejects(driver.create({ ...disk, size: 65 }), code('no-space', /only 64 MiB are free/));
  });
});
