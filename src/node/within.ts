/**
 * A bound on waiting for something that has none of its own. The act itself goes on: what it does late must be
 * harmless, or looked at again.
 */

/** Settles as `act` does, or rejects after `timeout_ms`, naming `what`. */
export function within<T>(
  after: (delay_ms: number, fn: () => void) => () => void,
  act: Promise<T>,
  timeout_ms: number,
  what: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = after(timeout_ms, () =>
      reject(new Error(`${what} took more than ${Math.round(timeout_ms)} ms`)),
    );
    act.then(resolve, reject).finally(cancel);
  });
}
