/**
 * The hash that a snapshot is proven by at both ends: SHA-256 over what it stands for and all its chunks, so that neither
 * the state nor the index, term or configuration that it is installed under can have changed on the way.
 */
import { createHash } from 'node:crypto';
import type { SnapshotMeta } from './types.ts';
import { packArray, packMeta } from './wire.ts';

/** Begun with `meta`; to be updated with each chunk, in order. */
export function snapshotHash(meta: SnapshotMeta): ReturnType<typeof createHash> {
  return createHash('sha256').update(packArray(packMeta(meta)));
}
