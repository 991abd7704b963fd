/**
 * A network in memory, in virtual time: what a {@link Transport} may do, it does when told to. A *cut* link swallows
 * frames silently, as a pulled cable does; a *closed* one tells both ends at once, as a dead process does.
 */
import type { MemberId, Transport } from './types.ts';
import type { VirtualClock, VirtualNode } from './virtual-env.ts';

interface Endpoint {
  readonly id: MemberId;
  readonly node: VirtualNode;
  onMessage: (from: MemberId, bytes: Uint8Array) => void;
  onPeer: (peer: MemberId, up: boolean) => void;
}

export class MemoryNetwork {
  readonly #clock: VirtualClock;
  readonly #endpoints = new Map<MemberId, Endpoint>();
  /** `from>to` of links that swallow everything. */
  readonly #cut = new Set<string>();
  /** `a-b` of connections that are up. */
  readonly #up = new Set<string>();
  /** One way. May be changed at any time; order is kept. */
  latency_ms = 1;
  /** Share of frames lost. */
  loss = 0;
  /** Sees each frame before it is sent; false drops it. */
  filter: (from: MemberId, to: MemberId, bytes: Uint8Array) => boolean = () => true;
  readonly #arrival = new Map<string, number>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Joins the network; connections to all others come up unless the link is cut. */
  join(id: MemberId, node: VirtualNode): Transport {
    const endpoint: Endpoint = { id, node, onMessage: () => undefined, onPeer: () => undefined };
    this.#endpoints.set(id, endpoint);
    this.#clock.after(this.latency_ms, () => {
      if (this.#endpoints.get(id) !== endpoint) return;
      for (const other of this.#endpoints.keys()) if (other !== id) this.#connect(id, other);
    });
    return {
      send: (to, bytes) => this.#send(endpoint, to, bytes),
      onMessage: (handler) => {
        endpoint.onMessage = handler;
      },
      onPeer: (handler) => {
        endpoint.onPeer = handler;
      },
    };
  }

  /** The process is gone: its peers see their connections close. */
  leave(id: MemberId): void {
    this.#endpoints.delete(id);
    for (const other of this.#endpoints.keys()) this.#disconnect(id, other);
  }

  /** Both connections' ends learn that it closed; it comes up again after `again_ms`. */
  reset(a: MemberId, b: MemberId, again_ms: number): void {
    this.#disconnect(a, b);
    this.#clock.after(again_ms, () => this.#connect(a, b));
  }

  /** Frames from `from` to `to` vanish; nobody is told. */
  cut(from: MemberId, to: MemberId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Cuts `id` off, in both directions. */
  isolate(id: MemberId): void {
    for (const other of this.#endpoints.keys()) {
      if (other === id) continue;
      this.cut(id, other);
      this.cut(other, id);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  #send(from: Endpoint, to: MemberId, bytes: Uint8Array): void {
    if (this.#endpoints.get(from.id) !== from || !this.#up.has(pair(from.id, to))) return;
    const link = `${from.id}>${to}`;
    if (this.#cut.has(link) || !this.filter(from.id, to, bytes)) return;
    if (this.loss > 0 && this.#clock.random() < this.loss) return;
    const arrival = Math.max(this.#clock.now_ms() + this.latency_ms, this.#arrival.get(link) ?? 0);
    this.#arrival.set(link, arrival);
    const copy = bytes.slice();
    const connection = this.#endpoints.get(to);
    this.#clock.after(arrival - this.#clock.now_ms(), () => {
      // A frame does not outlive its connection.
      if (connection === undefined || this.#endpoints.get(to) !== connection || this.#cut.has(link)) return;
      this.#deliver(connection, () => connection.onMessage(from.id, copy));
    });
  }

  #connect(a: MemberId, b: MemberId): void {
    const ends = [this.#endpoints.get(a), this.#endpoints.get(b)] as const;
    if (ends[0] === undefined || ends[1] === undefined || this.#up.has(pair(a, b))) return;
    this.#up.add(pair(a, b));
    this.#tell(ends[0], b, true);
    this.#tell(ends[1], a, true);
  }

  #disconnect(a: MemberId, b: MemberId): void {
    if (!this.#up.delete(pair(a, b))) return;
    const ends = [this.#endpoints.get(a), this.#endpoints.get(b)] as const;
    if (ends[0] !== undefined) this.#tell(ends[0], b, false);
    if (ends[1] !== undefined) this.#tell(ends[1], a, false);
  }

  #tell(endpoint: Endpoint, peer: MemberId, up: boolean): void {
    this.#clock.after(this.latency_ms, () => {
      this.#deliver(endpoint, () => endpoint.onPeer(peer, up));
    });
  }

  #deliver(endpoint: Endpoint, fn: () => void): void {
    const deliver = () => {
      if (this.#endpoints.get(endpoint.id) === endpoint) fn();
    };
    if (!endpoint.node.hold(deliver)) deliver();
  }
}

function pair(a: MemberId, b: MemberId): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
