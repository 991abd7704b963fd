/**
 * Names and places of a lab: all derived from its directory, so that nothing has to be remembered to find its traces.
 */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export const mesh_port = 1820;
export const most_nodes = 64;
/** Linux takes 107 bytes; guests' sockets below the run directory need room too. */
const longest_run_socket_bytes = 70;

export interface NodeLayout {
  readonly name: string;
  readonly index: number;
  readonly address: string;
  /** '' without namespaces. */
  readonly address6: string;
  /** null without namespaces. */
  readonly namespace: string | null;
  /** Of its bridge; fixed, so that it does not change when guests' interfaces join. */
  readonly mac: string;
  /** Its port on the switch. */
  readonly port: string;
  readonly dir: string;
  readonly data_dir: string;
  readonly run_dir: string;
  readonly log_dir: string;
  readonly boot_id_file: string;
  readonly socket: string;
}

/** The directory as the kernel knows it, also when it does not exist yet or any more. */
export function canonicalDir(dir: string): string {
  const path = resolve(dir);
  if (existsSync(path)) return realpathSync(path);
  const parent = dirname(path);
  return existsSync(parent) ? join(realpathSync(parent), basename(path)) : path;
}

/** Four hex digits of the canonical directory. */
export function labHash(dir: string): string {
  return createHash('sha256').update(dir).digest('hex').slice(0, 4);
}

export function namespaceName(hash: string, part: string): string {
  return `sk${hash}-${part}`;
}

export function namespaceFile(namespace: string): string {
  return `/run/netns/${namespace}`;
}

/** Host `index` (from 1) of the lab in `dir`. Without namespaces each lab has its own part of 127.77.0.0/16. */
export function nodeLayout(dir: string, index: number, namespaces: boolean): NodeLayout {
  const hash = labHash(dir);
  const name = `n${index}`;
  const own = join(dir, name);
  const third = (Number.parseInt(hash.slice(0, 2), 16) % 254) + 1;
  const near = join(own, 'run');
  const run_dir =
    Buffer.byteLength(join(near, 'api.sock')) <= longest_run_socket_bytes ? near : `/tmp/sk${hash}-${name}`;
  return {
    name,
    index,
    address: namespaces ? `10.77.0.${index}` : `127.77.${third}.${index}`,
    address6: namespaces ? `fd77::${index}` : '',
    namespace: namespaces ? namespaceName(hash, name) : null,
    mac: `02:73:${hash.slice(0, 2)}:${hash.slice(2)}:00:${index.toString(16).padStart(2, '0')}`,
    port: `p${index}`,
    dir: own,
    data_dir: join(own, 'data'),
    run_dir,
    log_dir: join(own, 'log'),
    boot_id_file: join(own, 'boot_id'),
    socket: join(run_dir, 'api.sock'),
  };
}

/** What reboots a host when its agent is asked to. */
export function rebootProgram(node: Pick<NodeLayout, 'dir'>): string {
  return join(node.dir, 'reboot-node');
}

/** Ganeti's out-of-band program, for every host of the lab. */
export function oobProgram(dir: string): string {
  return join(dir, 'oob');
}

/** What every process of a host has in its environment. */
export function hostVariable(node: NodeLayout): string {
  return `SKEIN_BOOT_ID_FILE=${node.boot_id_file}`;
}

/** Directories of a host's control groups, wherever the keeper may have made them. */
export function cgroupDirs(node: NodeLayout): readonly string[] {
  const name = `skein-${createHash('sha256').update(node.data_dir).digest('hex').slice(0, 12)}`;
  return ['/sys/fs/cgroup', '/sys/fs/cgroup/unified', '/sys/fs/cgroup/freezer'].map((root) =>
    join(root, name),
  );
}
