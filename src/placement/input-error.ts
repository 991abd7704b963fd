/** What is wrong with a description of a cluster: where, what was found there, and what was expected. */
export class InputError extends Error {
  /** E.g. `line 12`, `instance 'web1'`. */
  readonly where: string;
  readonly expected: string;
  /** @param problem names the value that was found, quoted; worded as the htools do where they say anything. */
  constructor(where: string, problem: string, expected: string) {
    super(`${where}: ${problem}: expected ${expected}`);
    this.name = 'InputError';
    this.where = where;
    this.expected = expected;
  }
}

/** In single quotes, as the htools quote; shortened so that it stays one line of a terminal. */
export function quoted(value: string): string {
  return `'${value.length > 120 ? `${value.slice(0, 117)}...` : value}'`;
}
