/**
 * What the keeper must remember across its own death: `keeper.json` {boot, boot_id, master}. Guarantees: written to a
 * new file, synced, renamed, directory synced, before anybody is told. It must never be guessed: an unreadable file
 * stops the keeper, since a boot number that falls would let an old owner run twice.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MasterIpParams } from '../../drivers/types.ts';

export interface KeeperFile {
  readonly boot: number;
  readonly boot_id: string;
  /** The master address that this host may hold; null when it certainly does not. */
  readonly master: MasterIpParams | null;
}

/** @throws Error naming the file when it exists and is not what this code writes. */
export function readKeeperFile(path: string): KeeperFile | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const bad = (why: string) =>
    new Error(
      `${path} ${why}; its boot number must not be guessed: restore it, or remove this node from the cluster and join again`,
    );
  let value: Partial<Record<keyof KeeperFile, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    throw bad('is not JSON');
  }
  if (value === null || typeof value !== 'object') throw bad('is not an object');
  const { boot, boot_id, master } = value;
  if (!Number.isSafeInteger(boot) || (boot as number) < 1)
    throw bad(`has boot ${JSON.stringify(boot)}, expected a positive integer`);
  if (typeof boot_id !== 'string' || boot_id === '') throw bad('has no boot_id');
  return { boot: boot as number, boot_id, master: (master ?? null) as MasterIpParams | null };
}

export function writeKeeperFile(path: string, file: KeeperFile): void {
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify(file)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const dir = openSync(dirname(path), 'r');
  try {
    fsyncSync(dir);
  } finally {
    closeSync(dir);
  }
}

/** Opens the file for this boot: the number rises exactly when the boot id changed. Durable when it returns. */
export function beginBoot(
  data_dir: string,
  boot_id: string,
): { readonly path: string; readonly file: KeeperFile } {
  const path = join(data_dir, 'keeper.json');
  const before = readKeeperFile(path);
  if (before !== null && before.boot_id === boot_id) return { path, file: before };
  const file = { boot: (before?.boot ?? 0) + 1, boot_id, master: before?.master ?? null };
  writeKeeperFile(path, file);
  return { path, file };
}
