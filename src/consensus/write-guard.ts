/**
 * Around writes that may be done a second time, when a full disk was given some room. Never around a sync: after a failed
 * one nobody knows what the kernel still holds, and a second one would succeed without having written it.
 */

/** Runs a write; may run it a second time. */
export type WriteGuard = <T>(write: () => Promise<T>) => Promise<T>;

/** Runs it once. */
export const unguarded: WriteGuard = (write) => write();
