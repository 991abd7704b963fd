import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { guestSpec } from '../../testing/guest-spec.ts';
import type { DriverError } from '../../types.ts';
import { createFakeDriver } from './fake-driver.ts';

async function setUp(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fake-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}
const guest = guestSpec();

test('its guests outlive the agent, not the boot of the host', async (t) => {
  const dir = join(await setUp(t), 'guests');
  const driver = createFakeDriver({ dir, boot_id: 'one' });
  assert.deepEqual(await driver.list(), []);
  await driver.start(guest, { paused: true });
  await driver.start(guest, { paused: false }); // Twice is once: it stays paused.
  const next_agent = createFakeDriver({ dir, boot_id: 'one' });
  const row = {
    name: guest.name,
    uuid: guest.uuid,
    epoch: 1,
    state: 'paused',
    memory_mib: 4,
    vcpus: 1,
    pid: 0,
  };
  assert.deepEqual(await next_agent.list(), [row]);
  await next_agent.resume(guest.name);
  assert.deepEqual(await driver.list(), [{ ...row, state: 'running' }]);
  assert.deepEqual(await createFakeDriver({ dir, boot_id: 'two' }).list(), []);
  await createFakeDriver({ dir, boot_id: 'two' }).start({ ...guest, epoch: 2 }, { paused: false });
});

test('refuses another epoch or uuid, and acts on what does not run', async (t) => {
  const driver = createFakeDriver({ dir: await setUp(t) });
  const acts = [
    () => driver.pause(guest.name, 1),
    () => driver.resume(guest.name),
    () => driver.reset(guest.name),
  ];
  for (const act of acts) {
    await assert.rejects(act(), (error: DriverError) => error.code === 'not-found');
  }
  await driver.start(guest, { paused: false });
  await assert.rejects(
    driver.start({ ...guest, epoch: 2 }, { paused: false }),
    (error: DriverError) => error.code === 'exists',
  );
  await assert.rejects(driver.cleanup(guest.name), (error: DriverError) => error.code === 'exists');
  await driver.reset(guest.name);
  await driver.stop(guest.name, 0);
  await driver.stop(guest.name, 0);
  await driver.cleanup(guest.name);
  assert.deepEqual(await driver.list(), []);
  assert.equal(driver.console(guest.name).kind, 'none');
});

test('bad names and parameters are refused, and a torn temporary file harms nobody', async (t) => {
  const dir = await setUp(t);
  const driver = createFakeDriver({ dir });
  await assert.rejects(
    driver.start(guestSpec({ name: '../x' }), { paused: false }),
    /instance name "\.\.\/x"/,
  );
  assert.throws(() => driver.validate({ acpi: true }), /acpi=true: fake has no parameters/);
  driver.validate({ migration_mode: 'live' });
  await writeFile(join(dir, 'web1.json.new'), '{"gue');
  assert.deepEqual(await driver.list(), []);
  assert.deepEqual(await readdir(dir), ['web1.json.new']);
});
