/**
 * NIC mode `bridged`: a tap on an existing bridge. The tap's name follows from the NIC's uuid alone, so that it can be
 * found and removed whoever made it. It never makes or changes a bridge, and gives the host no address on the tap.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { requireProgram } from '../process/program-path.ts';
import { runCommand } from '../process/run-command.ts';
import { DriverError, type NetworkDriver, type NicSpec } from '../types.ts';

const timeout_ms = 5_000;

interface Link {
  readonly ifname: string;
  readonly mtu: number;
}

/** The tap of a NIC: at most 15 bytes, as interface names must be. */
export function tapName(nic_uuid: string): string {
  return `sk${createHash('sha256').update(nic_uuid).digest('hex').slice(0, 12)}`;
}

async function ip(...args: readonly string[]): Promise<string> {
  return (await runCommand([await requireProgram('ip'), ...args], { timeout_ms })).stdout;
}

async function bridges(): Promise<readonly Link[]> {
  const text = await ip('-j', 'link', 'show', 'type', 'bridge');
  return JSON.parse(text === '' ? '[]' : text) as Link[];
}

async function links(): Promise<readonly string[]> {
  return (JSON.parse(await ip('-j', 'link', 'show')) as Link[]).map((link) => link.ifname);
}

async function removeTap(name: string): Promise<void> {
  if (!(await links()).includes(name)) return;
  try {
    await ip('link', 'del', 'dev', name);
  } catch (error) {
    // Removed by somebody else between the look and the act is what we wanted.
    if ((await links()).includes(name)) throw error;
  }
}

async function findBridge(nic: NicSpec): Promise<Link> {
  const all = await bridges();
  const bridge = all.find((link) => link.ifname === nic.link);
  if (bridge !== undefined) return bridge;
  const names = all.map((link) => link.ifname).sort();
  const known = names.length === 0 ? 'this host has no bridge' : `bridges of this host: ${names.join(', ')}`;
  throw new DriverError(
    'not-found',
    `NIC ${nic.index}: "${nic.link}" is not a bridge of this host (${known})`,
    `make it: ip link add ${nic.link} type bridge; or choose another link`,
  );
}

/** Creates the driver of NIC mode `bridged`. Needs root and /dev/net/tun. */
export function createBridgedNetworkDriver(): NetworkDriver {
  return {
    mode: 'bridged',

    async capabilities() {
      const no = (reason: string) => ({ available: false, reason, details: {} });
      if (process.getuid?.() !== 0) return no('taps need root; use NIC mode user');
      if (!existsSync('/dev/net/tun')) return no('/dev/net/tun is missing; load it: modprobe tun');
      try {
        return {
          available: true,
          reason: '',
          details: { bridges: (await bridges()).map((link) => link.ifname) },
        };
      } catch (error) {
        if (!(error instanceof DriverError)) throw error;
        return no(`${error.message} ${error.hint}`);
      }
    },

    async up(instance_name, nic) {
      if (nic.vlan !== '')
        throw new DriverError(
          'unsupported',
          `NIC ${nic.index}: vlan "${nic.vlan}" on a bridge is not supported yet`,
          'use a bridge that is on that VLAN',
        );
      const bridge = await findBridge(nic);
      const tap = tapName(nic.uuid);
      try {
        if (!(await links()).includes(tap)) await ip('tuntap', 'add', 'dev', tap, 'mode', 'tap');
        // No address of its own: the host must not be reachable by the guest through a link-local address on the tap.
        await ip('link', 'set', 'dev', tap, 'addrgenmode', 'none');
        await ip('link', 'set', 'dev', tap, 'alias', `skein ${instance_name} nic ${nic.index}`);
        await ip('link', 'set', 'dev', tap, 'mtu', String(bridge.mtu), 'master', nic.link);
        await ip('link', 'set', 'dev', tap, 'up');
      } catch (error) {
        await removeTap(tap);
        throw error;
      }
      return { ifname: tap };
    },

    down: (_instance_name, nic) => removeTap(tapName(nic.uuid)),
  };
}
