/** Disk template `file`: image files on this host's own file system. They do not survive the loss of the host. */
import type { StorageDriver } from '../types.ts';
import { createImageFileDriver, type ImageFileOptions } from './image-file.ts';

/** Creates the driver of template `file`. */
export const createFileStorageDriver = (options: ImageFileOptions): StorageDriver =>
  createImageFileDriver('file', options);
