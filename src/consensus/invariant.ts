/**
 * The assertion of the consensus core. Always on: a broken invariant must end the replica before it can answer anybody.
 * Never use it for input from outside that a caller can correct; that gets an ordinary answer.
 */

/** A property that Raft's safety rests on does not hold. The only sound reaction is to stop. */
export class InvariantError extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`);
    this.name = 'InvariantError';
  }
}

/** @throws InvariantError with the text of `explain` unless `holds`. */
export function invariant(holds: boolean, explain: () => string): asserts holds {
  if (!holds) throw new InvariantError(explain());
}
