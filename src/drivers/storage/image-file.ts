/**
 * Disks as sparse raw image files, for templates `file` and `sharedfile` alike. Guarantees: a file appears under its
 * name only when it is complete and synced; no path outside the configured directories is ever touched, whatever
 * symbolic links say; a create that fails leaves nothing. It never makes the base directory itself: where that is
 * missing, a mount usually is, and writing beneath it would hide a disk.
 */
import { constants } from 'node:fs';
import { access, lstat, mkdir, open, realpath, rename, rm, rmdir, statfs } from 'node:fs/promises';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { type Capabilities, type DiskSpec, DriverError, type StorageDriver } from '../types.ts';

export interface ImageFileOptions {
  /** The directories under which disks may be, asked each time (the configuration may change). */
  readonly allowedDirs: () => readonly string[];
}

const mib = 1 << 20;
const max_size_mib = 64 << 20;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

interface Place {
  readonly path: string;
  readonly directory: string;
  readonly base: string;
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const inside = (base: string, path: string): boolean => {
  const way = relative(base, path);
  return way !== '' && way !== '..' && !way.startsWith('../') && !way.startsWith('/');
};

/** Creates a storage driver for image files. */
export function createImageFileDriver(
  template: 'file' | 'sharedfile',
  options: ImageFileOptions,
): StorageDriver {
  /** Where the disk is, by its text alone: BASE/INSTANCE/FILE, the file named after the disk's uuid. */
  function place(disk: DiskSpec): Place {
    const path = disk.logical_id[1];
    if (
      typeof path !== 'string' ||
      !path.startsWith('/') ||
      normalize(path) !== path ||
      path.includes('\0')
    ) {
      throw new DriverError(
        'invalid',
        `disk path ${JSON.stringify(path)}: expected an absolute path without ".."`,
      );
    }
    const base = options.allowedDirs().find((dir) => inside(dir, path));
    if (base === undefined || dirname(dirname(path)) !== normalize(base).replace(/\/$/, '')) {
      throw new DriverError(
        'invalid',
        `disk path "${path}": expected DIRECTORY/INSTANCE/FILE with DIRECTORY one of ${options.allowedDirs().join(', ') || '(none configured)'}`,
      );
    }
    if (!basename(path).includes(disk.uuid)) {
      throw new DriverError(
        'invalid',
        `disk path "${path}": expected the disk's uuid ${disk.uuid} in the file's name`,
      );
    }
    return { path, directory: dirname(path), base };
  }

  async function checkBase(base: string): Promise<void> {
    const stat = await lstat(await realpath(base).catch(() => base)).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      throw new DriverError(
        'not-found',
        `${template} storage directory "${base}" does not exist`,
        'create it, or mount what belongs there',
      );
    });
    if (!stat.isDirectory())
      throw new DriverError('invalid', `${template} storage directory "${base}" is not a directory`);
  }

  /** The instance's directory must be a real one directly in the base: a link could lead anywhere. */
  async function checkDirectory(where: Place): Promise<boolean> {
    const stat = await lstat(where.directory).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    });
    if (stat === null) return false;
    const expected = join(await realpath(where.base), basename(where.directory));
    if (!stat.isDirectory() || (await realpath(where.directory)) !== expected) {
      throw new DriverError(
        'invalid',
        `"${where.directory}" is not a plain directory in "${where.base}": refused`,
        'remove the link or file that is there',
      );
    }
    return true;
  }

  /** Size in bytes; null when there is no such file. Anything but a regular file is refused. */
  async function existing(where: Place): Promise<number | null> {
    await checkBase(where.base);
    if (!(await checkDirectory(where))) return null;
    const stat = await lstat(where.path).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    });
    if (stat === null) return null;
    if (!stat.isFile()) throw new DriverError('invalid', `"${where.path}" is not a regular file: refused`);
    return stat.size;
  }

  async function checkSpace(where: Place, size_bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(where.base);
    const free = bavail * bsize;
    if (size_bytes > free) {
      throw new DriverError(
        'no-space',
        `disk of ${size_bytes / mib} MiB: only ${Math.floor(free / mib)} MiB are free in "${where.base}"`,
        'free some space, choose another node, or a smaller disk',
      );
    }
  }

  async function removeDirectoryIfEmpty(where: Place): Promise<void> {
    try {
      await rmdir(where.directory);
      await syncDirectory(where.base);
    } catch (error) {
      // Other disks of the instance are still in it, or it has gone meanwhile.
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error))) throw error;
    }
  }

  async function create(disk: DiskSpec): Promise<void> {
    const where = place(disk);
    if (!Number.isInteger(disk.size) || disk.size < 1 || disk.size > max_size_mib) {
      throw new DriverError(
        'invalid',
        `disk size ${disk.size} MiB: expected a whole number from 1 to ${max_size_mib}`,
      );
    }
    const size_bytes = disk.size * mib;
    const present = await existing(where);
    if (present === size_bytes) return;
    if (present !== null) {
      throw new DriverError(
        'exists',
        `"${where.path}" exists with ${present} bytes, not ${size_bytes}`,
        'it belongs to something else: look before you remove it',
      );
    }
    await checkSpace(where, size_bytes);
    const temporary = join(where.directory, `.${basename(where.path)}.new`);
    try {
      await mkdir(where.directory, { mode: 0o750 }).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      });
      if (!(await checkDirectory(where)))
        throw new DriverError('failed', `"${where.directory}" vanished while a disk was created in it`);
      await rm(temporary, { force: true });
      const handle = await open(
        temporary,
        constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW,
        0o600,
      );
      try {
        await handle.truncate(size_bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, where.path);
      await syncDirectory(where.directory);
      await syncDirectory(where.base);
    } catch (error) {
      await rm(temporary, { force: true });
      await removeDirectoryIfEmpty(where);
      if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT')
        throw new DriverError('no-space', `no room for "${where.path}"`, 'free some space');
      if (codeOf(error) === 'EFBIG')
        throw new DriverError(
          'invalid',
          `disk size ${disk.size} MiB: larger than the file system of "${where.base}" allows`,
        );
      throw error instanceof DriverError
        ? error
        : new DriverError('failed', `cannot create "${where.path}": ${String(error)}`);
    }
  }

  return {
    template,

    async capabilities(): Promise<Capabilities> {
      const dirs = options.allowedDirs();
      if (dirs.length === 0)
        return { available: false, reason: `no ${template} storage directory is configured`, details: {} };
      const free_mib: Record<string, number> = {};
      for (const dir of dirs) {
        try {
          await access(dir, constants.W_OK | constants.X_OK);
          const { bavail, bsize } = await statfs(dir);
          free_mib[dir] = Math.floor((bavail * bsize) / mib);
        } catch (error) {
          return {
            available: false,
            reason: `${template} storage directory "${dir}": ${String((error as Error).message)}; create or mount it`,
            details: { free_mib },
          };
        }
      }
      return { available: true, reason: '', details: { free_mib } };
    },

    plan(base_dir, { uuid, instance_name, index }) {
      if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(instance_name))
        throw new DriverError(
          'invalid',
          `instance name ${JSON.stringify(instance_name)}: expected letters, digits, ".", "_" and "-"`,
        );
      if (!/^[0-9a-f-]{8,36}$/.test(uuid))
        throw new DriverError('invalid', `disk uuid ${JSON.stringify(uuid)}: expected a uuid`);
      // The names that Ganeti gives them.
      return ['loop', join(base_dir, instance_name, `${uuid}.${template}.disk${index}`)];
    },

    create,

    async remove(disk) {
      const where = place(disk);
      const present = await existing(where);
      if (!(await checkDirectory(where))) return;
      await rm(join(where.directory, `.${basename(where.path)}.new`), { force: true });
      if (present !== null) {
        await rm(where.path);
        await syncDirectory(where.directory);
      }
      await removeDirectoryIfEmpty(where);
    },

    async info(disk) {
      const where = place(disk);
      const size_bytes = await existing(where);
      return {
        exists: size_bytes !== null,
        size: size_bytes === null ? 0 : size_bytes / mib,
        path: where.path,
      };
    },
  };
}
