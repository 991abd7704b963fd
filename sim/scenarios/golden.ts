/**
 * Compares the log of a scenario with the one that is kept. The texts must be the same, each as often; a time may be
 * off by a little, and the order of what is nearly simultaneous is free: an honest change to the agent moves both.
 */

export interface LogLine {
  readonly at_s: number;
  readonly text: string;
}

/** Seconds by which a line may be off, and the share of its time. */
const slack_s = 5;
const slack_share = 0.1;

export const formatLog = (lines: readonly LogLine[]): string =>
  lines.map(({ at_s, text }) => `${at_s.toFixed(0).padStart(5)} s  ${text}\n`).join('');

/** @throws Error for a line of another form */
export function parseLog(text: string): readonly LogLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, at, what] = /^ *(-?\d+) s {2}(.*)$/.exec(line) ?? [];
      if (at === undefined || what === undefined)
        throw new Error(`log.golden: "${line}" is no line of a log`);
      return { at_s: Number(at), text: what };
    });
}

/** What is different, one line each: `-` only in the kept log, `+` only in this one, `~` at another time. */
export function differences(kept: readonly LogLine[], found: readonly LogLine[]): readonly string[] {
  const byText = (lines: readonly LogLine[]) => Map.groupBy(lines, (line) => line.text);
  const [before, now] = [byText(kept), byText(found)];
  const wrong: string[] = [];
  for (const text of new Set([...before.keys(), ...now.keys()])) {
    const [old, fresh] = [before.get(text) ?? [], now.get(text) ?? []];
    for (const { at_s } of old.slice(fresh.length)) wrong.push(`- ${at_s.toFixed(0)} s  ${text}`);
    for (const { at_s } of fresh.slice(old.length)) wrong.push(`+ ${at_s.toFixed(0)} s  ${text}`);
    old.forEach((line, nth) => {
      const other = fresh[nth];
      if (other === undefined || Math.abs(other.at_s - line.at_s) <= slack_s + slack_share * line.at_s)
        return;
      wrong.push(`~ ${line.at_s.toFixed(0)} s is now ${other.at_s.toFixed(0)} s  ${text}`);
    });
  }
  return wrong;
}
