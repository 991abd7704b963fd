/**
 * Which part of a batch reached the disk: a torn write, which nobody was promised, is told from damage to what was, whatever
 * the batch holds and wherever in a sector it begins.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBatch, encodeSlot, records_offset, scanSegment, slotOffset } from './segment.ts';
import type { Entry } from './types.ts';

const seal_record_bytes = 76;

function entry(index: number, size = 20): Entry {
  return { index, term: index, kind: 'command', data: new Uint8Array(size).fill((index * 31) & 0xff) };
}

const sector_bytes = 512;

/** Last batches of up to three sectors, with and without sectors that are blank by themselves. */
const last_batches: Readonly<Record<string, readonly Entry[]>> = {
  'hard state only': [],
  'one small entry': [entry(2)],
  'two entries': [entry(2, 300), entry(3, 250)],
  'zeros at the end of the data': [
    { ...entry(2), data: new Uint8Array(600).fill(7, 0, 3) },
    { ...entry(3), data: new Uint8Array(460) },
  ],
  'nothing but zeros': [{ ...entry(2), data: new Uint8Array(1200) }],
  'one bit among zeros': [{ ...entry(2), data: new Uint8Array(1200).fill(1, 700, 701) }],
};

/** A segment whose last batch begins `at` bytes into a sector and was not noted as durable; and where that is. */
function segmentWith(
  at: number,
  entries: readonly Entry[],
): { readonly file: Buffer; readonly start: number } {
  const base = { chain: new Uint8Array(16), batch: 0, last_index: 0 };
  const hard_state = { term: 3, vote: 1, commit: 0 };
  const filler = (at + 2 * sector_bytes - 2 * seal_record_bytes + 20) % sector_bytes;
  const before = encodeBatch([entry(1, filler)], hard_state, base, records_offset);
  const start = records_offset + before.bytes.length;
  assert.equal(start % sector_bytes, at);
  const last = encodeBatch(entries, hard_state, before.end, start);
  const file = Buffer.alloc(start + last.bytes.length);
  const slot = { segment: 1, sequence: 1, hard_state, batch: 2, durable_end: start, sealed: false, base };
  file.set(encodeSlot(slot), slotOffset(0));
  file.set(before.bytes, records_offset);
  file.set(last.bytes, start);
  return { file, start };
}

/** The parts of the last batch that reach the disk or not, each as a whole. */
function pieces(start: number, end: number): readonly (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (let from = start; from < end; ) {
    const to = Math.min(end, (Math.floor(from / sector_bytes) + 1) * sector_bytes);
    found.push([from, to]);
    from = to;
  }
  return found;
}

for (const [what, entries] of Object.entries(last_batches)) {
  test(`whichever sectors of an unacknowledged batch are missing, wherever it begins, it is torn: ${what}`, (t) => {
    let torn = 0;
    for (let at = 0; at < sector_bytes; at++) {
      const { file, start } = segmentWith(at, entries);
      assert.equal(scanSegment(file).tail.type, 'clean');
      const parts = pieces(start, file.length);
      for (let missing = 1; missing < 2 ** parts.length; missing++) {
        const zeroed = Buffer.from(file);
        let reached = start;
        for (const [i, [from, to]] of parts.entries()) {
          if ((missing & (1 << i)) !== 0) zeroed.fill(0, from, to);
          else reached = to;
        }
        // The file may end where the last sector that was written does.
        for (const found of [zeroed, zeroed.subarray(0, reached)]) {
          const { tail, batches } = scanSegment(found);
          const where = `begins at ${at}, missing ${missing.toString(2)}, ends at ${found.length}`;
          const nothing_lost = found.equals(file);
          // Zeros alone are room for a batch.
          const nothing_there = found.subarray(start).every((byte) => byte === 0);
          assert.equal(tail.type, nothing_lost || nothing_there ? 'clean' : 'torn', where);
          assert.equal(batches.length, nothing_lost ? 2 : 1, where);
          if (!nothing_lost) torn += 1;
        }
      }
    }
    t.diagnostic(`${torn} torn writes`);
    assert.ok(torn >= 2 * sector_bytes);
  });

  test(`a changed byte of an acknowledged last batch is damage, wherever it begins: ${what}`, (t) => {
    // Larger batches: near both ends of a sector, and samples between.
    const small = entries.reduce((sum, { data }) => sum + data.length, 0) <= 20;
    let damaged = 0;
    let ambiguous = 0;
    for (let at = 0; at < sector_bytes; at++) {
      if (!small && at > 3 && at < 508 && at % 37 !== 0) continue;
      const { file, start } = segmentWith(at, entries);
      for (const [from, to] of pieces(start, file.length)) {
        for (let offset = from; offset < to; offset++) {
          const was = file[offset]!;
          for (const is of [was ^ (1 << (offset % 8)), 0, 0xff]) {
            if (is === was) continue;
            file[offset] = is;
            // Nothing on disk tells this from a sector that was not written: see docs/design.
            const looks_missing = file.subarray(from, to).every((byte) => byte === 0);
            const { tail } = scanSegment(file);
            assert.equal(
              tail.type,
              looks_missing ? 'torn' : 'corrupt',
              `begins at ${at}, byte ${offset - start}: ${was} to ${is}`,
            );
            if (looks_missing) ambiguous += 1;
            else damaged += 1;
          }
          file[offset] = was;
        }
      }
    }
    t.diagnostic(`${damaged} found damaged, ${ambiguous} look like a missing sector`);
    assert.ok(damaged > 1000 && ambiguous < damaged / 200);
    // Data with one bit in a sector is the only way to it but a first or last sector of a byte or so.
    if (what === 'one bit among zeros') assert.ok(ambiguous > 0);
  });
}
