/**
 * Histories of a real register under a seeded scheduler: clients call, an operation takes effect at some moment, returns at a
 * later one. Linearizable by construction, so the checker's tests can measure it. The same seed gives the same history.
 */
import type { Operation } from './operation.ts';

export interface HistoryOptions {
  readonly seed: number;
  readonly clients: number;
  readonly keys: number;
  readonly operations: number;
  /** Share of operations whose answer is lost; half of these never take effect. */
  readonly unknown: number;
  /** Distinct values; Infinity: no value is written twice. */
  readonly values: number;
  /** Share of writes; reads and compare-and-sets divide the rest equally. */
  readonly writes: number;
}

interface Running {
  readonly op: Omit<Operation, 'return'>;
  readonly unknown: boolean;
  applied: boolean;
  result: unknown;
}

/** splitmix32: uniform in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Operations in the order in which their outcome became known; those that took effect late come last. */
export function generateHistory(options: HistoryOptions): Operation[] {
  const random = randomOf(options.seed);
  const below = (n: number): number => Math.floor(random() * n);
  const registers = new Map<string, unknown>();
  const history: Operation[] = [];
  const running = new Map<number, Running>();
  /** Answer lost, effect still to come. */
  const adrift: Running[] = [];
  let time = 0;
  let started = 0;
  let last_value = 0;

  const begin = (client: number): void => {
    const key = `k${below(options.keys)}`;
    const chance = random();
    const value = options.values === Number.POSITIVE_INFINITY ? ++last_value : below(options.values);
    const kind = chance < options.writes ? 'write' : chance < (1 + options.writes) / 2 ? 'read' : 'cas';
    // Half of the compare-and-sets expect what is there.
    const expected = random() < 0.5 ? (registers.get(key) ?? null) : Math.max(0, value - 1 - below(4));
    const more = kind === 'read' ? {} : kind === 'write' ? { value } : { value, expected };
    running.set(client, {
      op: { client, kind, key, call: time, ...more },
      unknown: random() < options.unknown,
      applied: false,
      result: undefined,
    });
    started++;
  };
  const apply = (run: Running): void => {
    const { op } = run;
    const there = registers.get(op.key) ?? null;
    run.applied = true;
    if (op.kind === 'read') run.result = there;
    else if (op.kind === 'write') registers.set(op.key, op.value);
    else {
      run.result = there === op.expected;
      if (run.result) registers.set(op.key, op.value);
    }
  };
  const end = (client: number, run: Running): void => {
    running.delete(client);
    const outcome = run.unknown || run.op.kind === 'write' ? {} : { result: run.result };
    history.push({ ...run.op, ...outcome, return: run.unknown ? null : time });
    if (run.unknown && !run.applied && random() < 0.5) adrift.push(run);
  };

  while (started < options.operations || running.size > 0) {
    time++;
    if (adrift.length > 0 && random() < 0.1) apply(adrift.splice(below(adrift.length), 1)[0]!);
    const client = below(options.clients);
    const run = running.get(client);
    if (run === undefined) {
      if (started < options.operations) begin(client);
    } else if (run.applied || (run.unknown && random() < 0.5)) end(client, run);
    else apply(run);
  }
  return history;
}
