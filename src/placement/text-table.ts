/** Tables in plain text: columns as wide as their widest cell, one space between them, numbers to the right. */

/** @param numeric of each column. Lines without their ends. */
export function formatTable(
  rows: readonly (readonly string[])[],
  numeric: readonly boolean[],
): readonly string[] {
  const widths = numeric.map((_, column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return numeric[column] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join(' '),
  );
}

/** With a line of titles; every line begins with `prefix` and a space. */
export function printedTable(
  prefix: string,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  numeric: readonly boolean[],
): string {
  return formatTable([titles, ...rows], numeric)
    .map((line) => `${prefix} ${line}\n`)
    .join('');
}
