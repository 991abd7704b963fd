/**
 * One JSON object a line over a byte stream, in both directions between agent and keeper. Guarantees: a line longer
 * than the limit ends the connection instead of filling memory.
 */

export const max_line_bytes = 1_048_576;

/** Feed it chunks; it calls `onLine` for each complete object. Throws on a line that is too long or no JSON object. */
export class LineReader {
  #rest = '';
  readonly #decoder = new TextDecoder();
  readonly #onLine: (value: Record<string, unknown>) => void;

  constructor(onLine: (value: Record<string, unknown>) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > max_line_bytes) throw new Error(`line of more than ${max_line_bytes} bytes`);
    for (const line of lines) {
      if (line === '') continue;
      const value: unknown = JSON.parse(line);
      if (value === null || typeof value !== 'object' || Array.isArray(value)) {
        throw new Error(`expected a JSON object a line, got '${line.slice(0, 80)}'`);
      }
      this.#onLine(value as Record<string, unknown>);
    }
  }
}

export function encodeLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
