/**
 * Turns moments into durations: for how long each member has been silent, or active and caught up. A leader's memory of
 * its own term; it knows nothing of what an earlier leader saw.
 */
import type { MemberId } from '../../consensus/types.ts';
import type { MemberProgress } from './view.ts';

export interface MemberSight {
  readonly id: MemberId;
  readonly active: boolean;
  readonly lag: number;
}

export class MemberWatch {
  readonly #caught_up_entries: number;
  #silent_since = new Map<MemberId, number>();
  #stable_since = new Map<MemberId, number>();

  constructor(caught_up_entries: number) {
    this.#caught_up_entries = caught_up_entries;
  }

  /** To be called with all members at each look; who is not in `sights` is forgotten. */
  look(now_ms: number, sights: readonly MemberSight[]): ReadonlyMap<MemberId, MemberProgress> {
    const stable = (sight: MemberSight) => sight.active && sight.lag <= this.#caught_up_entries;
    this.#silent_since = since(
      this.#silent_since,
      now_ms,
      sights.filter((sight) => !sight.active),
    );
    this.#stable_since = since(this.#stable_since, now_ms, sights.filter(stable));
    return new Map(
      sights.map(({ id, active, lag }) => [
        id,
        {
          active,
          lag,
          silent_for_ms: now_ms - (this.#silent_since.get(id) ?? now_ms),
          stable_for_ms: now_ms - (this.#stable_since.get(id) ?? now_ms),
        },
      ]),
    );
  }
}

function since(
  before: ReadonlyMap<MemberId, number>,
  now_ms: number,
  holds: readonly MemberSight[],
): Map<MemberId, number> {
  return new Map(holds.map(({ id }) => [id, before.get(id) ?? now_ms]));
}
