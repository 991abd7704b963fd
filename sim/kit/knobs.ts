/**
 * Draws for a simulation, all from one seed: the same seed and the same calls give the same answers. For swarm testing
 * (Groce et al., "Swarm Testing", ISSTA 2012) every fault's knob is drawn anew for each run and may be off altogether,
 * so that faults do not hide one another. Nothing here reads a clock or any other chance.
 */
import { seededRandom } from '../../src/consensus/virtual-env.ts';

export class Knobs {
  /** Uniform in [0, 1). */
  readonly random: () => number;

  /** @param seed 32 bits are used */
  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** True with probability `p`. Draws even when the answer is certain, so that a changed knob moves no other draw. */
  chance(p: number): boolean {
    return this.random() < p;
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  /** `draw()` with probability `p`, else `off`: the switch of a swarm's knob. */
  maybe<T>(p: number, draw: () => T, off: T): T {
    return this.chance(p) ? draw() : off;
  }

  /** One of `items`. @throws RangeError when there is none */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('pick: expected at least one item');
    return items[Math.floor(this.random() * items.length)]!;
  }

  /** All of `items` in a drawn order (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const drawn = [...items];
    for (let i = drawn.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [drawn[i], drawn[j]] = [drawn[j]!, drawn[i]!];
    }
    return drawn;
  }

  /** Exponential with this mean, at most `limit`: waits between events that do not know of one another. */
  exponential(mean: number, limit = 20 * mean): number {
    return Math.min(limit, -mean * Math.log(1 - this.random()));
  }

  /** Draws of their own for one part of a run: what that part asks for does not move what others get. */
  fork(): Knobs {
    return new Knobs(Math.floor(this.random() * 2 ** 32));
  }
}
