/**
 * One text per value: keys sorted, no spaces, so that equal data hashes equally wherever and however it was built.
 * Guarantees: different plain data never has the same text. Throws on what is not plain data (an invariant by then).
 */

export function canonical(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`);
      return value === 0 ? '0' : String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object': {
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
      const members: string[] = [];
      const record = value as Record<string, unknown>;
      for (const key of Object.keys(record).sort()) {
        const item = record[key];
        if (item !== undefined) members.push(`${JSON.stringify(key)}:${canonical(item)}`);
      }
      return `{${members.join(',')}}`;
    }
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`);
  }
}

/** Whether two plain values are the same data. */
export function sameData(a: unknown, b: unknown): boolean {
  return a === b || canonical(a) === canonical(b);
}
