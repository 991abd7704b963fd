/**
 * After a recovery nodes that were not seen in it may be up, lead among themselves, and have taken over the guests of
 * hosts that were down meanwhile. They lay that down when they hear of the new generation, and what their leases
 * guarded has ended within T of it (docs/ha.md). Hence a leader whose agent has just started grants no lease for T, as
 * long as there is such a node that nobody said is off. Pure.
 */
import { horizonMs } from '../config/horizon.ts';
import type { HaParams, Meta } from '../config/model.ts';

/** @param up_ms since the leader's mesh listens */
export function holdsLeases(recovery: Meta['recovery'], ha: HaParams, up_ms: number): boolean {
  return recovery?.unseen.some(({ word }) => !word) === true && up_ms < horizonMs(ha, ha);
}
