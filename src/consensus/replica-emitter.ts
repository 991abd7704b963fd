/**
 * Who listens to a replica. A handler that throws harms neither the replica nor the other handlers; it is logged.
 */
import type { ReplicaEvents } from './api.ts';
import type { ReplicaEnv } from './types.ts';

export class ReplicaEmitter {
  readonly #env: ReplicaEnv;
  readonly #handlers: { [K in keyof ReplicaEvents]: Set<ReplicaEvents[K]> } = {
    role: new Set(),
    applied: new Set(),
    configuration: new Set(),
  };

  constructor(env: ReplicaEnv) {
    this.#env = env;
  }

  /** Returns a function that takes the handler off. */
  on<K extends keyof ReplicaEvents>(event: K, handler: ReplicaEvents[K]): () => void {
    this.#handlers[event].add(handler);
    return () => {
      this.#handlers[event].delete(handler);
    };
  }

  emit<K extends keyof ReplicaEvents>(event: K, ...args: Parameters<ReplicaEvents[K]>): void {
    for (const handler of [...this.#handlers[event]]) {
      try {
        (handler as (...args: Parameters<ReplicaEvents[K]>) => void)(...args);
      } catch (error) {
        this.#env.log('error', 'a handler of the replica failed', { event, error: String(error) });
      }
    }
  }
}
