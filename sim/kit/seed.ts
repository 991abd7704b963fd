/** How a seed is written and read: hexadecimal in what is printed, either way in what is asked. */

/** @param seed a whole number; 32 bits of it count */
export function formatSeed(seed: number): string {
  return `0x${(seed >>> 0).toString(16).padStart(8, '0')}`;
}

/** @throws RangeError unless `text` is a whole number from 0 to 2^32 - 1, decimal or 0x… */
export function parseSeed(text: string): number {
  const seed = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(seed >= 0 && seed < 2 ** 32)) {
    throw new RangeError(`seed '${text}': expected a whole number below 2^32, decimal or 0x…`);
  }
  return seed;
}

/** The seed of the `nth` run after `base`: spread, so that neighbours share nothing (splitmix32). */
export function nthSeed(base: number, nth: number): number {
  let z = (base + Math.imul(nth + 1, 0x9e3779b9)) >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** A seed of its own for each name, from a run's (FNV-1a over 32 bits). */
export function seedOf(seed: number, name: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
