/**
 * How far an exploration goes. Within these bounds every order of everything is tried; how often each rare thing may
 * happen is bounded for the whole cluster, not for each member, and counted from the end of the scene.
 */

export interface Bounds {
  /** No campaign begins that would enter a higher term. */
  readonly max_term: number;
  readonly proposals: number;
  readonly crashes: number;
  /** Heartbeat intervals that pass at leaders, beside the round with which each lead begins. */
  readonly heartbeats: number;
  readonly reads: number;
  readonly transfers: number;
  readonly changes: number;
  /** Messages that arrive and are still to come once more. */
  readonly repeats: number;
}

/** What is counted against the bounds, in the order in which it is written. */
export const counted = [
  'proposals',
  'crashes',
  'heartbeats',
  'reads',
  'transfers',
  'changes',
  'repeats',
] as const;
export type Counted = (typeof counted)[number];

export const no_bounds_used: Readonly<Record<Counted, number>> = {
  proposals: 0,
  crashes: 0,
  heartbeats: 0,
  reads: 0,
  transfers: 0,
  changes: 0,
  repeats: 0,
};

export const quiet: Bounds = {
  max_term: 1,
  proposals: 0,
  crashes: 0,
  heartbeats: 0,
  reads: 0,
  transfers: 0,
  changes: 0,
  repeats: 0,
};

/** For scenes and replays, which say themselves what happens. */
export const unbounded: Bounds = {
  max_term: Number.POSITIVE_INFINITY,
  proposals: Number.POSITIVE_INFINITY,
  crashes: Number.POSITIVE_INFINITY,
  heartbeats: Number.POSITIVE_INFINITY,
  reads: Number.POSITIVE_INFINITY,
  transfers: Number.POSITIVE_INFINITY,
  changes: Number.POSITIVE_INFINITY,
  repeats: Number.POSITIVE_INFINITY,
};

/** The bounds, counted on from what is used up already. */
export function onFrom(used: Readonly<Record<Counted, number>>, bounds: Bounds): Bounds {
  const further = counted.map((name) => [name, used[name] + bounds[name]] as const);
  return { ...bounds, ...Object.fromEntries(further) };
}
