/**
 * What a run did, in short lines. Only the last ones are kept, all of them go into the hash: two runs that differ in
 * one line differ in their hash. Memory is bounded, however long the run.
 */
import { crc32 } from 'node:zlib';

export class Trace {
  readonly #keep: number;
  readonly #sink: ((line: string) => void) | null;
  readonly #ring: string[] = [];
  #a = 0;
  #b = 0x9e3779b9;
  #count = 0;

  /**
   * @param keep lines remembered, at least 1
   * @param sink sees each line as it comes
   */
  constructor(keep = 200, sink: ((line: string) => void) | null = null) {
    this.#keep = keep;
    this.#sink = sink;
  }

  /** @param at_ms virtual time; `who` a member or part; `what` a few words, the same in every run of the seed */
  add(at_ms: number, who: string, what: string): void {
    const line = `${at_ms.toFixed(0).padStart(7)} ${who} ${what}`;
    // Two sums that start apart: 64 bits, so that runs of a long soak do not meet by chance.
    this.#a = crc32(line, this.#a);
    this.#b = Math.imul(this.#b ^ this.#a, 0x01000193) >>> 0;
    this.#ring[this.#count % this.#keep] = line;
    this.#count++;
    this.#sink?.(line);
  }

  /** Lines so far. */
  get count(): number {
    return this.#count;
  }

  /** 16 hexadecimal digits over all lines in order. */
  get hash(): string {
    return this.#a.toString(16).padStart(8, '0') + this.#b.toString(16).padStart(8, '0');
  }

  /** The last lines, oldest first; at most as many as are kept. */
  last(count: number): readonly string[] {
    const from = Math.max(0, this.#count - Math.min(count, this.#keep));
    return Array.from({ length: this.#count - from }, (_, i) => this.#ring[(from + i) % this.#keep]!);
  }
}
