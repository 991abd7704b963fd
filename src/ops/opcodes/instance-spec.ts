/**
 * The disks and NICs of a new instance, read from Ganeti's dictionaries. Pure; whatever must be drawn (uuids, MACs)
 * comes in.
 */
import { limits } from '../../config/limits.ts';
import type { Cluster, Disk, Nic, Params } from '../../config/model.ts';
import { checkIp, checkMac } from '../../config/validate.ts';
import { isObject, type Param, shorten, wrongInput } from '../params.ts';
import { checkNicParams, sizeMib } from './param-check.ts';

export interface DiskRequest {
  readonly size_mib: number;
  readonly mode: 'rw' | 'ro';
  readonly name: string | null;
}

export interface NicRequest {
  /** null: drawn. */
  readonly mac: string | null;
  readonly ip: string | null;
  readonly name: string | null;
  readonly nicparams: Params;
}

export const max_disks = 16;
export const max_nics = 8;

/** Only the outer shape; the fields are read by {@link readDisk} and {@link readNic}, whose errors name them. */
export function dicts(most: number): Param<readonly Record<string, unknown>[]> {
  return {
    expected: `a list of at most ${most} objects`,
    required: true,
    read: (value) =>
      Array.isArray(value) && value.length <= most && value.every(isObject) ? value : undefined,
  };
}

function only(what: string, given: Record<string, unknown>, known: readonly string[]): void {
  for (const [key, value] of Object.entries(given)) {
    if (!known.includes(key) && value !== null)
      throw wrongInput(`${what}: unknown field ${JSON.stringify(key)}: expected ${known.join(', ')}`);
  }
}

function textOrNull(what: string, value: unknown): string | null {
  if (value === undefined || value === null || value === 'none' || value === '') return null;
  if (typeof value === 'string' && value.length <= 128) return value;
  throw wrongInput(`${what} is ${shorten(value)}: expected a string of at most 128 characters`);
}

export function readDisk(given: Record<string, unknown>, index: number): DiskRequest {
  const what = `disk ${index}`;
  only(what, given, ['size', 'mode', 'name']);
  const size_mib = sizeMib(given.size);
  if (size_mib === null)
    throw wrongInput(`${what}: size is ${shorten(given.size)}: expected MiB, or such as 512m or 10g`);
  if (size_mib > limits.disk_mib)
    throw wrongInput(
      `${what}: size is ${shorten(given.size)}: expected at most ${limits.disk_mib} MiB (1 PiB)`,
    );
  const mode = given.mode ?? 'rw';
  if (mode !== 'rw' && mode !== 'ro')
    throw wrongInput(`${what}: mode is ${shorten(mode)}: expected rw or ro`);
  return { size_mib, mode, name: textOrNull(`${what}: name`, given.name) };
}

export function readNic(given: Record<string, unknown>, index: number): NicRequest {
  const what = `nic ${index}`;
  only(what, given, ['mac', 'ip', 'mode', 'link', 'bridge', 'vlan', 'name']);
  const mac = textOrNull(`${what}: mac`, given.mac)?.toLowerCase() ?? null;
  const drawn = mac === null || mac === 'auto' || mac === 'generate';
  const wrong_mac = drawn ? null : checkMac(mac);
  if (wrong_mac !== null) throw wrongInput(`${what}: ${wrong_mac}`);
  const ip = textOrNull(`${what}: ip`, given.ip);
  const wrong_ip = ip === null ? null : checkIp(ip);
  if (wrong_ip !== null) throw wrongInput(`${what}: ${wrong_ip}`);
  const own = { mode: given.mode, link: given.link ?? given.bridge, vlan: given.vlan };
  const set = Object.fromEntries(
    Object.entries(own).filter(([, value]) => value !== undefined && value !== null && value !== 'default'),
  );
  return {
    mac: drawn ? null : mac,
    ip,
    name: textOrNull(`${what}: name`, given.name),
    nicparams: checkNicParams(set as Params),
  };
}

/** Disks as they will be in the configuration; their paths are known before they exist, so that undo can name them. */
export function planDisks(
  cluster: Cluster,
  template: string,
  instance: { uuid: string; name: string },
  requests: readonly DiskRequest[],
  uuid: () => string,
): readonly Omit<Disk, 'serial_no' | 'ctime' | 'mtime'>[] {
  if (requests.length === 0) return [];
  const dir = template === 'sharedfile' ? cluster.shared_file_storage_dir : cluster.file_storage_dir;
  if (dir === '') {
    const field = template === 'sharedfile' ? 'shared_file_storage_dir' : 'file_storage_dir';
    throw wrongInput(
      `the cluster has no ${field}; set it: skein cluster modify --${field.replaceAll('_', '-')} DIR`,
    );
  }
  return requests.map((request, index) => {
    const id = uuid();
    return {
      uuid: id,
      name: request.name,
      dev_type: template,
      size: request.size_mib,
      mode: request.mode,
      logical_id: ['loop', `${dir}/${instance.name}/${id}`],
      iv_name: `disk/${index}`,
      instance: instance.uuid,
    };
  });
}

/** A MAC address that no NIC of `taken` has. */
export function drawMac(prefix: string, taken: Set<string>, random: () => number): string {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const pairs = Array.from({ length: 3 }, () =>
      Math.floor(random() * 256)
        .toString(16)
        .padStart(2, '0'),
    );
    const mac = `${prefix}:${pairs.join(':')}`;
    if (taken.has(mac)) continue;
    taken.add(mac);
    return mac;
  }
  throw wrongInput(
    `no free MAC address under the prefix ${prefix}; set another: skein cluster modify --mac-prefix PREFIX`,
  );
}

export function planNics(
  cluster: Cluster,
  requests: readonly NicRequest[],
  taken: Set<string>,
  draw: { uuid(): string; random(): number },
): readonly Nic[] {
  return requests.map((request) => ({
    uuid: draw.uuid(),
    name: request.name,
    mac: request.mac ?? drawMac(cluster.mac_prefix, taken, () => draw.random()),
    ip: request.ip,
    network: null,
    nicparams: request.nicparams,
  }));
}
