/**
 * One direction of one connection of the in-memory network: packets arrive in order, each after its delay; while the
 * path is cut they are held back, as TCP holds them, and come when it heals. Nothing is lost while both ends live.
 */
import type { MeshEnv } from './carrier.ts';

export interface PathState {
  /** The direction is cut. */
  cut(): boolean;
  /** Milliseconds for the next packet. */
  delay_ms(): number;
}

export class MemoryPipe {
  readonly #env: MeshEnv;
  readonly #path: PathState;
  #queue: (() => void)[] = [];
  /** How many packets at the head of the queue have had their delay. */
  #due = 0;
  #last_arrival_ms = 0;
  #dead = false;

  constructor(env: MeshEnv, path: PathState) {
    this.#env = env;
    this.#path = path;
  }

  /** Runs `arrive` at the other end. */
  send(arrive: () => void): void {
    if (this.#dead) return;
    this.#queue.push(arrive);
    const now_ms = this.#env.now_ms();
    this.#last_arrival_ms = Math.max(this.#last_arrival_ms, now_ms + this.#path.delay_ms());
    this.#env.after(this.#last_arrival_ms - now_ms, () => {
      this.#due++;
      this.#pump();
    });
  }

  /** The path may be whole again: what was held back is repeated. */
  healed(): void {
    if (this.#due > 0) this.#env.after(this.#path.delay_ms(), () => this.#pump());
  }

  kill(): void {
    this.#dead = true;
    this.#queue = [];
  }

  #pump(): void {
    while (this.#due > 0 && !this.#dead && !this.#path.cut()) {
      this.#due--;
      this.#queue.shift()?.();
    }
  }
}
