/**
 * Text tables: aligned, numbers to the right, no trailing blanks; with a separator, raw fields for scripts.
 */
export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export interface TableOptions {
  readonly headers: boolean;
  /** null: aligned columns. */
  readonly separator: string | null;
}

/** Columns that a cell takes on a terminal; wide and combining characters of names count as one and none. */
function widthOf(text: string): number {
  return [...text.replaceAll(/\p{Mn}/gu, '')].length;
}

/** Lines of the table, without newlines. Control characters in cells become `?`: a name must not move the cursor. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions,
): readonly string[] {
  const clean = rows.map((row) => row.map((cell) => cell.replaceAll(/[\u0000-\u001f\u007f]/g, '?')));
  const titles = columns.map((column) => column.title);
  const all = options.headers ? [titles, ...clean] : clean;
  const separator = options.separator;
  if (separator !== null) return all.map((row) => row.join(separator));
  const widths = columns.map((_, at) => all.reduce((most, row) => Math.max(most, widthOf(row[at] ?? '')), 0));
  return all.map((row) =>
    row
      .map((cell, at) => {
        const fill = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cell)));
        return columns[at]?.align === 'right' ? fill + cell : cell + fill;
      })
      .join(' ')
      .trimEnd(),
  );
}
