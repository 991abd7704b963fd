/**
 * Numbers in decimal as the htools print them: the shortest digits that stand for the number are rounded, a half to the
 * even digit, where JavaScript's `toFixed` rounds the binary value.
 */

/** With so many digits after the point (`%.8f`). */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Infinity' : 'Infinity';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const { mantissa, exponent } = shortest(Math.abs(value));
  // As many digits before the point as exponent + 1, or leading zeros after it.
  const all = '0'.repeat(Math.max(0, -exponent)) + mantissa + '0'.repeat(Math.max(0, exponent));
  const point = Math.max(0, exponent) + 1;
  const rounded = roundHalfEven(all, point + digits);
  const cut = rounded.length - digits;
  const after = digits === 0 ? '' : `.${rounded.slice(cut)}`;
  return `${sign}${rounded.slice(0, cut).replace(/^0+(?=\d)/, '')}${after}`;
}

/** As many digits as it takes, at least one after the point; with an exponent below 0.1 and from 10,000,000 on. */
export function shortestDecimal(value: number): string {
  if (!Number.isFinite(value)) return fixed(value, 0);
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const sign = value < 0 ? '-' : '';
  const { mantissa, exponent } = shortest(Math.abs(value));
  if (exponent < -1 || exponent >= 7) {
    return `${sign}${mantissa[0] ?? '0'}.${mantissa.slice(1) || '0'}e${exponent}`;
  }
  if (exponent === -1) return `${sign}0.${mantissa}`;
  const padded = mantissa.padEnd(exponent + 1, '0');
  return `${sign}${padded.slice(0, exponent + 1)}.${padded.slice(exponent + 1) || '0'}`;
}

/** d.ddd × 10^exponent, with the fewest digits that give the number back. */
function shortest(value: number): { readonly mantissa: string; readonly exponent: number } {
  const [mantissa = '0', exponent = '0'] = value.toExponential().split('e');
  return { mantissa: mantissa.replace('.', ''), exponent: Number(exponent) };
}

/** The first `count` digits, rounded; one more if it carries. Short ones are filled with zeros. */
function roundHalfEven(digits: string, count: number): string {
  if (digits.length <= count) return digits.padEnd(count, '0');
  const kept = digits.slice(0, count);
  const rest = digits.slice(count);
  const half = rest[0] === '5' && /^0*$/.test(rest.slice(1));
  const odd = Number(kept.at(-1)) % 2 === 1;
  const up = half ? odd : Number(rest[0]) >= 5;
  return up ? (BigInt(kept) + 1n).toString().padStart(count, '0') : kept;
}
