/** Detailed views in the indented `key: value` form of Ganeti's info commands. */

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

function scalar(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (value === '') return "''";
  return String(value).replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f]/g, '?');
}

/** Lines of any plain value; `indent` in blanks. */
export function dumpLines(value: unknown, indent = 0): string[] {
  const pad = ' '.repeat(indent);
  if (isPlain(value)) return [pad + scalar(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      if (isPlain(item)) return [`${pad}- ${scalar(item)}`];
      const lines = dumpLines(item, indent + 2);
      const first = lines[0] ?? '';
      return [`${pad}- ${first.trimStart()}`, ...lines.slice(1)];
    });
  }
  return Object.entries(value as Record<string, unknown>).flatMap(([key, item]) => {
    if (isPlain(item)) return [`${pad}${key}: ${scalar(item)}`];
    if (Array.isArray(item) && item.every(isPlain)) {
      return [`${pad}${key}: ${item.length === 0 ? '-' : item.map(scalar).join(', ')}`];
    }
    const lines = dumpLines(item, indent + 2);
    return lines.length === 0 ? [`${pad}${key}: -`] : [`${pad}${key}:`, ...lines];
  });
}
