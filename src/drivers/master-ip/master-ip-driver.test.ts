import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { runCommand } from '../process/run-command.ts';
import { inNamespaces } from '../testing/in-namespace.ts';
import { waitFor } from '../testing/wait-for.ts';
import type { DriverError, MasterIpParams } from '../types.ts';
import { createMasterIpDriver } from './master-ip-driver.ts';

const v4: MasterIpParams = { netdev: 'eth0', ip: '192.0.2.50', netmask: 32, family: 4, script: '' };
const v6: MasterIpParams = { netdev: 'eth0', ip: '2001:db8::50', netmask: 64, family: 6, script: '' };

test('bad parameters are refused before anything is run', async () => {
  const driver = createMasterIpDriver({ timeout_ms: 1_000 });
  const cases: readonly (readonly [Partial<MasterIpParams>, RegExp])[] = [
    [{ ip: '2001:db8::1' }, /master IP "2001:db8::1": expected an IPv4 address/],
    [{ ip: 'host' }, /expected an IPv4 address/],
    [{ netmask: 33 }, /master netmask 33: expected a prefix length from 1 to 32/],
    [{ netdev: 'eth0; reboot' }, /master netdev/],
    [{ script: 'setup.sh' }, /expected an absolute path/],
  ];
  for (const [given, message] of cases) {
    for (const act of ['start', 'stop', 'holds'] as const) {
      await assert.rejects(
        driver[act]({ ...v4, ...given }),
        (error: DriverError) => error.code === 'invalid' && message.test(error.message),
      );
    }
  }
});

async function ip(...args: readonly string[]): Promise<string> {
  return (await runCommand(['ip', ...args], { timeout_ms: 5_000 })).stdout;
}

async function script(t: TestContext, body: string): Promise<{ path: string; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'mip-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, 'setup');
  await writeFile(path, `#!/bin/sh\n${body.replaceAll('@DIR@', dir)}\n`);
  await chmod(path, 0o755);
  return { path, dir };
}

