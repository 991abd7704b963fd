/**
 * The log store's directory on the real file system. Nothing here retries: a failed write or sync is the replica's to
 * die of.
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogDisk, LogFile } from '../consensus/types.ts';
import { syncDirectory } from './durable-file.ts';

/** @param directory made if it is missing. */
export async function openRealDisk(directory: string): Promise<LogDisk> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const at = (name: string) => join(directory, name);
  return {
    list: () => readdir(directory),
    read: (name) => readFile(at(name)),
    open: async (name) => realFile(await openReadWrite(at(name))),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (name) => rm(at(name), { force: true }),
    syncDirectory: () => syncDirectory(directory),
  };
}

async function openReadWrite(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return open(path, 'w+', 0o600);
  }
}

function realFile(handle: FileHandle): LogFile {
  return {
    async write(offset, bytes) {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    },
    truncate: (size) => handle.truncate(size),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}
