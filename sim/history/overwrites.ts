/** When a value is gone for sure, as far as the known part of a history shows. */
import type { Step } from './step.ts';

/** Notes for each of `steps` when its value is overwritten at the latest, as far as `queue` (in order of calls) shows. */
export function markOverwrites(steps: readonly Step[], queue: readonly Step[], known_to: number): void {
  const setters = queue.filter((step) => step.sets !== null && step.end < known_to);
  const first_end = new Array<number>(setters.length + 1).fill(Number.POSITIVE_INFINITY);
  for (let at = setters.length - 1; at >= 0; at--)
    first_end[at] = Math.min(setters[at]!.end, first_end[at + 1]!);
  for (const step of steps) {
    if (step.sets === null || step.gone !== Number.POSITIVE_INFINITY) continue;
    let low = 0;
    let high = setters.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (setters[middle]!.call > step.end) high = middle;
      else low = middle + 1;
    }
    step.gone = first_end[low]!;
  }
}
