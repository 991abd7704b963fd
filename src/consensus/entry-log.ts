/**
 * The tail of the log that is held in memory, with what is known of its durability.
 * It guarantees that `durable` only ever covers entries that are still in the log: a write that was under way when its
 * entries were replaced counts for nothing (the append ABA race). It must never drop an entry that is not durable, and
 * knows nothing of commitment: the caller guards the committed prefix.
 */
import { invariant } from './invariant.ts';
import type { Entry, SnapshotMeta } from './types.ts';

interface Write {
  readonly seq: number;
  /** The highest index written that has not been replaced since; below the first one written if all were. */
  last: number;
  readonly first: number;
}

export class EntryLog {
  #boundary: { readonly index: number; readonly term: number };
  #entries: Entry[];
  #handed: number;
  #durable: number;
  #writes: Write[] = [];

  /** @param entries durable ones; they may begin at or before `snapshot.index`, but must reach it without a gap */
  constructor(snapshot: Pick<SnapshotMeta, 'index' | 'term'>, entries: readonly Entry[]) {
    const first = entries[0];
    if (first !== undefined && first.index <= snapshot.index) {
      // Entries kept behind the snapshot: the first of them is the boundary, since its own predecessor's term is unknown.
      this.#boundary = { index: first.index, term: first.term };
      this.#entries = entries.slice(1);
    } else {
      this.#boundary = { index: snapshot.index, term: snapshot.term };
      this.#entries = entries.slice();
    }
    this.#check(this.#boundary, this.#entries);
    this.#handed = this.lastIndex;
    this.#durable = this.lastIndex;
    invariant(this.matches(snapshot.index, snapshot.term), () => {
      return `log of ${this.firstIndex}..${this.lastIndex} does not contain its snapshot ${snapshot.index} of term ${snapshot.term}`;
    });
  }

  get firstIndex(): number {
    return this.#boundary.index + 1;
  }

  get lastIndex(): number {
    return this.#boundary.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#boundary.term;
  }

  /** Every entry up to here is on disk, as it stands in this log. */
  get durable(): number {
    return this.#durable;
  }

  /** undefined: beyond the last entry, or no longer in memory. */
  term(index: number): number | undefined {
    if (index === this.#boundary.index) return this.#boundary.term;
    return this.#entries[index - this.firstIndex]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /**
   * Entries `from` to `to` inclusive, as far as in memory, up to `max_bytes` of payload but at least one.
   */
  slice(from: number, to: number, max_bytes: number = Number.POSITIVE_INFINITY): Entry[] {
    invariant(from >= this.firstIndex, () => `entry ${from} is no longer in memory (${this.firstIndex} is)`);
    const start = from - this.firstIndex;
    let end = Math.min(to - this.firstIndex + 1, this.#entries.length);
    if (max_bytes !== Number.POSITIVE_INFINITY) {
      let bytes = 0;
      for (let i = start; i < end; i++) {
        bytes += this.#entries[i]!.data.length;
        if (bytes > max_bytes && i > start) end = i;
      }
    }
    return this.#entries.slice(start, Math.max(start, end));
  }

  /** Whether a log that ends so is at least as up-to-date as this one (thesis, section 3.6.1). */
  isUpToDate(last_index: number, last_term: number): boolean {
    return last_term > this.lastTerm || (last_term === this.lastTerm && last_index >= this.lastIndex);
  }

  /**
   * The highest index at or below `index` whose term is not above `term`, or the first one whose term is unknown here:
   * where two logs may agree (thesis, section 3.5: fast back-off).
   */
  agreement(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    while (at > 0) {
      const here = this.term(at);
      if (here === undefined || here <= term) break;
      at--;
    }
    return at;
  }

  /** Appends; entries from `entries[0].index` on that were there are replaced. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    invariant(first.index >= this.firstIndex && first.index <= this.lastIndex + 1, () => {
      return `append at ${first.index} to a log of ${this.firstIndex}..${this.lastIndex}`;
    });
    const before = first.index - 1;
    this.#check({ index: before, term: this.term(before)! }, entries);
    if (before < this.lastIndex) {
      this.#entries.length = first.index - this.firstIndex;
      this.#handed = Math.min(this.#handed, before);
      this.#durable = Math.min(this.#durable, before);
      for (const write of this.#writes) write.last = Math.min(write.last, before);
    }
    for (const entry of entries) this.#entries.push(entry);
  }

  /** The entries that were never handed out for writing; they count as handed out under `seq`. */
  takeUnwritten(seq: number): Entry[] {
    if (this.#handed === this.lastIndex) return [];
    const entries = this.slice(this.#handed + 1, this.lastIndex);
    this.#writes.push({ seq, first: this.#handed + 1, last: this.lastIndex });
    this.#handed = this.lastIndex;
    return entries;
  }

  hasUnwritten(): boolean {
    return this.#handed < this.lastIndex;
  }

  /** All writes up to `seq` are durable. */
  synced(seq: number): void {
    while (this.#writes[0] !== undefined && this.#writes[0].seq <= seq) {
      const write = this.#writes.shift()!;
      if (write.last >= write.first) this.#durable = Math.max(this.#durable, write.last);
    }
    invariant(this.#durable <= this.#handed, () => `durable ${this.#durable} beyond written ${this.#handed}`);
  }

  /** Entries up to `index` leave memory, as far as they are durable. */
  compact(index: number): void {
    const upto = Math.min(index, this.#durable);
    const term = this.term(upto);
    if (upto <= this.#boundary.index || term === undefined) return;
    this.#entries.splice(0, upto - this.#boundary.index);
    this.#boundary = { index: upto, term };
  }

  /**
   * The store now holds a snapshot and nothing else. Entries behind it stay if the log agreed with it there, and are
   * written again; all others go.
   */
  restore(meta: Pick<SnapshotMeta, 'index' | 'term'>): void {
    const keep = this.matches(meta.index, meta.term) ? this.slice(meta.index + 1, this.lastIndex) : [];
    this.#boundary = { index: meta.index, term: meta.term };
    this.#entries = keep;
    this.#handed = meta.index;
    this.#durable = meta.index;
    this.#writes = [];
  }

  #check(before: { readonly index: number; readonly term: number }, entries: readonly Entry[]): void {
    let previous = before;
    for (const entry of entries) {
      const last = previous;
      invariant(entry.index === last.index + 1 && entry.term >= last.term, () => {
        return `entry ${entry.index} of term ${entry.term} follows ${last.index} of term ${last.term}`;
      });
      previous = entry;
    }
  }
}
