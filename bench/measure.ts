/** Collects the values of one measurement with the load of the machine around them. */
import { load1 } from './clock.ts';
import type { BenchContext, Goal, Measurement } from './figure.ts';
import { median } from './stats.ts';

export interface Series {
  readonly values: readonly number[];
  add(value: number): void;
  /** Hands it to the report; answers its median. @throws RangeError when nothing was measured. */
  emit(note?: string): number;
}

export function measureSeries(
  context: Pick<BenchContext, 'emit'>,
  name: string,
  unit: Measurement['unit'],
  goal: Goal | null = null,
): Series {
  const values: number[] = [];
  const load_before = load1();
  return {
    values,
    add: (value) => void values.push(value),
    emit(note = '') {
      const middle = median(values);
      context.emit({ name, unit, values, load1: [load_before, load1()], goal, note });
      return middle;
    },
  };
}

/** One value derived from medians, such as a ratio. */
export function emitRatio(
  context: Pick<BenchContext, 'emit'>,
  name: string,
  value: number,
  goal: Goal | null,
): void {
  const load = load1();
  context.emit({ name, unit: 'x', values: [value], load1: [load, load], goal, note: 'ratio of medians' });
}
