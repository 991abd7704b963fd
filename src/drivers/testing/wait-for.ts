/** Waits for a condition, never for a time. */

const poll_ms = 20;

/** Resolves with the first value that is neither undefined, null nor false; rejects after `timeout_ms`, naming `what`. */
export async function waitFor<T>(
  what: string,
  timeout_ms: number,
  look: () => Promise<T | undefined | null | false> | T | undefined | null | false,
): Promise<T> {
  const deadline_ms = Date.now() + timeout_ms;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== null && value !== false) return value;
    if (Date.now() >= deadline_ms) throw new Error(`${what}: not within ${timeout_ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, poll_ms));
  }
}
