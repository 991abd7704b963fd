/**
 * A network between processes that delays, loses, repeats, reorders and alters frames, swallows those of blocked links,
 * holds those of clogged ones, and tells processes of connections that came up or closed. No frame outlives the process
 * that it was meant for.
 */
import type { MemberId, Transport } from '../../src/consensus/index.ts';
import type { Knobs } from '../kit/knobs.ts';
import { isChunk } from './alter.ts';
import type { SimClock, SimProcess } from './clock.ts';

export interface NetworkKnobs {
  /** One way: at least this, and on the average so much more. */
  readonly delay_ms: number;
  readonly jitter_ms: number;
  /** Shares of the frames. */
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** Pieces of snapshots ten times as often: they are rare. */
  readonly alter: number;
}

export type NetworkFault =
  | 'lost'
  | 'duplicated'
  | 'reordered'
  | 'swallowed'
  | 'clogged'
  | 'reset'
  | 'altered';

export interface NetworkEvents {
  readonly sent: (process: SimProcess, to: MemberId, bytes: Uint8Array) => void;
  readonly fault: (kind: NetworkFault) => void;
  /** What arrives in the place of an altered frame. */
  readonly altered: (bytes: Uint8Array) => Uint8Array;
}

export type LinkName = readonly [from: MemberId, to: MemberId];

interface Link {
  /** Faults that swallow its frames. */
  blocks: number;
  /** What waits in it while it is clogged. */
  clogged: Uint8Array[] | null;
  last_arrival_ms: number;
  in_flight: number;
}

interface End {
  readonly process: SimProcess;
  onMessage: (from: MemberId, bytes: Uint8Array) => void;
  onPeer: (peer: MemberId, up: boolean) => void;
}

export class SimNetwork {
  knobs: NetworkKnobs;
  /** The most frames ever on their way in one link. */
  peak_in_flight = 0;
  #calm = false;
  readonly #clock: SimClock;
  readonly #draws: Knobs;
  readonly #events: NetworkEvents;
  readonly #ends = new Map<MemberId, End>();
  readonly #links = new Map<number, Link>();
  /** Connections that are up, by their link from the lower to the higher number. */
  readonly #up = new Set<number>();

  constructor(clock: SimClock, draws: Knobs, knobs: NetworkKnobs, events: NetworkEvents) {
    this.#clock = clock;
    this.#draws = draws;
    this.knobs = knobs;
    this.#events = events;
  }

  get ids(): readonly MemberId[] {
    return [...this.#ends.keys()];
  }

  /** A process joins; connections to all others come up. */
  join(process: SimProcess): Transport {
    const { id } = process;
    const end: End = { process, onMessage: () => undefined, onPeer: () => undefined };
    this.leave(id, true);
    this.#ends.set(id, end);
    this.#clock.after(this.knobs.delay_ms, () => {
      if (this.#ends.get(id) === end) for (const other of this.#ends.keys()) this.#connect(id, other);
    });
    return {
      send: (to, bytes) => this.#send(end, to, bytes),
      onMessage: (handler) => {
        end.onMessage = handler;
      },
      onPeer: (handler) => {
        end.onPeer = handler;
      },
    };
  }

