/** Durations as people type them. */

const unit_s: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1 };

/** Seconds of `90`, `90s`, `30m`, `2h`, `1h30m`. @throws RangeError for anything else */
export function parseSeconds(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?[dhms])+$/.test(text))
    throw new RangeError(`duration '${text}': expected seconds, or the like of 90s, 30m, 2h, 1h30m`);
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)([dhms])/g)) seconds += Number(count) * unit_s[unit!]!;
  return seconds;
}

/** `2 h 05 min`, `3 min 20 s`, `12.3 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}
