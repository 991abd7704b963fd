/**
 * The network between the simulated hosts: cuts by direction, and processes that stand still and so read nothing. It
 * keeps these two apart, because healing a cut must not wake a frozen host's connections.
 */
import { createMemoryNetwork, type MemoryNetwork } from '../../src/node/mesh/memory-mesh.ts';
import type { Knobs } from '../kit/knobs.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Milliseconds of true time, one way. */
export interface Delays {
  readonly least_ms: number;
  /** Mean of what comes on top. */
  readonly mean_ms: number;
}

export class Links {
  readonly network: MemoryNetwork;
  #delays: Delays;
  readonly #peers: string[] = [];
  /** How often, by sender, then by receiver: asked for all pairs several times a second. */
  readonly #cut = new Map<string, Map<string, number>>();
  readonly #frozen = new Set<string>();

  constructor(time: VirtualTime, knobs: Knobs, delays: Delays) {
    this.#delays = delays;
    this.network = createMemoryNetwork(
      {
        now_ms: () => time.now_ms,
        after: (delay_ms, fn) => time.after(delay_ms, fn),
        random: knobs.random,
        log: () => undefined,
      },
      () => this.#delays.least_ms + knobs.exponential(this.#delays.mean_ms),
    );
  }

  add(peer: string): void {
    this.#peers.push(peer);
  }

  /** From now on, between all hosts. */
  setDelays(delays: Delays): void {
    this.#delays = delays;
  }

  /** Mean of what comes on top, in milliseconds. */
  get mean_ms(): number {
    return this.#delays.mean_ms;
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.get(from)?.has(to) === true;
  }

  /** Cuts overlap: each is undone by one {@link heal}. */
  cut(from: string, to: string): void {
    const cut = this.#cut.get(from) ?? new Map<string, number>();
    this.#cut.set(from, cut.set(to, (cut.get(to) ?? 0) + 1));
    this.#apply(from, to);
  }

  heal(from: string, to: string): void {
    const cut = this.#cut.get(from);
    const left = (cut?.get(to) ?? 0) - 1;
    if (left > 0) cut?.set(to, left);
    else cut?.delete(to);
    if (cut?.size === 0) this.#cut.delete(from);
    this.#apply(from, to);
  }

  healAll(): void {
    const pairs = [...this.#cut].flatMap(([from, cut]) => [...cut.keys()].map((to) => [from, to] as const));
    this.#cut.clear();
    for (const [from, to] of pairs) this.#apply(from, to);
  }

  /** A process that stands still takes nothing in. */
  setFrozen(peer: string, frozen: boolean): void {
    if (this.#frozen.has(peer) === frozen) return;
    if (frozen) this.#frozen.add(peer);
    else this.#frozen.delete(peer);
    for (const from of this.#peers) if (from !== peer) this.#apply(from, peer);
  }

  #blocked(from: string, to: string): boolean {
    return this.isCut(from, to) || this.#frozen.has(to);
  }

  #apply(from: string, to: string): void {
    this.network.heal(from, to);
    if (this.#blocked(from, to)) this.network.cut(from, to, 'a-to-b');
    if (this.#blocked(to, from)) this.network.cut(from, to, 'b-to-a');
  }
}
