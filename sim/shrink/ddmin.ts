/**
 * Delta debugging: the smallest part of a list that still fails. The algorithm ddmin of Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002, section 3.2: the result is 1-minimal, which
 * means that without any one of its items it does not fail. Pure but for what `fails` does.
 */

/**
 * @param fails whether this part, in the order of the list, still fails; it must hold for the whole list
 * @returns a part that fails, 1-minimal
 */
export async function ddmin<T>(
  items: readonly T[],
  fails: (part: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let best = items;
  // Known from the start, and not part of the paper's loop: often nothing of a kind is needed.
  if (best.length > 0 && (await fails([]))) return [];
  let granularity = 2;
  while (best.length >= 2) {
    const parts = split(best, Math.min(granularity, best.length));
    const next = await firstFailing(best, parts, fails);
    if (next === null) {
      if (granularity >= best.length) return best;
      granularity = Math.min(best.length, 2 * granularity);
    } else {
      best = next.part;
      granularity = next.is_complement ? Math.max(granularity - 1, 2) : 2;
    }
  }
  return best;
}

function split<T>(items: readonly T[], count: number): readonly (readonly T[])[] {
  return Array.from({ length: count }, (_, nth) =>
    items.slice(Math.floor((nth * items.length) / count), Math.floor(((nth + 1) * items.length) / count)),
  );
}

async function firstFailing<T>(
  whole: readonly T[],
  parts: readonly (readonly T[])[],
  fails: (part: readonly T[]) => Promise<boolean>,
): Promise<{ part: readonly T[]; is_complement: boolean } | null> {
  for (const part of parts) if (await fails(part)) return { part, is_complement: false };
  // Of two parts each is the other's complement.
  if (parts.length === 2) return null;
  for (const part of parts) {
    const left = new Set(part);
    const complement = whole.filter((item) => !left.has(item));
    if (await fails(complement)) return { part: complement, is_complement: true };
  }
  return null;
}
