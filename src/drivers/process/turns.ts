/** Acts on one thing take turns, in the order they were asked for; acts on different things do not wait. */

export interface Turns {
  /** Runs `act` once every earlier act on `name` has settled, however it settled. */
  take<T>(name: string, act: () => Promise<T>): Promise<T>;
  busy(name: string): boolean;
}

/** Creates a set of turns. */
export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();
  return {
    async take(name, act) {
      const mine = (last.get(name) ?? Promise.resolve()).then(act);
      const settled = mine.then(
        () => undefined,
        () => undefined,
      );
      last.set(name, settled);
      try {
        return await mine;
      } finally {
        if (last.get(name) === settled) last.delete(name);
      }
    },
    busy: (name) => last.has(name),
  };
}
