/** Mutants of the log on disk and of snapshots. */
import { consensus, type Mutant } from './mutant.ts';

export const storage_mutants: readonly Mutant[] = [
  {
    name: 'batch-not-synced',
    danger: 'Everything that was promised is in a cache only.',
    simulator: 'raft',
    edits: [
      consensus(
        'segment-writer',
        'await this.#sync();\n    this.#end += bytes.length;',
        'this.#end += bytes.length;',
      ),
    ],
  },
  {
    name: 'torn-tail-not-truncated',
    danger: 'Remains of a write that was cut off stand behind the next one, and a later start reads them.',
    simulator: 'rot',
    edits: [consensus('segment-writer', 'if (found.torn_bytes > 0) await file.truncate(found.end);', '')],
  },
  {
    name: 'read-tail-not-synced',
    danger: 'What a start found in the page cache is relied on, and the next power cut takes it.',
    simulator: 'rot',
    edits: [
      consensus(
        'segment-writer',
        'await file.sync();\n      await writer.markDurable(true);',
        'await writer.markDurable(false);',
      ),
    ],
  },
  {
    name: 'damage-dropped-as-if-torn',
    danger: 'Acknowledged entries go with a bad sector, and the member votes on as if nothing had been.',
    simulator: 'rot',
    edits: [
      consensus('segment', 'if (sealed_end < slot.durable_end) {', 'if (sealed_end < 0) {'),
      consensus('segment', 'if (laterBatchFollows(', 'if (at < 0 && laterBatchFollows('),
      consensus('segment', 'if (isAllThere(', 'if (at < 0 && isAllThere('),
    ],
  },
  {
    name: 'neither-checksum-nor-chain-compared',
    danger: 'A flipped bit is read as data, and applied.',
    simulator: 'rot',
    edits: [
      consensus(
        'segment',
        'if (!sameBytes(record.previous, chain) || record.batch !== point.batch + 1) {',
        'if (record.batch !== point.batch + 1) {',
      ),
      consensus(
        'segment',
        'if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return null;\n  const code',
        'const code',
      ),
    ],
  },
  {
    name: 'slots-not-alternated',
    danger: 'A write that is cut off may take the only good copy of term and vote with it.',
    simulator: 'rot',
    survives:
      'Equivalent under one fault: term and vote are in the seal of every batch too, and both slots begin whole.',
    edits: [
      consensus('segment-writer', 'slotOffset(this.#synced_at === 0 ? 1 : 0)', 'slotOffset(this.#synced_at)'),
    ],
  },
  {
    name: 'boundary-not-durable-before-segments-go',
    danger: 'A crash leaves a boundary that asks for segments that are gone.',
    simulator: 'rot',
    edits: [
      consensus(
        'log-store',
        'await writeBoundary(this.#disk, boundary, this.#withReserve);\n    this.#boundary = boundary;',
        'this.#boundary = boundary;',
      ),
      consensus(
        'log-store',
        'if (gone.length > 0) await this.#disk.syncDirectory();',
        'if (gone.length > 0) await this.#disk.syncDirectory();\n    await writeBoundary(this.#disk, boundary, this.#withReserve);',
      ),
    ],
  },
  {
    name: 'log-replaced-before-the-machine',
    danger: 'After a crash in between there is a hole: entries neither in the image nor in the log.',
    simulator: 'raft',
    edits: [
      consensus(
        'snapshot-installer',
        'await machine.restore(meta, chunks);',
        'await deps.hold(replaceLog(deps, meta));\n      await machine.restore(meta, chunks);\n      return true;',
      ),
    ],
  },
  {
    name: 'snapshot-over-a-longer-log',
    danger: 'Entries that were acknowledged beyond the snapshot are thrown away with it.',
    simulator: 'scenes',
    edits: [
      consensus('snapshot-installer', 'if (core.status().commit < meta.index) {', 'if (meta.index > 0) {'),
    ],
  },
  {
    name: 'snapshot-drops-a-matching-tail',
    danger:
      'Entries behind the snapshot that were acknowledged are gone from the follower that is counted with them.',
    simulator: 'scenes',
    edits: [
      consensus(
        'entry-log',
        'const keep = this.matches(meta.index, meta.term) ? this.slice(meta.index + 1, this.lastIndex) : [];',
        'const keep: Entry[] = [];',
      ),
    ],
  },
  {
    name: 'older-snapshot-taken',
    danger: 'A snapshot that was long under way puts the machine back to a state that is over.',
    simulator: 'scenes',
    edits: [
      consensus(
        'snapshot-receiver',
        '} else if (offer.meta.index <= this.#deps.commit()) {',
        '} else if (offer.meta.index < 0) {',
      ),
      consensus(
        'snapshot-installer',
        'if (closed() || meta.index <= apply.index) return true;',
        'if (closed()) return true;',
      ),
    ],
  },
  {
    name: 'snapshot-with-a-bad-hash-taken',
    danger: 'Chunks that were altered on the way, or at the sender, become the state of a member.',
    simulator: 'raft',
    edits: [
      consensus(
        'snapshot-receiver',
        '} else if (!sameBytes(new Uint8Array(current.hash.digest()), chunk.hash)) {',
        '} else if (chunk.hash.length === 0) {',
      ),
    ],
  },
  {
    name: 'snapshot-with-the-newest-configuration',
    danger: 'A member that starts from the snapshot counts with voters of another index.',
    simulator: 'raft',
    edits: [
      consensus(
        'compactor',
        'const at = this.#history.findLast((change) => change.index <= meta.index);',
        'const at = this.#history.at(-1);',
      ),
    ],
  },
];
