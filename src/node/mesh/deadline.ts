/**
 * An abort signal with a time limit on the clock handed in. Always cleared by whoever made it. Reasons are texts here and in all
 * of the mesh: an error of its own for each would be most of what a call that nobody waits for any more costs.
 */
import type { MeshEnv } from './carrier.ts';

export interface Deadline {
  readonly signal: AbortSignal;
  abort(): void;
  /** Stops the clock; the signal can still be aborted. */
  clear(): void;
}

export function deadlineSignal(env: MeshEnv, timeout_ms: number): Deadline {
  const controller = new AbortController();
  const clear = env.after(timeout_ms, () => controller.abort('it took too long'));
  return {
    signal: controller.signal,
    clear,
    abort: () => {
      clear();
      controller.abort('given up');
    },
  };
}

/** Rejects with what `onTimeout` makes if `promise` has not settled in time; the promise itself goes on. */
export function within<T>(
  env: MeshEnv,
  timeout_ms: number,
  promise: Promise<T>,
  onTimeout: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = env.after(timeout_ms, () => reject(onTimeout()));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
