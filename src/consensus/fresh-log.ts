/**
 * Begins an empty log where none is. Nothing is promised on it before this has resolved; what a crash leaves of it may be
 * overwritten.
 */
import { chain_bytes } from './crc.ts';
import type { ChainPoint } from './segment.ts';
import { SegmentWriter } from './segment-writer.ts';
import { writeBoundary } from './snapshot-file.ts';
import type { Configuration, HardState, LogDisk } from './types.ts';

/** The number of the first segment of a log. */
export const first_segment = 1;

export async function beginLog(
  disk: LogDisk,
  configuration: Configuration,
  hard_state: HardState,
): Promise<void> {
  const base: ChainPoint = { chain: new Uint8Array(chain_bytes), batch: 0, last_index: 0 };
  const writer = await SegmentWriter.create(disk, first_segment, hard_state, base);
  await writer.close();
  await writeBoundary(disk, { sequence: 1, first_segment, meta: { index: 0, term: 0, configuration } });
}
