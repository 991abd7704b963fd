/**
 * The knobs of one run, all drawn from its seed. Ranges follow those that TigerBeetle's simulator uses (src/vopr.zig);
 * any fault may be wholly off, so that in some runs the others have room to do their worst.
 */
import type { Timing } from '../../src/consensus/index.ts';
import type { RelayLimits } from '../../src/consensus/relay-plan.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { NetworkKnobs } from './network.ts';

/** Mean time between two faults of a kind, over the whole group; 0: off. */
type Every = number;

export interface SwarmKnobs {
  /** How much rarer faults and operations are than in a storm. */
  readonly pace: number;
  /** How much longer the run is than asked for. */
  readonly stretch: number;
  readonly voters: number;
  readonly learners: number;
  readonly max_members: number;
  readonly timing: Timing;
  readonly network: NetworkKnobs;
  readonly clock_drift: number;
  readonly event_cost_ms: number;
  readonly clients: number;
  readonly registers: number;
  readonly lists: number;
  readonly think_ms: number;
  /** Share of the operations that are asked of whomever: so that an old leader is asked while a new one writes. */
  readonly wander: number;
  readonly client_timeout_ms: number;
  readonly follower_reads: number;
  readonly padding_bytes: number;
  readonly disk: { readonly sync_ms: number; readonly slow_ms: number; readonly slow: number };
  readonly image_write_ms: number;
  readonly image_ahead: number;
  readonly segment_bytes: number;
  readonly reserve_bytes: number;
  readonly compact_every: number;
  readonly compact_keep: number;
  readonly chunk_bytes: number;
  /** Of appends: see CoreOptions. */
  readonly flow: {
    readonly max_append_bytes: number;
    readonly max_inflight: number;
    readonly max_inflight_bytes: number;
  };
  /** Of snapshots: see TransferLimits. */
  readonly transfer: {
    readonly resend_ms: number;
    readonly give_up_ms: number;
    readonly max_pause_ms: number;
    readonly max_parallel: number;
    readonly window: number;
  };
  readonly every: {
    readonly partition: Every;
    readonly depose: Every;
    readonly flap: Every;
    readonly swizzle: Every;
    readonly clog: Every;
    readonly reset: Every;
    readonly crash: Every;
    readonly ambush: Every;
    readonly crash_all: Every;
    readonly crash_leader: Every;
    readonly freeze: Every;
    readonly block: Every;
    readonly stall: Every;
    readonly disk_error: Every;
    readonly disk_full: Every;
    readonly laggard: Every;
    readonly members: Every;
    readonly transfer: Every;
    readonly step_down: Every;
    readonly rot: Every;
    readonly misdirect: Every;
    readonly schism: Every;
    readonly rivals: Every;
  };
  readonly restart_ms: number;
  readonly stability_ms: number;
  /** Who feeds learners; null: always the leader. */
  readonly relays: RelayLimits | null;
}

export function drawSwarm(k: Knobs): SwarmKnobs {
  const knobs = drawFaults(k);
  // Four learners are the fewest below which two levels of relays hang.
  const learners = k.integer(3, 6);
  if (!k.chance(0.3)) return knobs;
  return {
    ...knobs,
    learners: Math.max(knobs.learners, learners),
    max_members: knobs.max_members + 4,
    relays: { over: 1, fan_out: 2 },
  };
}

