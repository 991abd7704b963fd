/**
 * Where the files of one guest are: its sockets, console log and the record of what was started. A socket's path may
 * have at most 107 bytes on Linux, so that a long name is replaced by its hash; a run directory too long for even that
 * is refused. The record is replaced atomically and synced before the guest starts.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError, type GuestSpec } from '../../types.ts';

export interface GuestFiles {
  readonly directory: string;
  readonly qmp: string;
  readonly serial: string;
  readonly console_log: string;
  readonly qemu_log: string;
  readonly record: string;
}

export interface GuestRecord {
  readonly version: 1;
  readonly guest: GuestSpec;
  /** Started with its CPUs stopped on purpose. */
  readonly paused: boolean;
  readonly accel: 'kvm' | 'tcg';
}

const max_socket_path_bytes = 107;
const max_console_log_bytes = 4 << 20;

/** Refuses anything that is not a host-name-like name, so that no name can lead out of the run directory. */
export function checkGuestName(name: string): void {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/.test(name)) {
    throw new DriverError(
      'invalid',
      `instance name ${JSON.stringify(name)}: expected letters, digits, ".", "_" and "-"`,
    );
  }
}

/** The files of guest `name` under `run_dir`. Throws `invalid` when no path short enough exists. */
export function guestFiles(run_dir: string, name: string): GuestFiles {
  checkGuestName(name);
  const hashed = `h-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
  const fits = (leaf: string): boolean =>
    Buffer.byteLength(join(run_dir, leaf, 'serial.sock')) <= max_socket_path_bytes;
  const leaf = fits(name) && !name.startsWith('h-') ? name : hashed;
  if (!fits(leaf)) {
    const length = Buffer.byteLength(join(run_dir, leaf, 'serial.sock'));
    const message = `run directory "${run_dir}": a socket under it has a path of ${length} bytes, expected at most ${max_socket_path_bytes}`;
    throw new DriverError('invalid', message, 'choose a shorter run directory');
  }
  const directory = join(run_dir, leaf);
  return {
    directory,
    qmp: join(directory, 'qmp.sock'),
    serial: join(directory, 'serial.sock'),
    console_log: join(directory, 'console.log'),
    qemu_log: join(directory, 'qemu.log'),
    record: join(directory, 'spec.json'),
  };
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the directory and records what is about to be started there, on disk. */
export async function writeGuestRecord(files: GuestFiles, record: GuestRecord): Promise<void> {
  await mkdir(files.directory, { recursive: true, mode: 0o700 });
  const temporary = `${files.record}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(record)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, files.record);
  await syncPath(files.directory);
}

/** null when there is none, or when it cannot be understood (the process itself is what counts). */
export async function readGuestRecord(files: GuestFiles): Promise<GuestRecord | null> {
  let text: string;
  try {
    text = await readFile(files.record, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const record = JSON.parse(text) as GuestRecord;
    return record.version === 1 && typeof record.guest?.name === 'string' ? record : null;
  } catch {
    // Not JSON: written by nobody we know. Whoever asks treats it as missing.
    return null;
  }
}

/** Sockets of a process that is gone would make the next one fail to listen. */
export async function removeSockets(files: GuestFiles): Promise<void> {
  await Promise.all([rm(files.qmp, { force: true }), rm(files.serial, { force: true })]);
}

/**
 * Keeps the console history bounded while the guest writes on: beyond 4 MiB it is moved to `console.log.1`. QEMU
 * appends (O_APPEND), so that cutting the file beneath it is safe; what it writes during the copy may be lost.
 */
export async function boundConsoleLog(files: GuestFiles): Promise<void> {
  try {
    if ((await stat(files.console_log)).size <= max_console_log_bytes) return;
    await copyFile(files.console_log, `${files.console_log}.1`);
    await truncate(files.console_log, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
