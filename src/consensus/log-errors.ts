/**
 * What the log store says of what it finds. None of these changes anything on disk by itself.
 */

/** A record that had been promised is damaged or missing: the member must not vote or count until it is added anew. */
export class LogCorruptError extends Error {
  readonly file: string;
  readonly offset: number;
  /** The log index at or after which the damage lies; 0 if unknown. */
  readonly index: number;
  readonly reason: string;

  constructor(file: string, offset: number, index: number, reason: string) {
    super(`log file ${file} is corrupt at offset ${offset} (log index ${index}): ${reason}`);
    this.name = 'LogCorruptError';
    this.file = file;
    this.offset = offset;
    this.index = index;
    this.reason = reason;
  }
}

/** The directory holds no log. A member that had one must not begin again with an empty one. */
export class LogMissingError extends Error {
  constructor() {
    super('there is no log here; a new one begins only with bootstrapLog');
    this.name = 'LogMissingError';
  }
}

/** There is a log already. */
export class LogExistsError extends Error {
  readonly file: string;

  constructor(file: string) {
    super(`there is a log already: found ${file}; expected an empty directory`);
    this.name = 'LogExistsError';
    this.file = file;
  }
}