await inNamespaces(import.meta.url, ['arping', 'ndptool'], () => {
  const warnings: string[] = [];
  const driver = createMasterIpDriver({ timeout_ms: 2_000, onWarning: (text) => warnings.push(text) });
  let ready: Promise<void> | null = null;
  /** eth0 and a neighbour at its other end. */
  const network = (): Promise<void> => {
    ready ??= (async () => {
      await ip('link', 'set', 'lo', 'up');
      await ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'peer0');
      for (const name of ['eth0', 'peer0']) await ip('link', 'set', name, 'up');
      await ip('addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
    })();
    return ready;
  };

  for (const params of [v4, v6]) {
    test(`built-in script, IPv${params.family}: on and off, each twice, usable at once`, async () => {
      await network();
      assert.equal(await driver.holds(params), false);
      await driver.start(params);
      await driver.start(params);
      assert.equal(await driver.holds(params), true);
      const shown = await ip(`-${params.family}`, '-o', 'addr', 'show', 'dev', 'eth0');
      assert.equal(shown.split(`${params.ip}/${params.netmask}`).length, 2, shown);
      const ours = shown.split('\n').filter((line) => line.includes(params.ip));
      assert.doesNotMatch(ours.join('\n'), /tentative/);
      if (params.family === 4) assert.match(shown, /eth0:0/);
      await driver.stop(params);
      await driver.stop(params);
      assert.equal(await driver.holds(params), false);
      assert.match(await ip('-4', '-o', 'addr', 'show', 'dev', 'eth0'), /192\.0\.2\.1\//);
      assert.deepEqual(warnings, []);
    });
  }

  test('an address that was not put there by the script goes, even with another prefix; others of its subnet stay', async () => {
    await network();
    await ip('addr', 'flush', 'dev', 'eth0', 'scope', 'global');
    await driver.start({ ...v4, netmask: 24 });
    await ip('addr', 'add', '192.0.2.1/24', 'dev', 'eth0'); // Now the master IP is the primary one of the subnet.
    await driver.stop({ ...v4, netmask: 24 });
    assert.match(await ip('-4', '-o', 'addr', 'show', 'dev', 'eth0'), /192\.0\.2\.1\//);
    await ip('addr', 'add', '192.0.2.50/24', 'dev', 'eth0');
    await assert.rejects(driver.stop(v4), /so it was removed directly/);
    assert.equal(await driver.holds(v4), false);
  });

  test('the neighbours are told, in the background', async () => {
    await network();
    // The neighbour's end counts what arrives; announcing goes on after start has returned.
    const received = async (): Promise<number> =>
      (
        JSON.parse(await ip('-j', '-s', 'link', 'show', 'peer0')) as {
          stats64: { rx: { packets: number } };
        }[]
      )[0]?.stats64.rx.packets ?? 0;
    for (const params of [v4, v6]) {
      const before = await received();
      await driver.start(params);
      await waitFor('announcement', 5_000, async () => (await received()) > before);
      await driver.stop(params);
    }
  });

  test('start is fast', async (t) => {
    await network();
    const times_ms: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const begun = performance.now();
      await driver.start(v4);
      times_ms.push(performance.now() - begun);
      await driver.stop(v4);
    }
    times_ms.sort((a, b) => a - b);
    t.diagnostic(`start: median ${times_ms[5]?.toFixed(1)} ms, worst ${times_ms[9]?.toFixed(1)} ms`);
    // Announcing alone takes over a second: start must not wait for it, however busy the machine is.
    assert.ok((times_ms[5] ?? Infinity) < 900);
  });

  test("an operator's script gets exactly Ganeti's arguments and environment", async (t) => {
    const { path, dir } = await script(t, 'echo "$@" >@DIR@/args; env | sort >@DIR@/env; echo careful >&2');
    await driver.start({ ...v4, script: path });
    assert.equal(await readFile(join(dir, 'args'), 'utf8'), 'start\n');
    const names = (await readFile(join(dir, 'env'), 'utf8'))
      .split('\n')
      .filter((line) => !/^(PWD|_|SHLVL|OLDPWD)=|^$/.test(line));
    assert.deepEqual(
      names.filter((line) => !line.startsWith('PATH=')),
      ['CLUSTER_IP_VERSION=4', 'MASTER_IP=192.0.2.50', 'MASTER_NETDEV=eth0', 'MASTER_NETMASK=32'],
    );
    assert.match(warnings.pop() ?? '', /careful/);
  });

  test('a stop that fails or hangs: the address is removed directly, and the error says both', async (t) => {
    await network();
    const failing = await script(t, 'echo broken >&2; exit 5');
    const hanging = await script(t, 'sleep 300');
    const hasty = createMasterIpDriver({ timeout_ms: 300 });
    for (const [path, message] of [
      [failing.path, /status 5: broken; so it was removed directly/],
      [hanging.path, /did not end within 300 ms and was killed.*so it was removed directly/],
    ] as const) {
      await driver.start(v4);
      await assert.rejects(hasty.stop({ ...v4, script: path }), message);
      assert.equal(await driver.holds(v4), false);
    }
    await assert.rejects(hasty.stop({ ...v4, script: failing.path }), /but the address is gone/);
  });

  test('a stop script that hangs does not keep the address up until it is killed', async (t) => {
    await network();
    const { path } = await script(t, 'sleep 300');
    const patient = createMasterIpDriver({ timeout_ms: 8_000 });
    await driver.start(v4);
    let ended = false;
    const stopping = assert
      .rejects(patient.stop({ ...v4, script: path }), /so it was removed directly/)
      .finally(() => {
        ended = true;
      });
    await waitFor('the address to go', 7_000, async () => !(await driver.holds(v4)));
    assert.equal(ended, false, 'the script was still running');
    await stopping;
  });

  test('a start that hangs is killed; a missing script or device is told', async (t) => {
    await network();
    const { path } = await script(t, 'sleep 300');
    const hasty = createMasterIpDriver({ timeout_ms: 300 });
    await assert.rejects(
      hasty.start({ ...v4, script: path }),
      (error: DriverError) => error.code === 'timeout',
    );
    await assert.rejects(
      driver.start({ ...v4, script: '/nowhere/setup' }),
      (error: DriverError) => error.code === 'missing-program',
    );
    await assert.rejects(driver.start({ ...v4, netdev: 'eth7' }), /eth7/);
  });
});
