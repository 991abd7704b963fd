/** Sizes on htools' command lines: a whole number and a unit, MiB where there is none. */
import { InputError, quoted } from './input-error.ts';

const kibi = 1024;
/** Lower case and …iB count in 1024, upper case and …B in 1000. */
const in_mib: { readonly [unit: string]: number } = {
  '': 1,
  m: 1,
  g: kibi,
  t: kibi * kibi,
  M: 1e6 / kibi / kibi,
  G: 1e9 / kibi / kibi,
  T: 1e12 / kibi / kibi,
};

/** In MiB, fractions dropped. Throws {@link InputError}. @param what e.g. `disk size` */
export function parseSize(what: string, text: string): number {
  const match = /^\s*(-?\d+)\s*(.*)$/.exec(text);
  if (match === null) {
    throw new InputError(what, `Can't parse string ${quoted(text)}`, 'a whole number and perhaps a unit');
  }
  const [, digits = '', unit = ''] = match;
  const upper = unit.toUpperCase();
  const letter = upper.endsWith('IB')
    ? unit.slice(0, 1).toLowerCase()
    : upper.length === 2 && upper.endsWith('B')
      ? upper.slice(0, 1)
      : unit;
  const factor = Object.hasOwn(in_mib, letter) ? in_mib[letter] : undefined;
  if (factor === undefined) {
    throw new InputError(what, `Unknown unit ${quoted(unit)}`, 'm, g, t (of 1024) or M, G, T (of 1000)');
  }
  const size = Math.trunc(Number(digits) * factor);
  if (size < 0) throw new InputError(what, `${quoted(text)} is negative`, 'a size from 0');
  return size;
}