function drawFaults(k: Knobs): SwarmKnobs {
  const usual = k.chance(0.5)
    ? { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 8 }
    : { tick_ms: 100, election_ticks: 20, heartbeat_ticks: 4 };
  const quick = { tick_ms: 50, election_ticks: k.integer(10, 20), heartbeat_ticks: k.integer(2, 4) };
  // Storms, in which a fault falls into the recovery from the one before, and long quiet stretches with rare ones.
  const pace = k.pick([1, 1, k.range(1, 10), 10 ** k.range(0, 1.8)]);
  const every = (p: number, low: number, high: number) => k.maybe(p, () => pace * k.range(low, high), 0);
  const schism = every(0.3, 4000, 20_000);
  const rivals = every(0.15, 4000, 20_000);
  return {
    pace,
    stretch: Math.min(pace, 3),
    // The counterexample to changes of one voter each needs four.
    voters: k.pick(rivals > 0 ? [4] : [3, 3, 4, 5, 5, 6, 7]),
    learners: Math.max(
      k.maybe(0.5, () => k.integer(1, 4), 0),
      schism > 0 ? 2 : rivals > 0 ? 1 : 0,
    ),
    max_members: k.integer(6, 10),
    timing: k.chance(0.4) ? usual : quick,
    network: {
      delay_ms: k.maybe(0.5, () => k.range(0, 30), 1),
      jitter_ms: k.maybe(0.6, () => k.exponential(20, 100), 0),
      loss: k.maybe(0.4, () => k.exponential(0.05, 0.3), 0),
      duplicate: k.maybe(0.4, () => k.exponential(0.1, 0.5), 0),
      reorder: k.maybe(0.4, () => k.range(0, 1), 0),
      alter: k.maybe(0.35, () => k.exponential(0.02, 0.1), 0),
    },
    clock_drift: k.maybe(0.5, () => k.range(0, 0.01), 0),
    event_cost_ms: k.maybe(0.2, () => k.range(0, 2), 0),
    clients: k.integer(2, 8),
    registers: k.integer(1, 4),
    lists: k.integer(1, 2),
    think_ms: k.range(20, 400) * Math.min(pace, 10),
    wander: k.maybe(0.5, () => k.range(0.05, 0.6), 0.02),
    client_timeout_ms: k.maybe(0.5, () => k.range(300, 1500), k.range(300, 8000)),
    follower_reads: k.maybe(0.7, () => k.range(0, 1), 0),
    padding_bytes: k.maybe(0.3, () => k.integer(100, 4000), 0),
    disk: {
      sync_ms: k.maybe(0.8, () => k.exponential(5, 100), 0),
      slow_ms: k.range(50, 1000),
      slow: k.maybe(0.3, () => k.range(0, 0.1), 0),
    },
    image_write_ms: k.maybe(0.8, () => k.exponential(50, 2000), 0),
    image_ahead: k.maybe(0.5, () => k.range(0, 1), 0),
    segment_bytes: k.pick([9000, 16_384, 65_536]),
    reserve_bytes: k.maybe(0.5, () => 65_536, 0),
    compact_every: k.pick([5, 20, 60, 200]),
    compact_keep: k.pick([1, 5, 20, 100]),
    chunk_bytes: k.integer(32, 1024),
    flow: {
      max_append_bytes: k.maybe(0.5, () => k.integer(1, 3000), 256 * 1024),
      max_inflight: k.maybe(0.4, () => k.integer(1, 8), 64),
      max_inflight_bytes: k.maybe(0.2, () => k.integer(200, 8000), 8 * 1024 * 1024),
    },
    transfer: {
      resend_ms: k.range(100, 1000),
      give_up_ms: k.range(500, 15_000),
      max_pause_ms: k.range(500, 10_000),
      max_parallel: k.integer(1, 2),
      window: k.integer(1, 8),
    },
    every: {
      partition: every(0.6, 2000, 15_000),
      depose: every(0.5, 800, 8000),
      flap: every(0.2, 5000, 30_000),
      swizzle: every(0.25, 5000, 30_000),
      clog: every(0.3, 300, 3000),
      reset: every(0.3, 500, 8000),
      crash: every(0.6, 1000, 12_000),
      ambush: every(0.6, 500, 8000),
      crash_all: every(0.2, 8000, 40_000),
      crash_leader: every(0.4, 2000, 15_000),
      freeze: every(0.3, 2000, 15_000),
      block: every(0.3, 500, 8000),
      stall: every(0.3, 2000, 15_000),
      disk_error: every(0.25, 3000, 20_000),
      disk_full: every(0.2, 3000, 20_000),
      laggard: every(0.3, 3000, 20_000),
      members: every(0.65, 300, 5000),
      transfer: every(0.4, 500, 8000),
      step_down: every(0.2, 2000, 15_000),
      rot: every(0.25, 3000, 20_000),
      misdirect: every(0.15, 3000, 20_000),
      schism,
      rivals,
    },
    restart_ms: k.exponential(2000, 10_000),
    stability_ms: k.range(500, 10_000),
    relays: null,
  };
}

/** Five voters, the product's timing, no faults, two clients that ask once a second. */
export function calmed(knobs: SwarmKnobs): SwarmKnobs {
  const every = Object.fromEntries(Object.keys(knobs.every).map((name) => [name, 0])) as SwarmKnobs['every'];
  return {
    ...knobs,
    every,
    stretch: 1,
    voters: 5,
    learners: 0,
    relays: null,
    timing: { tick_ms: 50, election_ticks: 40, heartbeat_ticks: 8 },
    network: { delay_ms: 1, jitter_ms: 0, loss: 0, duplicate: 0, reorder: 0, alter: 0 },
    event_cost_ms: 0,
    clients: 2,
    think_ms: 1000,
    disk: { sync_ms: 1, slow_ms: 0, slow: 0 },
  };
}
