/**
 * How long after a node's last lease renewal its loss may be acted upon (docs/ha.md, node lease, rule 6).
 */
import type { HaParams } from './model.ts';

/** What the node's keeper may still have in force: the largest values it may hold, not the ones set last. */
export interface HeldLease {
  readonly lease_ms: number;
  readonly guard_slack_ms: number;
  readonly kill_ms: number;
}

/**
 * T = (L + K + 2 W)(1 + 2 drift) + G, in milliseconds, rounded up. W counts twice because a keeper that stalls may
 * act once more, late; drift counts twice because both clocks may be off, in opposite directions.
 */
export function horizonMs(ha: Pick<HaParams, 'drift' | 'margin_ms'>, held: HeldLease): number {
  const own_ms = held.lease_ms + held.guard_slack_ms + 2 * held.kill_ms;
  return Math.ceil(own_ms * (1 + 2 * ha.drift) + ha.margin_ms);
}