  /** A process is gone. `told`: its host lives and closes the connections; otherwise peers learn nothing. */
  leave(id: MemberId, told: boolean): void {
    this.#ends.delete(id);
    for (const other of this.#ends.keys()) this.#disconnect(id, other, told);
    for (const [name, link] of this.#links) if (name % 65_536 === id) link.in_flight = 0;
  }

  /** A connection breaks, both ends see it; it is up again after `again_ms`. */
  reset(a: MemberId, b: MemberId, again_ms: number): void {
    if (!this.#up.has(pair(a, b))) return;
    this.#events.fault('reset');
    this.#disconnect(a, b, true);
    this.#clock.after(again_ms, () => this.#connect(a, b));
  }

  /** Everybody but `id` is told that its connection to it closed, as when its host is cut off and resets come back. */
  forsake(id: MemberId, again_ms: number): void {
    for (const [other, end] of this.#ends) {
      if (other === id || !this.#up.has(pair(id, other))) continue;
      this.#tell(end, id, false);
      this.#clock.after(again_ms, () => {
        if (this.#ends.get(other) === end && this.#up.has(pair(id, other))) this.#tell(end, id, true);
      });
    }
  }

  /** These links swallow everything until the returned function is called. */
  block(links: readonly LinkName[]): () => void {
    const blocked = links.map(([from, to]) => this.#link(from, to));
    for (const link of blocked) link.blocks++;
    let over = false;
    return () => {
      if (!over) for (const link of blocked) link.blocks = Math.max(0, link.blocks - 1);
      over = true;
    };
  }

  /** Frames of a link wait for so long, or until it is unclogged; then all come, in order. Never once all faults ended. */
  clog(from: MemberId, to: MemberId, duration_ms: number): void {
    if (this.#calm) return;
    const link = this.#link(from, to);
    link.clogged ??= [];
    this.#clock.after(duration_ms, () => this.unclog(from, to));
  }

  unclog(from: MemberId, to: MemberId): void {
    const link = this.#link(from, to);
    const waiting = link.clogged ?? [];
    link.clogged = null;
    for (const bytes of waiting) this.#carry(from, to, link, bytes, false);
  }

  /** All faults of the network end; connections that are down come up. */
  calm(): void {
    this.#calm = true;
    this.knobs = { ...this.knobs, loss: 0, duplicate: 0, reorder: 0, alter: 0 };
    for (const [name, link] of this.#links) {
      link.blocks = 0;
      this.unclog(Math.floor(name / 65_536), name % 65_536);
    }
    for (const a of this.#ends.keys()) for (const b of this.#ends.keys()) this.#connect(a, b);
  }

  #send(from: End, to: MemberId, bytes: Uint8Array): void {
    const { id } = from.process;
    if (from.process.state === 'stopped') return;
    this.#clock.stir(from.process);
    this.#events.sent(from.process, to, bytes);
    if (this.#ends.get(id) !== from || !this.#up.has(pair(id, to))) return;
    const link = this.#link(id, to);
    if (link.blocks > 0) {
      this.#events.fault('swallowed');
      return;
    }
    const { loss, duplicate, reorder, alter } = this.knobs;
    if (loss > 0 && this.#draws.chance(loss)) {
      this.#events.fault('lost');
      return;
    }
    const altered = alter > 0 && this.#draws.chance(isChunk(bytes) ? 10 * alter : alter);
    if (altered) this.#events.fault('altered');
    const copy = altered ? this.#events.altered(bytes) : bytes.slice();
    if (link.clogged !== null) {
      this.#events.fault('clogged');
      link.clogged.push(copy);
      return;
    }
    this.#carry(id, to, link, copy, reorder > 0 && this.#draws.chance(reorder));
    if (duplicate > 0 && this.#draws.chance(duplicate)) {
      this.#events.fault('duplicated');
      this.#carry(id, to, link, copy, true);
    }
  }

  #carry(from: MemberId, to: MemberId, link: Link, bytes: Uint8Array, overtakes: boolean): void {
    const { delay_ms, jitter_ms } = this.knobs;
    const now_ms = this.#clock.now_ms;
    let arrival_ms = now_ms + delay_ms + (jitter_ms > 0 ? this.#draws.exponential(jitter_ms) : 0);

    if (!overtakes) arrival_ms = Math.max(arrival_ms, link.last_arrival_ms);
    else if (arrival_ms < link.last_arrival_ms) this.#events.fault('reordered');
    link.last_arrival_ms = Math.max(arrival_ms, link.last_arrival_ms);
    const end = this.#ends.get(to);
    if (end === undefined) return;
    link.in_flight++;
    this.peak_in_flight = Math.max(this.peak_in_flight, link.in_flight);
    // An event of the receiver: while that is frozen the frame lies in its socket.
    const arrive = () => {
      link.in_flight--;
      if (this.#ends.get(to) !== end) return;
      if (link.blocks > 0) this.#events.fault('swallowed');
      else end.onMessage(from, bytes);
    };
    this.#clock.after(arrival_ms - now_ms, arrive, end.process);
  }

  #connect(a: MemberId, b: MemberId): void {
    const ends = [this.#ends.get(a), this.#ends.get(b)] as const;
    if (a === b || ends[0] === undefined || ends[1] === undefined || this.#up.has(pair(a, b))) return;
    this.#up.add(pair(a, b));
    this.#tell(ends[0], b, true);
    this.#tell(ends[1], a, true);
  }

  #disconnect(a: MemberId, b: MemberId, told: boolean): void {
    if (!this.#up.delete(pair(a, b)) || !told) return;
    for (const [id, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      const end = this.#ends.get(id);
      if (end !== undefined) this.#tell(end, peer, false);
    }
  }

  #tell(end: End, peer: MemberId, up: boolean): void {
    this.#clock.after(this.knobs.delay_ms, () => end.onPeer(peer, up), end.process);
  }

  #link(from: MemberId, to: MemberId): Link {
    const name = from * 65_536 + to;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = { blocks: 0, clogged: null, last_arrival_ms: 0, in_flight: 0 };
      this.#links.set(name, link);
    }
    return link;
  }
}

function pair(a: MemberId, b: MemberId): number {
  return a < b ? a * 65_536 + b : b * 65_536 + a;
}
