/** A run made twice: a run is a function of its seed, or nothing that a seed shows can be shown again. */
import { formatSeed } from '../kit/seed.ts';

/**
 * @returns what the first run returned
 * @throws Error when the second was another; whatever a run throws
 */
export async function runTwice<Result extends { readonly trace_hash: string }>(
  run: (seed: number) => Promise<Result>,
  seed: number,
): Promise<Result> {
  const first = await run(seed);
  const again = await run(seed);
  if (again.trace_hash !== first.trace_hash)
    throw new Error(`seed ${formatSeed(seed)} ran in two ways: ${first.trace_hash}, ${again.trace_hash}`);
  return first;
}
