/**
 * When to campaign next, in ticks. Silence is given one to two election timeouts (thesis, section 3.4); once the leader
 * counts as lost, an undecided or refused campaign is repeated soon, with a doubling back-off, since the only thing that
 * can be in its way is another member's campaign or one that has yet to notice.
 */

/** The first repetition comes after this many ticks at least, and fewer than `first_retry_ticks + retry_spread_ticks`. */
const first_retry_ticks = 3;
const retry_spread_ticks = 8;

export class ElectionTimer {
  readonly #election_ticks: number;
  readonly #random: () => number;
  #left = 0;
  #wait = 0;
  #campaigns = 0;

  constructor(election_ticks: number, random: () => number) {
    this.#election_ticks = election_ticks;
    this.#random = random;
    this.rest();
  }

  /** A leader was heard, or a vote given: a whole timeout from now. */
  rest(): void {
    this.#campaigns = 0;
    this.#left = this.#election_ticks + this.#draw(this.#election_ticks);
  }

  /** The leader is known to be lost: campaign in `delay_ticks`. */
  hurry(delay_ticks: number): void {
    this.#campaigns = 0;
    this.#left = delay_ticks;
  }

  /** A campaign began: when to begin another if this one comes to nothing. */
  campaigned(): void {
    const ticks = (first_retry_ticks + this.#draw(retry_spread_ticks)) * 2 ** this.#campaigns;
    if (ticks <= this.#election_ticks) {
      this.#wait = ticks;
      this.#campaigns++;
    } else {
      // At the cap, still drawn: equal waits would make rivals meet again each time.
      const half = Math.ceil(this.#election_ticks / 2);
      this.#wait = half + this.#draw(this.#election_ticks - half + 1);
    }
    this.#left = this.#wait;
  }

  /** The campaign's requests leave only now, after a sync: its answers get the same time again. */
  asked(): void {
    this.#left = this.#wait;
  }

  /** True when it is time. */
  tick(): boolean {
    this.#left--;
    return this.#left <= 0;
  }

  #draw(below: number): number {
    return Math.floor(this.#random() * below);
  }
}
