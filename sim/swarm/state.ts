/**
 * The account of a swarm run: which seeds are done, how many hours were simulated, what went wrong on purpose and what
 * was reached. Pure: `sim/run-swarm*.ts` reads and writes it. Seeds are the nth after a base; which of them are done is
 * known exactly, whatever order they ended in.
 */
import type { Marks } from '../kit/marks.ts';
import { nthSeed } from '../kit/seed.ts';
import type { Shape } from './shape.ts';

/** What decides a run beside its seed. */
export interface SwarmSettings {
  /** Drawn from the seed when null. */
  readonly nodes: number | null;
  /** Virtual minutes of load and faults in one run. */
  readonly minutes: number;
  readonly protection_changes: boolean;
  /** A cluster like this one, instead of one drawn from the seed. */
  readonly shape: Shape | null;
}

export interface SwarmState {
  readonly version: 1;
  readonly base: number;
  readonly settings: SwarmSettings;
  /** The first number that was never given out. */
  readonly next: number;
  /** Numbers below `next` that were given out and have not ended. */
  readonly open: readonly number[];
  readonly seeds: number;
  /** Of those, how many were run twice, with equal traces. */
  readonly repeated: number;
  readonly simulated_s: number;
  readonly wall_s: number;
  readonly events: number;
  readonly jobs: number;
  readonly marks: Readonly<Record<string, number>>;
  /** Seeds done by commit. */
  readonly commits: Readonly<Record<string, number>>;
  readonly breaches: readonly { readonly seed: number; readonly text: string }[];
}

/** How often each was reached, of those that were. */
export function countsOf<Name extends string>(marks: Marks<Name>): Record<string, number> {
  return Object.fromEntries(marks.reached.map((name) => [name, marks.count(name)]));
}

/** What one seed adds. */
export interface SeedDone {
  readonly simulated_s: number;
  readonly events: number;
  readonly jobs: number;
  readonly repeated: boolean;
  readonly marks: Readonly<Record<string, number>>;
}

/** One seed in this many is run twice. */
const repeat_every = 100;

export function emptyState(base: number, settings: SwarmSettings): SwarmState {
  return {
    version: 1,
    base,
    settings,
    next: 0,
    open: [],
    seeds: 0,
    repeated: 0,
    simulated_s: 0,
    wall_s: 0,
    events: 0,
    jobs: 0,
    marks: {},
    commits: {},
    breaches: [],
  };
}

export interface Given {
  readonly nth: number;
  readonly seed: number;
  /** To be run twice, and the traces compared. */
  readonly twice: boolean;
}

/** The next seed: one that an earlier stop left open and nobody runs, else a new one. */
export function give(state: SwarmState, running: ReadonlySet<number>): { state: SwarmState; given: Given } {
  const left = state.open.find((nth) => !running.has(nth));
  const nth = left ?? state.next;
  const given = { nth, seed: nthSeed(state.base, nth), twice: nth % repeat_every === 0 };
  if (left !== undefined) return { state, given };
  return { state: { ...state, next: nth + 1, open: [...state.open, nth] }, given };
}

export function sumMarks(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum: Record<string, number> = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

function ended(state: SwarmState, nth: number, commit: string): SwarmState {
  return {
    ...state,
    open: state.open.filter((one) => one !== nth),
    seeds: state.seeds + 1,
    commits: sumMarks(state.commits, { [commit]: 1 }),
  };
}

export function seedDone(state: SwarmState, nth: number, commit: string, done: SeedDone): SwarmState {
  return {
    ...ended(state, nth, commit),
    repeated: state.repeated + (done.repeated ? 1 : 0),
    simulated_s: state.simulated_s + done.simulated_s,
    events: state.events + done.events,
    jobs: state.jobs + done.jobs,
    marks: sumMarks(state.marks, done.marks),
  };
}

export function seedBroke(state: SwarmState, nth: number, commit: string, text: string): SwarmState {
  return {
    ...ended(state, nth, commit),
    breaches: [...state.breaches, { seed: nthSeed(state.base, nth), text }],
  };
}
