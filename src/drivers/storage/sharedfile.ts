/**
 * Disk template `sharedfile`: image files on a file system that every host mounts in the same place. Nothing here
 * keeps two hosts apart: the lease rules do, and the image lock of QEMU where the file system supports it.
 */
import type { StorageDriver } from '../types.ts';
import { createImageFileDriver, type ImageFileOptions } from './image-file.ts';

/** Creates the driver of template `sharedfile`. */
export const createSharedFileStorageDriver = (options: ImageFileOptions): StorageDriver =>
  createImageFileDriver('sharedfile', options);
