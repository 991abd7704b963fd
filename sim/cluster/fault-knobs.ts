/**
 * Which kinds of faults there are, and how often each happens in a run. Each is on or off in a run, at a rate of its own,
 * so that faults do not hide one another (Groce et al., "Swarm Testing", ISSTA 2012).
 */
import { Knobs } from '../kit/knobs.ts';

const kinds = [
  'power',
  'agent-crash',
  'keeper-crash',
  'agent-freeze',
  'keeper-freeze',
  'host-freeze',
  'cut-off',
  'one-way',
  'partition',
  'flap',
  'slow-disk',
  'slow-network',
  'guest-death',
  'transfer',
  'leader-and-host',
  'swizzle',
  'clock-step',
  'disk-full',
  'disk-errors',
  'disk-rot',
  'midway',
] as const;

/** Drawn apart, so that a seed keeps what it drew before they were thought of. */
const later_kinds = ['store-errors', 'store-full', 'power-midway'] as const;

export type FaultKind = (typeof kinds)[number] | (typeof later_kinds)[number];

export interface FaultKnobs {
  /** Mean time between two faults of a kind in the whole cluster, in ms; kinds that are off are not here. */
  readonly every_ms: ReadonlyMap<FaultKind, number>;
  /** How often the leader's host is the victim. */
  readonly at_leader: number;
  /** Longest that a keeper is stopped. Without a watchdog the rules trust it to come back within 2 W. */
  readonly most_keeper_freeze_ms: number;
  /** When in the run, from 0 to 1, a majority is lost for good; null: never. */
  readonly disaster: number | null;
}

const later_salt = 0x1a7e;

/** @param kill_ms W of the leases in force */
export function drawFaults(knobs: Knobs, kill_ms: number, seed: number): FaultKnobs {
  const every_ms = new Map<FaultKind, number>();
  const draw = (from: Knobs, kind: FaultKind) => {
    const mean_ms = from.maybe(0.5, () => from.range(8_000, 100_000), 0);
    if (mean_ms > 0) every_ms.set(kind, mean_ms);
  };
  for (const kind of kinds) draw(knobs, kind);
  const later = new Knobs(seed ^ later_salt);
  for (const kind of later_kinds) draw(later, kind);
  const disaster = later.maybe<number | null>(0.15, () => later.range(0.2, 0.9), null);
  return { every_ms, at_leader: knobs.range(0, 0.7), most_keeper_freeze_ms: 1.9 * kill_ms, disaster };
}
