/**
 * The leader's numbered heartbeat rounds, and the reads that wait for one (thesis, section 6.4).
 * A read is confirmed only by a round that *began after* the read was requested; reads that come while a round is under
 * way share the next. Rounds and reads live as long as one leadership: their answers carry its term.
 */
import { quorumReached } from './quorum.ts';
import type { Configuration, MemberId } from './types.ts';

export interface Read {
  readonly context: number;
  readonly index: number;
}

/** How many reads may wait for confirmation. The replica normally waits with one context for all of a turn. */
export const max_waiting_reads = 65_536;

export class QuorumRounds {
  readonly #self: MemberId;
  readonly #answered = new Map<MemberId, number>();
  #begun = 0;
  #over = 0;
  /** When the last round that is over began; null before the first. */
  #over_began_at: number | null = null;
  #open: { readonly round: number; readonly began_at: number }[] = [];
  /** Reads not in a round yet, and those in one. */
  #waiting: Read[] = [];
  #riding: (Read & { readonly round: number })[] = [];

  constructor(self: MemberId) {
    this.#self = self;
  }

  get over_began_at(): number | null {
    return this.#over_began_at;
  }

  /** The last round that was begun; 0 before the first. */
  get begun(): number {
    return this.#begun;
  }

  /** The last round that `id` answered; 0: none. */
  answeredBy(id: MemberId): number {
    return this.#answered.get(id) ?? 0;
  }

  /** A read waits for a round and none is under way. */
  get due(): boolean {
    return this.#waiting.length > 0 && this.#open.length === 0;
  }

  /** False when too many wait already. */
  request(read: Read): boolean {
    if (this.#waiting.length + this.#riding.length >= max_waiting_reads) return false;
    this.#waiting.push(read);
    return true;
  }

  /** Begins a round; all reads that wait ride it. */
  begin(now: number): number {
    this.#begun++;
    this.#open.push({ round: this.#begun, began_at: now });
    for (const read of this.#waiting) this.#riding.push({ ...read, round: this.#begun });
    this.#waiting = [];
    return this.#begun;
  }

  /** `id` answered `round`; one that was never begun is ignored. */
  answered(id: MemberId, round: number): void {
    if (round > this.#begun) return;
    this.#answered.set(id, Math.max(round, this.#answered.get(id) ?? 0));
  }

  /** Ends the rounds that a quorum of `configuration` has answered and returns the reads that they confirm. */
  settle(configuration: Configuration): readonly Read[] {
    const reached = quorumReached(configuration, (id) =>
      id === this.#self ? this.#begun : this.#answered.get(id),
    );
    const over = Math.min(reached, this.#begun);
    if (over <= this.#over) return [];
    this.#over = over;
    while (this.#open[0] !== undefined && this.#open[0].round <= over) {
      this.#over_began_at = this.#open.shift()!.began_at;
    }
    const confirmed = this.#riding.filter((read) => read.round <= over);
    this.#riding = this.#riding.filter((read) => read.round > over);
    return confirmed.map(({ context, index }) => ({ context, index }));
  }

  /** The contexts of all reads that nothing has confirmed. */
  abandon(): readonly number[] {
    const contexts = [...this.#riding, ...this.#waiting].map((read) => read.context);
    this.#riding = [];
    this.#waiting = [];
    return contexts;
  }
}
