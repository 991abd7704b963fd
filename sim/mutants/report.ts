/**
 * The table of all mutants as a page (docs/mutants.md), which the command that runs them writes, so that no number in it
 * was put there by hand. Runs of some mutants replace their rows and leave the others; mutants that are gone go from it.
 * It must never call a mutant noticed that no run has killed.
 */
import { formatSeed, parseSeed } from '../kit/seed.ts';
import type { Mutant } from './mutant.ts';

/** What became of one mutant, or of the real code in one simulator. */
export interface Row {
  readonly name: string;
  readonly simulator: string;
  /** The oracle; null: nobody noticed. */
  readonly by: string | null;
  /** How many were run, the one that killed it included. */
  readonly seeds: number;
  /** From which they were drawn. */
  readonly base: number;
}

/** The name of the row of the code as it is. */
export const real_code = 'the real code';
const unnoticed = '**not noticed**';
const argued = 'not noticed, as argued';

/** The rows of a page. @throws RangeError for a line of the table that is none */
export function rowsOf(page: string): readonly Row[] {
  const lines = page
    .split('\n')
    .filter((line) => line.startsWith('| `') || line.startsWith(`| ${real_code} `));
  return lines.map((line) => {
    const [, name = '', simulator = '', by = '', seeds = '', base = ''] = line
      .split('|')
      .map((cell) => cell.trim());
    const count = Number(seeds);
    if (!Number.isInteger(count) || count < 1 || base === '') throw new RangeError(`not a row: ${line}`);
    const seen = by === unnoticed || by === argued || by === '-';
    return {
      name: name.replaceAll('`', ''),
      simulator,
      by: seen ? null : by,
      seeds: count,
      base: parseSeed(base),
    };
  });
}

/** The page, from what it said before and what was run now. */
export function pageOf(mutants: readonly Mutant[], before: readonly Row[], now: readonly Row[]): string {
  const key = ({ name, simulator }: Row) => `${name} ${simulator}`;
  const known = new Map(before.map((row) => [key(row), row]));
  for (const row of now) {
    const old = known.get(key(row));
    // The real code is run again on no more seeds than this time's kills took: more than that is not forgotten.
    const less = row.name === real_code && row.by === null && old?.by === null && old.seeds > row.seeds;
    if (!less) known.set(key(row), row);
  }
  const rows = mutants.flatMap((mutant) => {
    const row = known.get(`${mutant.name} ${mutant.simulator}`);
    return row === undefined ? [] : [{ ...row, mutant }];
  });
  const killed = rows.filter(({ by }) => by !== null);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const reals = [...known.values()].filter(({ name }) => name === real_code);
  const excused = rows.filter(({ by, mutant }) => by === null && mutant.survives !== undefined);
  return [
    '# Mutants',
    '',
    'Wrong variants of the source, each of which a simulator must notice (`sim/mutants`). This page is written by',
    '',
    '    node sim/run-mutants.ts --table docs/mutants.md',
    '',
    `${mutants.length} mutants; ${rows.length} were run: ${killed.length} noticed, ${excused.length} argued to be harmless, ${rows.length - killed.length - excused.length} not noticed. *Seeds* is how many runs it`,
    'took, from the base on; in scenes each plays all there is, in scenarios and explorations the next one. The real code gets',
    'through the seed of each kill; its own rows say how many others it was run on.',
    '',
    line(['mutant', 'simulator', 'noticed by', 'seeds', 'base']),
    line(['---', '---', '---', '---', '---']),
    ...rows.map(({ name, simulator, by, seeds, base, mutant }) => {
      const noticed = by ?? (mutant.survives === undefined ? unnoticed : argued);
      return line([`\`${name}\``, simulator, noticed, String(seeds), formatSeed(base)]);
    }),
    ...reals.map(({ name, simulator, by, seeds, base }) =>
      line([name, simulator, by ?? '-', String(seeds), formatSeed(base)]),
    ),
    '',
    ...excused.map(({ name, mutant }) => `- \`${name}\`: ${mutant.survives}`),
    '',
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}
