/**
 * Sizes as Ganeti's commands read and print them: binary units, MiB when no unit is given.
 */
import { usageError } from './exit-status.ts';

export type SizeUnit = 'h' | 'm' | 'g' | 't';

const factors: Readonly<Record<string, number>> = { m: 1, g: 1024, t: 1024 * 1024 };

/** MiB of `10g`, `512`, `1.5T`, `256mib`; rounded up, because a disk must not be smaller than asked for. */
export function parseSize(text: string, what = 'size'): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([mgt]?)(?:i?b)?\s*$/i.exec(text);
  const value = match
    ? Math.ceil(Number(match[1]) * (factors[(match[2] ?? '').toLowerCase()] ?? 1))
    : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw usageError(
      `${what} "${text}" is no size`,
      'a number with m, g or t behind it, such as 512m or 10g',
    );
  }
  return value;
}

/** `1.5G`; with a fixed unit the bare number in that unit, as Ganeti's --units does. */
export function formatSize(mib: number, unit: SizeUnit): string {
  const tenth = (value: number): string => value.toFixed(1);
  switch (unit) {
    case 'm':
      return String(Math.round(mib));
    case 'g':
      return tenth(mib / 1024);
    case 't':
      return tenth(mib / (1024 * 1024));
    case 'h':
      if (mib < 1024) return `${Math.round(mib)}M`;
      if (mib < 1024 * 1024) return `${tenth(mib / 1024)}G`;
      return `${tenth(mib / (1024 * 1024))}T`;
  }
}

/** Seconds of `90`, `30s`, `10m`, `2h`, `1d`, `1w`. */
export function parseDuration(text: string, what = 'time'): number {
  const match = /^(\d+)([smhdw]?)$/.exec(text.trim());
  const factor = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }[match?.[2] ?? ''] ?? Number.NaN;
  const value = match ? Number(match[1]) * factor : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw usageError(
      `${what} "${text}" is no duration`,
      'a number with s, m, h, d or w behind it, such as 30m',
    );
  }
  return value;
}
