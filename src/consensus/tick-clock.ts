/**
 * Turns the passing of time into ticks. A process that stood still for long gets few ticks for it, never all it missed:
 * its peers' messages wait in the sockets and deserve to be read before anybody is declared silent. Remembers when each
 * tick was, so that an age in ticks becomes a moment that is never too late.
 */
import type { Timing } from './api.ts';

export class TickClock {
  readonly #tick_ms: number;
  readonly #max_ticks: number;
  readonly #election_ms: number;
  #base_ms: number;
  #last_seen_ms: number;
  #count = 0;
  /** The moments of the last ticks, in a ring; index 0 is the beginning. */
  readonly #moments: number[];

  constructor(timing: Timing, now_ms: number) {
    this.#tick_ms = timing.tick_ms;
    this.#election_ms = timing.election_ticks * timing.tick_ms;
    this.#max_ticks = Math.max(1, Math.floor(timing.election_ticks / 2));
    this.#base_ms = now_ms;
    this.#last_seen_ms = now_ms;
    this.#moments = new Array<number>(2 * timing.election_ticks).fill(0);
    this.#moments[0] = now_ms;
  }

  /** Whether more than an election timeout passed since the last {@link advance}: others may lead by now. */
  stoodStill(now_ms: number): boolean {
    return now_ms - this.#last_seen_ms > this.#election_ms;
  }

  /** How many ticks are due; they count as made. */
  advance(now_ms: number): number {
    const due = Math.max(0, Math.floor((now_ms - this.#base_ms) / this.#tick_ms));
    const ticks = Math.min(due, this.#max_ticks);
    this.#base_ms = due > ticks ? now_ms : this.#base_ms + ticks * this.#tick_ms;
    this.#last_seen_ms = now_ms;
    for (let i = 0; i < ticks; i++) {
      this.#count += 1;
      this.#moments[this.#count % this.#moments.length] = now_ms;
    }
    return ticks;
  }

  /** Time that is not to be counted: the core stood still on purpose. */
  skip(now_ms: number): void {
    this.#base_ms = now_ms;
    this.#last_seen_ms = now_ms;
  }

  /** When the tick `age_ticks` before the last one was; 0 if that is too long ago to be known. */
  momentOf(age_ticks: number): number {
    if (age_ticks >= this.#moments.length || age_ticks > this.#count) return 0;
    return this.#moments[(this.#count - age_ticks) % this.#moments.length] ?? 0;
  }
}
