/**
 * When the keeper starts an agent that has ended. Pure. Guarantees a bounded rate: 0.1 s doubling to 10 s, and no
 * endless loop into a failure that the agent itself called fatal; but a full disk, which a person empties some day, never
 * keeps an agent down for good.
 */

/** The agent's exit status for a broken invariant or a failed disk (EX_SOFTWARE of sysexits.h). */
export const fatal_status = 70;
/** The agent's exit status when its disk is full or its quota used up. */
export const disk_full_status = 71;

export const first_delay_ms = 100;
export const max_delay_ms = 10_000;
/** An agent that lived this long starts afresh with the shortest delay. */
export const stable_ms = 60_000;
export const max_fatal_in_a_row = 5;

export interface RestartState {
  /** What the next ordinary restart waits. */
  readonly delay_ms: number;
  readonly fatal_in_a_row: number;
}

export const initial_restart: RestartState = { delay_ms: first_delay_ms, fatal_in_a_row: 0 };

export interface RestartDecision {
  readonly state: RestartState;
  /** null: stays down until a person acts. */
  readonly wait_ms: number | null;
}

/**
 * @param status exit status; null when it was ended by a signal.
 * @param most_ms longest delay after an ordinary end or a full disk.
 */
export function nextRestart(
  state: RestartState,
  status: number | null,
  lived_ms: number,
  most_ms: number = max_delay_ms,
): RestartDecision {
  if (status === disk_full_status)
    return { state: { delay_ms: most_ms, fatal_in_a_row: 0 }, wait_ms: most_ms };
  if (status === fatal_status) {
    const fatal_in_a_row = (lived_ms >= stable_ms ? 0 : state.fatal_in_a_row) + 1;
    return {
      state: { delay_ms: max_delay_ms, fatal_in_a_row },
      wait_ms: fatal_in_a_row >= max_fatal_in_a_row ? null : max_delay_ms,
    };
  }
  const delay_ms = lived_ms >= stable_ms ? first_delay_ms : state.delay_ms;
  return {
    state: { delay_ms: Math.min(delay_ms * 2, most_ms), fatal_in_a_row: 0 },
    wait_ms: delay_ms,
  };
}
