import assert from 'node:assert/strict';
import test from 'node:test';
import { runCommand } from '../process/run-command.ts';
import { nicSpec } from '../testing/guest-spec.ts';
import { inNamespaces } from '../testing/in-namespace.ts';
import type { DriverError } from '../types.ts';
import { createBridgedNetworkDriver, tapName } from './bridged.ts';
import { createUserNetworkDriver } from './user.ts';

const nic = nicSpec({ mode: 'bridged', link: 'br-test' });
const tap = tapName(nic.uuid);

interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly inet6_addr_gen_mode?: string;
}

async function ip(...args: readonly string[]): Promise<string> {
  return (await runCommand(['ip', ...args], { timeout_ms: 5_000 })).stdout;
}
async function links(): Promise<readonly Link[]> {
  return JSON.parse(await ip('-d', '-j', 'link', 'show')) as Link[];
}

test('names of taps fit the kernel and differ by NIC', () => {
  assert.match(tap, /^sk[0-9a-f]{12}$/);
  assert.notEqual(tap, tapName('another'));
});

test('user mode makes nothing', async () => {
  const driver = createUserNetworkDriver();
  assert.deepEqual(await driver.up('web1', nicSpec(), []), { ifname: null });
  await driver.down('web1', nicSpec());
});

test('a VLAN on a bridge is refused', async () => {
  await assert.rejects(
    createBridgedNetworkDriver().up('web1', { ...nic, vlan: '10' }, []),
    (error: DriverError) => error.code === 'unsupported' && error.message.includes('"10"'),
  );
});

await inNamespaces(import.meta.url, [], () => {
  const driver = createBridgedNetworkDriver();

  test('without the bridge: refused, naming it and the ones that exist', async () => {
    await assert.rejects(
      driver.up('web1', nic, []),
      /"br-test" is not a bridge of this host \(this host has no bridge\)/,
    );
    await ip('link', 'add', 'br-other', 'type', 'bridge');
    await ip('link', 'add', 'br-test', 'type', 'veth', 'peer', 'name', 'peer-test');
    await assert.rejects(
      driver.up('web1', nic, []),
      (error: DriverError) =>
        error.code === 'not-found' && /bridges of this host: br-other/.test(error.message),
    );
    await ip('link', 'del', 'br-test');
    assert.ok(!(await links()).some((link) => link.ifname === tap));
  });

  test('the tap is on the bridge, up, with its MTU and no address of its own; twice is once', async () => {
    await ip('link', 'add', 'br-test', 'mtu', '1400', 'type', 'bridge');
    assert.equal((await driver.capabilities()).available, true);
    assert.deepEqual(await driver.up('web1', nic, []), { ifname: tap });
    assert.deepEqual(await driver.up('web1', nic, []), { ifname: tap });
    const link = (await links()).find((one) => one.ifname === tap);
    assert.equal(link?.master, 'br-test');
    assert.equal(link?.mtu, 1400);
    assert.ok(link?.flags.includes('UP'));
    assert.equal(link?.ifalias, 'skein web1 nic 0');
    assert.equal(link?.inet6_addr_gen_mode, 'none');
    await driver.down('web1', nic);
    await driver.down('web1', nic); // Gone already: fine.
    assert.ok(!(await links()).some((one) => one.ifname === tap));
  });
});
