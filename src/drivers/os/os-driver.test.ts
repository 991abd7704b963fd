import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { guestSpec, nicSpec } from '../testing/guest-spec.ts';
import { waitFor } from '../testing/wait-for.ts';
import type { DriverError, OsDriver, OsRun } from '../types.ts';
import { createOsDriver } from './os-driver.ts';

interface Rig {
  readonly top: string;
  readonly driver: OsDriver;
  readonly run: (given?: Partial<OsRun>) => OsRun;
}

const idle = new AbortController().signal;
const quiet = (): void => undefined;

async function setUp(t: TestContext, create: string, verify = 'true'): Promise<Rig> {
  const top = await mkdtemp(join(tmpdir(), 'osd-'));
  t.after(() => rm(top, { recursive: true, force: true }));
  const dir = join(top, 'demo');
  await mkdir(dir);
  await writeFile(join(dir, 'ganeti_api_version'), '20\n');
  await writeFile(join(dir, 'variants.list'), 'small\n');
  await writeFile(join(dir, 'parameters.list'), 'root-size How large\n');
  const bodies = { create, verify, import: 'true', export: 'true', rename: 'true' };
  for (const [name, body] of Object.entries(bodies)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${body.replaceAll('@TOP@', top)}\n`);
    await chmod(join(dir, name), 0o755);
  }
  await writeFile(join(top, 'disk.img'), 'x');
  const guest = guestSpec({
    hvparams: { serial_console: true, disk_type: 'paravirtual', nic_type: 'e1000', kernel_path: '' },
    disks: [{ path: join(top, 'disk.img'), mode: 'rw', uuid: 'd-uuid' }],
    nics: [nicSpec({ mode: 'bridged', link: 'br0', ip: '192.0.2.9', name: 'front' })],
  });
  const run = (given: Partial<OsRun> = {}): OsRun => ({
    ...{ guest, os: 'demo+small', osparams: { 'root-size': '5' }, hypervisor: 'kvm', disk_sizes_mib: [64] },
    ...{
      beparams: { maxmem: 128, always_failover: false, none: null },
      primary_node: 'node1',
      reinstall: false,
    },
    ...{ log_file: join(top, 'logs', 'create.log'), timeout_ms: 20_000 },
    ...given,
  });
  return { top, driver: createOsDriver({ paths: [top], log_dir: join(top, 'logs') }), run };
}

test('the environment is complete and clean, the directory the definition, standard input empty', async (t) => {
  const rig = await setUp(t, 'echo "pwd=$(pwd) input=$(cat)"; env | sort');
  process.env['SKEIN_LEAK'] = 'secret';
  t.after(() => delete process.env['SKEIN_LEAK']);
  const lines: string[] = [];
  await rig.driver.create(rig.run({ reinstall: true }), (line) => lines.push(line), idle);
  assert.equal(lines[0], `pwd=${rig.top}/demo input=`);
  const shell_own = /^(PWD|OLDPWD|SHLVL|_|PATH)=/;
  assert.deepEqual(
    lines
      .slice(1)
      .filter((line) => !shell_own.test(line))
      .sort(),
    [
      'DEBUG_LEVEL=0',
      'DISK_0_ACCESS=rw',
      'DISK_0_BACKEND_TYPE=file:loop',
      'DISK_0_FRONTEND_TYPE=paravirtual',
      `DISK_0_PATH=${rig.top}/disk.img`,
      'DISK_0_SIZE=64',
      'DISK_0_UUID=d-uuid',
      'DISK_COUNT=1',
      'HYPERVISOR=kvm',
      'INSTANCE_BE_always_failover=False',
      'INSTANCE_BE_maxmem=128',
      'INSTANCE_BE_none=None',
      'INSTANCE_HV_disk_type=paravirtual',
      'INSTANCE_HV_kernel_path=',
      'INSTANCE_HV_nic_type=e1000',
      'INSTANCE_HV_serial_console=True',
      'INSTANCE_NAME=web1.example.org',
      'INSTANCE_OS=demo+small',
      'INSTANCE_PRIMARY_NODE=node1',
      'INSTANCE_REINSTALL=1',
      'INSTANCE_SECONDARY_NODES=',
      'NIC_0_BRIDGE=br0',
      'NIC_0_FRONTEND_TYPE=e1000',
      'NIC_0_IP=192.0.2.9',
      'NIC_0_LINK=br0',
      'NIC_0_MAC=aa:00:00:12:34:56',
      'NIC_0_MODE=bridged',
      'NIC_0_NAME=front',
      'NIC_0_UUID=0b9b5f6a-53a8-47f3-a0a2-6d5b1d1d7c01',
      'NIC_COUNT=1',
      'OSP_ROOT_SIZE=5',
      'OS_API_VERSION=20',
      'OS_NAME=demo+small',
      'OS_VARIANT=small',
    ],
  );
  assert.match(await readFile(join(rig.top, 'logs', 'create.log'), 'utf8'), /INSTANCE_REINSTALL=1\n/);
});

test('verify runs first and may refuse the parameters; it learns nothing of the instance', async (t) => {
  const rig = await setUp(
    t,
    'touch @TOP@/created',
    'env >@TOP@/verify-env; echo "$1: size $OSP_ROOT_SIZE is silly" >&2; exit 1',
  );
  await assert.rejects(
    rig.driver.create(rig.run(), quiet, idle),
    (error: DriverError) =>
      error.code === 'failed' &&
      /parameters: size 5 is silly/.test(error.message) &&
      error.hint.includes('create.log'),
  );
  assert.ok(!existsSync(join(rig.top, 'created')));
  assert.doesNotMatch(await readFile(join(rig.top, 'verify-env'), 'utf8'), /INSTANCE_NAME/);
});

test('a failure carries the last lines of the log', async (t) => {
  const rig = await setUp(t, 'for i in $(seq 1 50); do echo line $i; done; exit 3');
  await assert.rejects(
    rig.driver.create(rig.run(), quiet, idle),
    (error: DriverError) =>
      /failed: line 41\n(.*\n)*line 50$/.test(error.message) && !error.message.includes('line 40'),
  );
});

test('wrong names, variants and parameters are refused, telling what is right', async (t) => {
  const rig = await setUp(t, 'touch @TOP@/created');
  const cases: readonly (readonly [Partial<OsRun>, RegExp])[] = [
    [{ os: 'none' }, /OS "none": no such definition/],
    [{ os: 'demo' }, /a variant must be named, expected one of demo\+small/],
    [{ os: 'demo+huge' }, /no variant "huge", expected one of demo\+small/],
    [{ osparams: { colour: 'red' } }, /OS parameter colour: unknown to demo, expected one of root-size/],
  ];
  for (const [given, message] of cases)
    await assert.rejects(rig.driver.create(rig.run(given), quiet, idle), message);
  assert.ok(!existsSync(join(rig.top, 'created')));
});

const contained = process.getuid?.() === 0 ? false : 'needs root (a PID namespace)';
/** A script with a writer that even leaves its session, and writes on until it is killed. */
const stubborn =
  "setsid sh -c 'while :; do date +%N >@TOP@/disk.img; sleep 0.02; done' & echo started; sleep 300";

/** Whether no process is left that has the rig's directory in its command line, as the script and its writer do. */
async function allGone(rig: Rig): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    // A process may end while we look.
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')),
  );
  return !lines.some((line) => line.includes(rig.top));
}

test('a timeout and a cancellation end all that a script started', { skip: contained }, async (t) => {
  const rig = await setUp(t, stubborn);
  await assert.rejects(
    rig.driver.create(rig.run({ timeout_ms: 700 }), quiet, idle),
    (error: DriverError) => error.code === 'timeout' && /did not end within 700 ms/.test(error.message),
  );
  await waitFor('all gone', 5_000, () => allGone(rig));
  const controller = new AbortController();
  await assert.rejects(
    rig.driver.create(rig.run(), () => controller.abort(), controller.signal),
    /was canceled: started/,
  );
  await waitFor('all gone', 5_000, () => allGone(rig));
});

test('what a script leaves behind ends with it', { skip: contained }, async (t) => {
  const rig = await setUp(t, `${stubborn.replace('; sleep 300', '')}; sleep 0.3`);
  await rig.driver.create(rig.run(), quiet, idle);
  await waitFor('all gone', 5_000, () => allGone(rig));
});

test('it all ends with the agent, however that dies', { skip: contained }, async (t) => {
  const rig = await setUp(t, stubborn);
  const script = `
    const { createOsDriver } = await import(${JSON.stringify(new URL('./os-driver.ts', import.meta.url).href)});
    const driver = createOsDriver({ paths: [${JSON.stringify(rig.top)}], log_dir: ${JSON.stringify(rig.top)} });
    await driver.create(${JSON.stringify(rig.run())}, () => process.kill(process.pid, 'SIGKILL'), new AbortController().signal);`;
  const agent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  const signal = await new Promise((resolve) => agent.on('close', (_code, how) => resolve(how)));
  assert.equal(signal, 'SIGKILL');
  await waitFor('all gone', 5_000, () => allGone(rig));
});

const noop = '/usr/share/ganeti/os/noop';
test("Debian's noop runs unchanged", {
  skip: existsSync(noop) ? false : 'needs the Debian package ganeti-os-noop',
}, async (t) => {
  const rig = await setUp(t, 'true');
  const driver = createOsDriver({ paths: ['/usr/share/ganeti/os'], log_dir: join(rig.top, 'logs') });
  await driver.create(rig.run({ os: 'noop', osparams: {}, log_file: '' }), quiet, idle);
  assert.ok(existsSync(join(rig.top, 'logs', 'create-noop-web1.example.org.log')));
});
