/**
 * Space set aside on disk: given up when the disk is full, so that one segment and one compaction still fit and the
 * cluster survives a full disk. It is complete or it has another name.
 */
import type { LogDisk } from './types.ts';

export const reserve_file = 'reserve';
const building_file = 'reserve.new';
const chunk_bytes = 1024 * 1024;

/** Whether `error` says that the disk is full. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/** Makes the reserve if it is missing. False: there is no room for it now. */
export async function makeReserve(disk: LogDisk, names: readonly string[], size: number): Promise<boolean> {
  if (names.includes(building_file)) await disk.remove(building_file);
  if (names.includes(reserve_file)) return true;
  if (size === 0) return false;
  const zeros = new Uint8Array(Math.min(chunk_bytes, size));
  try {
    const file = await disk.open(building_file);
    try {
      for (let at = 0; at < size; at += chunk_bytes) {
        await file.write(at, zeros.subarray(0, size - at));
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(building_file, reserve_file);
    await disk.syncDirectory();
    return true;
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    await disk.remove(building_file);
    return false;
  }
}

/** Gives the space back to the disk. */
export async function releaseReserve(disk: LogDisk): Promise<void> {
  await disk.remove(reserve_file);
  await disk.syncDirectory();
}
