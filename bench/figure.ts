/** What a benchmark is: something that measures, and what it hands to the report. */

/** A bound that a median has to keep. */
export interface Goal {
  readonly kind: 'below' | 'at-least';
  readonly value: number;
}

/** One line of the report. */
export interface Measurement {
  /** e.g. `failover-kill/commit`. */
  readonly name: string;
  readonly unit: 'ms' | 's' | 'MiB' | '%' | 'x' | 'count';
  readonly values: readonly number[];
  /** Load average of the machine when the first and the last value were taken. */
  readonly load1: readonly [number, number];
  readonly goal: Goal | null;
  readonly note: string;
}

/** Gets told what has been measured as soon as it has. */
export type Emit = (measurement: Measurement) => void;

export interface BenchContext {
  readonly trials: number;
  /** Fewer rounds of everything: to see whether it works, not to be quoted. */
  readonly quick: boolean;
  /** Minutes of the test that no election happens. */
  readonly minutes: number;
  readonly emit: Emit;
  /** Progress, for people. */
  readonly say: (line: string) => void;
  /** Ends when the run is to end early (Ctrl-C). Checked between trials. */
  readonly signal: AbortSignal;
}

export interface Figure {
  readonly name: string;
  readonly summary: string;
  /** Whether it needs network namespaces. */
  readonly root: boolean;
  /** Commands it runs beside the lab's, with their Debian packages. */
  readonly needs: readonly (readonly [command: string, debian_package: string])[];
  /** Rounds where nothing else was asked for; absent: 20. */
  readonly usual_trials?: number;
  run(context: BenchContext): Promise<void>;
}
