/**
 * Ends a lab and removes every trace: processes, mounts, control groups, namespaces, files. Works on what it finds, not
 * only on what was recorded: after an interrupted `up`, after a reboot, and twice.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../exit-status.ts';
import { killHost, removeGroups } from './host.ts';
import { canonicalDir, labHash, type NodeLayout, nodeLayout } from './layout.ts';
import { labNamespaces, removeNetwork } from './network.ts';
import { runTool } from './run-tool.ts';

/** Hosts by the record, by their directories and by their namespaces: whichever is left. */
function hostsLeft(dir: string, hash: string): readonly NodeLayout[] {
  const indices = new Set<number>();
  const add = (name: string): void => {
    const match = /^(?:sk[0-9a-f]{4}-)?n(\d+)$/.exec(name);
    if (match) indices.add(Number(match[1]));
  };
  if (existsSync(dir)) readdirSync(dir).forEach(add);
  const namespaces = labNamespaces(hash);
  namespaces.forEach(add);
  return [...indices].sort((a, b) => a - b).map((index) => nodeLayout(dir, index, namespaces.length > 0));
}

/** Mount points below a directory, deepest first. */
function mountsBelow(dir: string): readonly string[] {
  const plain = (text: string): string =>
    text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => plain(line.split(' ')[4] ?? ''))
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}

/** An installation that was killed may have left its target mounted: deleting through a mount would go too far. */
async function unmountBelow(dir: string): Promise<void> {
  for (const path of mountsBelow(dir)) await runTool(['umount', '--lazy', path]);
  const left = mountsBelow(dir);
  if (left.length > 0)
    throw new CliError(`${left[0]} is still mounted: nothing below it is deleted`, `umount ${left[0]}`);
}

async function detachLoops(dir: string): Promise<void> {
  if (!existsSync('/sys/block') || process.getuid?.() !== 0) return;
  for (const name of readdirSync('/sys/block').filter((entry) => entry.startsWith('loop'))) {
    const path = join('/sys/block', name, 'loop', 'backing_file');
    if (!existsSync(path)) continue;
    if (readFileSync(path, 'utf8').startsWith(`${dir}/`))
      await runTool(['losetup', '--detach', `/dev/${name}`]);
  }
}

/** Deletes what a lab makes; a file that somebody else put there stays, and so does the directory then. */
function removeFiles(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  for (const name of readdirSync(dir)) {
    if (/^(n\d+|file|shared|oob|oob\.log)$/.test(name))
      rmSync(join(dir, name), { recursive: true, force: true });
  }
  const left = readdirSync(dir).filter((name) => !/^lab\.json(\.[0-9a-f]{8})?$/.test(name));
  // Last, so that an interrupted `down` still knows that this is a lab.
  for (const name of readdirSync(dir)) if (!left.includes(name)) rmSync(join(dir, name), { force: true });
  if (left.length === 0) rmdirSync(dir);
  return left;
}

/** Resolves with whether there was anything. */
export async function labDown(
  options: { readonly dir?: string; readonly log?: (line: string) => void } = {},
): Promise<boolean> {
  const log = options.log ?? (() => undefined);
  const dir = canonicalDir(options.dir ?? '.lab');
  const hash = labHash(dir);
  const namespaces = labNamespaces(hash);
  const is_lab = existsSync(join(dir, 'lab.json'));
  if (!is_lab && namespaces.length === 0) return false;
  if (namespaces.length > 0 && process.getuid?.() !== 0)
    throw new CliError(`the lab in ${dir} belongs to root`, 'the same as root');

  const hosts = hostsLeft(dir, hash);
  for (const host of hosts) {
    await killHost(host);
    await removeGroups(host);
    log(`${host.name} ended`);
  }
  for (const part of ['sw', 'cl']) {
    const namespace = `sk${hash}-${part}`;
    if (namespaces.includes(namespace))
      await killHost({ ...nodeLayout(dir, 0, true), namespace, name: part });
  }
  await unmountBelow(dir);
  await detachLoops(dir);
  if (namespaces.length > 0) await removeNetwork(hash);
  for (const host of hosts)
    if (host.run_dir.startsWith('/tmp/')) rmSync(host.run_dir, { recursive: true, force: true });
  const left = is_lab ? removeFiles(dir) : [];
  if (left.length > 0) log(`${dir} is kept: ${left.join(', ')} is not the lab’s`);
  return true;
}
