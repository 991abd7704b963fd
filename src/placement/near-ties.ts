/**
 * Choosing the least of many scores that were worked out in a hurry.
 *
 * Scores nearer to each other than rounding can tell are compared by values worked out the long way, as the htools work
 * them out, so that where nodes are equally good the same one is chosen as there: of equal ones the last. Those that are
 * equal to the last bit stand for nodes that are alike, and one of them may answer for all.
 */

const tolerance = 1e-10;
/** Of more near ties than this, only the last ones are looked at. */
const most_exact = 500;

/**
 * Indexes from the least score on, the last of equal ones first.
 * @param exactAt the score at an index, the long way
 * @param one_for_all of those that are equal to the last bit only one is worked out
 */
export function* ascending(
  scores: ArrayLike<number>,
  exactAt: (index: number) => number,
  one_for_all = true,
): Generator<number, void, undefined> {
  const first = nearestToLeast(scores);
  yield* inExactOrder(scores, first, exactAt, one_for_all);
  if (first.length === scores.length) return;
  const taken = new Set(first);
  const rest = Array.from({ length: scores.length }, (_, index) => index)
    .filter((index) => !taken.has(index))
    .sort((a, b) => scores[a]! - scores[b]! || a - b);
  for (let at = 0; at < rest.length; ) {
    const least = scores[rest[at]!]!;
    let end = at + 1;
    while (end < rest.length && isNear(least, scores[rest[end]!]!)) end += 1;
    const run = rest.slice(at, end).sort((a, b) => a - b);
    yield* inExactOrder(scores, run, exactAt, one_for_all);
    at = end;
  }
}

/** The index of the least score, the last of equal ones; -1 if there are none. */
export function leastIndex(scores: ArrayLike<number>, exactAt: (index: number) => number): number {
  return ascending(scores, exactAt).next().value ?? -1;
}

function isNear(least: number, score: number): boolean {
  return score - least <= tolerance * (1 + Math.abs(least));
}

/** In ascending order of the indexes. All of them if no score is a number. */
function nearestToLeast(scores: ArrayLike<number>): readonly number[] {
  let least = Number.NaN;
  for (let index = 0; index < scores.length; index++) if (!(least <= scores[index]!)) least = scores[index]!;
  const near: number[] = [];
  for (let index = 0; index < scores.length; index++) {
    if (Number.isNaN(least) || isNear(least, scores[index]!)) near.push(index);
  }
  return near;
}

/** @param run indexes of scores that are near each other, ascending */
function inExactOrder(
  scores: ArrayLike<number>,
  run: readonly number[],
  exactAt: (index: number) => number,
  one_for_all: boolean,
): readonly number[] {
  if (run.length < 2) return run;
  const descending = run.toReversed();
  const keyOf = (index: number): number => (one_for_all ? scores[index]! : index);
  const last_of = new Map<number, number>();
  for (const index of run) last_of.set(keyOf(index), index);
  if (last_of.size === 1) return descending;
  const exact = new Map<number, number>();
  for (const [key, index] of [...last_of].slice(-most_exact)) exact.set(key, exactAt(index));
  const exactOf = (index: number): number => exact.get(keyOf(index)) ?? Number.POSITIVE_INFINITY;
  return descending.sort((a, b) => exactOf(a) - exactOf(b) || b - a);
}
